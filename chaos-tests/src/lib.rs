//! Clusters of real `roomkeeper` processes, faults done to them, and a checker of what their clients were
//! promised.
//!
//! From the outside in: [`guard`] sees to it that nothing outlives a run. [`binary`] finds the program, [`ports`],
//! [`scratch`], [`net`] and [`disk`] give it places, [`process`] runs one node and [`cluster`] several;
//! [`shared`] keeps one cluster for all tests of a file, [`machine`] says what this machine can do. [`probe`]
//! speaks HTTP and WebSocket frame by frame, for tests of the contract itself. [`workload`] writes and reads
//! through the real client and notes everything in a [`history`], [`read_back`] what the cluster holds in the end,
//! and [`check`] judges that; [`run`] is one run of all of it, [`replay`] judges an old one again.
//! A [`nemesis`] is one fault; a [`scenario`] a schedule of them under load; [`timing`] measures how long clients wait.

mod admission;
pub mod binary;
pub mod check;
pub mod cluster;
mod command;
pub mod disk;
pub mod guard;
pub mod history;
pub mod machine;
pub mod nemesis;
pub mod net;
pub mod ports;
pub mod probe;
pub mod process;
pub mod read_back;
pub mod replay;
pub mod report;
pub mod run;
pub mod sabotage;
pub mod scenario;
pub mod scratch;
pub mod shared;
pub mod timing;
pub mod workload;

//! What a node refuses before it serves: each with the reason in its log and an exit code of its own, 3 for
//! the configuration, 4 for a port, 5 for the data directory or the cluster.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chaos_tests::cluster::Cluster;
use chaos_tests::ports::Reserved;
use chaos_tests::process::{Launch, Process, log_tail};
use chaos_tests::scratch::Scratch;

/// How long a refusal may take. Joining a cluster that does not answer takes longer, and is not tested here.
const LIMIT: Duration = Duration::from_secs(20);

const CONFIG: i32 = 3;
const PORT: i32 = 4;
const DATA: i32 = 5;

/// A place to start a node at, on free ports.
struct Place {
    scratch: Scratch,
    reserved: Reserved,
    /// Given to the node by its environment, as it is to a cluster's own nodes.
    env: Vec<(String, String)>,
}

impl Place {
    fn new() -> Self {
        Self { scratch: Scratch::new().unwrap(), reserved: Reserved::new().unwrap(), env: Vec::new() }
    }

    /// The node knows this cluster's secret: without it nobody would tell it anything.
    fn trusted_by(mut self, cluster: &Cluster) -> Self {
        self.env.push(("ROOMKEEPER_CLUSTER_SECRET".to_owned(), cluster.secret().to_owned()));
        self
    }

    fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// Starts a node here and expects that it ends with that code and these words, never having served.
    async fn refuses(self, more: &[&str], code: i32, words: &str) -> Scratch {
        let data = self.data();
        self.refuses_data(&data, more, code, words).await
    }

    async fn refuses_data(self, data: &Path, more: &[&str], code: i32, words: &str) -> Scratch {
        let Self { scratch, reserved, env } = self;
        let addresses = reserved.addresses;
        // What is given more than once is an error of its own: the defaults only where nothing is said.
        let mut args = vec!["serve".to_owned(), format!("--data-dir={}", data.display())];
        for (flag, address) in [
            ("--listen", addresses.client),
            ("--listen-peer", addresses.peer),
            ("--listen-admin", addresses.admin),
        ] {
            if more.iter().all(|arg| !arg.starts_with(&format!("{flag}="))) {
                args.push(format!("{flag}={address}"));
            }
        }
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        drop(reserved);
        let log = scratch.path().join("log");
        let launch = Launch { env, ..Launch::of(&args) };
        let status = Process::start(&launch, &log).unwrap().wait(LIMIT).await.unwrap();
        let said = log_tail(&log, 100);
        assert_eq!(status.code(), Some(code), "{more:?}: {said}");
        assert!(said.contains(words), "{more:?} does not say '{words}': {said}");
        assert!(!said.contains("roomkeeper::serve: serving"), "{more:?}: {said}");
        for address in [addresses.client, addresses.peer, addresses.admin] {
            TcpListener::bind(address).unwrap();
        }
        scratch
    }
}

#[tokio::test]
async fn bad_config_is_refused_with_code_3_and_leaves_no_data() {
    let files = [
        ("[listen]\nclinet = '127.0.0.1:1'\n", "clinet"),
        ("colour = 'red'\n", "colour"),
        ("weight = 'heavy'\n", "weight"),
        ("[gateway]\nhold = 'soon'\n", "hold"),
        ("[cluster]\nshards = 5000\n", "4096"),
        ("[gateway.limits]\nmax_frame = 1\nmax_message = 1\nmax_batch = 1\n", "max_frame"),
        ("[listen\n", "listen"),
    ];
    for (text, words) in files {
        let place = Place::new();
        let file = place.scratch.path().join("roomkeeper.toml");
        std::fs::write(&file, text).unwrap();
        let config = format!("--config={}", file.display());
        let scratch = place.refuses(&["--bootstrap", &config], CONFIG, words).await;
        assert!(!scratch.path().join("data").exists(), "{text}");
    }
    let flags: [(&[&str], &str); 6] = [
        (&["--bootstrap", "--listen-peer=0.0.0.0:7701", "--advertise-peer=a:7701"], "cluster.secret"),
        (&["--bootstrap", "--listen=0.0.0.0:7700"], "auth.keys"),
        (&["--bootstrap", "--join=127.0.0.1:7701"], "exclude each other"),
        (&["--bootstrap", "--initial-nodes=many"], "initial_nodes"),
        (&["--bootstrap", "--listen=nowhere"], "listen"),
        (&["--config=/no/such/file"], "/no/such/file"),
    ];
    for (more, words) in flags {
        let scratch = Place::new().refuses(more, CONFIG, words).await;
        assert!(!scratch.path().join("data").exists(), "{more:?}");
    }
}

#[tokio::test]
async fn busy_port_is_refused_with_code_4_and_leaves_no_data() {
    for (flag, setting) in
        [("--listen", "listen.client"), ("--listen-peer", "listen.peer"), ("--listen-admin", "listen.admin")]
    {
        let busy = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("{flag}={}", busy.local_addr().unwrap());
        let scratch = Place::new().refuses(&["--bootstrap", &address], PORT, setting).await;
        assert!(!scratch.path().join("data").exists(), "{setting}");
    }
}

#[tokio::test]
async fn data_dir_without_a_node_is_refused_with_code_5_unless_told_to_found_or_join() {
    Place::new().refuses(&[], DATA, "--bootstrap, or join one with --join").await;
    let place = Place::new();
    std::fs::create_dir(place.data()).unwrap();
    std::fs::write(place.data().join("holiday.jpg"), "x").unwrap();
    let scratch = place.refuses(&["--bootstrap"], DATA, "holiday.jpg").await;
    let left: Vec<_> = std::fs::read_dir(scratch.path().join("data")).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing was added: {left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_dir_of_a_running_node_or_another_cluster_is_refused_with_code_5() {
    let mut one = Cluster::start(1).await.unwrap();
    let data = one.data_dir(0);
    Place::new().refuses_data(&data, &["--bootstrap"], DATA, "another process uses").await;
    let cluster = one.map(0).await.unwrap().cluster;

    let other = Cluster::start(1).await.unwrap();
    one.stop(0).await.unwrap();
    let join = format!("--join={}", other.addresses(0).peer);
    let words = format!("the data directory belongs to cluster {cluster}");
    Place::new().trusted_by(&other).refuses_data(&data, &[&join], DATA, &words).await;

    // Neither attempt did anything to it.
    one.start_node(0).await.unwrap();
    assert_eq!(one.map(0).await.unwrap().cluster, cluster);
}

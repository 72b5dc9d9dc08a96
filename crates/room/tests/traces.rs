//! Golden traces: each file of `traces/` is one situation, told as commands and what they come to.
//!
//! `> ` begins a line of input, the lines below it are the output, `#` begins a comment. `UPDATE_TRACES=1`
//! rewrites the outputs; read the diff before it is committed.
//!
//! ```text
//! > publish a ann create 1="hi" 2:bin=xy     a command: an entry of its own, in a run of its own
//! > create a ; delete a                      two commands of one entry
//! > create a | delete a                      two entries of one run
//! > epoch 2                                  the entries that follow are of this epoch
//! > @5000 commit a phone 2                   this entry is stamped 5000, those that follow 5001, …
//! > sweep 1009:0-1-0:hold-3-0                dues that were read before
//! > sweep                                    all that is due before this run and until this entry's stamp
//! ```
//!
//! Entries have the indices 1, 2, … and are stamped 1001, 1002, … until one says otherwise; message ids are small
//! numbers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod trace;

macro_rules! traces {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            trace::check(stringify!($name));
        }
    )*
        /// A file without a test would never be read.
        #[test]
        fn every_trace_has_a_test() {
            let mut files: Vec<String> = std::fs::read_dir(trace::DIR)
                .unwrap()
                .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
                .collect();
            files.sort();
            let mut tests = vec![$(stringify!($name)),*];
            tests.sort();
            assert_eq!(files, tests);
        }
    };
}

traces! {
    create_room_absent
    create_room_present
    delete_room_absent
    delete_room_present
    delete_former_life
    delete_in_same_run
    publish_room_absent
    publish_creates_with_options
    hold_creates_with_options
    publish_room_absent_with_expect
    publish_room_absent_with_life
    publish_room_present
    publish_after_change_of_owner
    publish_again
    publish_again_in_same_batch
    publish_again_to_next_life
    publish_id_of_other_message
    publish_batch_partly_known
    publish_malformed
    publish_expect
    publish_former_life
    command_for_other_shard
    command_for_forwarded_room
    history_of_room
    history_with_gap
    rooms_listed
    forward_room_absent
    forward_in_same_run
    forward_room_present
    forward_refused
    placed_room
    create_with_options
    commit_moves_cursor
    commit_never_goes_back
    commit_reads_with_offset_zero
    commit_beyond_head
    commit_below_first
    commit_room_absent
    commit_former_life
    commit_in_same_run
    hold_room_present
    hold_room_absent
    hold_former_life
    hold_malformed
    hold_again
    hold_again_when_confirmed
    hold_again_when_dropped
    hold_of_two_holds
    hold_partly_known
    hold_id_of_other_message
    publish_of_held_id
    publish_of_dropped_id
    confirm_hold
    confirm_again
    confirm_other_ids
    confirm_unknown
    confirm_other_sender
    confirm_when_run_out
    confirm_when_rolled_back
    confirm_in_same_run
    rollback_hold
    rollback_when_confirmed
    rollback_other_ids
    rollback_when_run_out
    hold_runs_out
    hold_deleted
    sweep_of_nothing
    sweep_in_same_run
    retain_messages
    retain_bytes
    retain_newest
    retain_confirmed
    retain_ms
    retain_ms_and_messages
    retain_in_same_run
    id_of_trimmed_message
    id_of_dropped_message
}

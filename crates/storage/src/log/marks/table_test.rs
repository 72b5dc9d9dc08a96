//! The file of marks: what is written is read again, and what is damaged is never taken for nothing.

use proptest::prelude::*;
use roomkeeper_types::ReplicaId;

use super::table::{Last, Mark, Table};

/// The file as it is after all that is dirty was written to it.
fn written(table: &mut Table, mut file: Vec<u8>) -> Vec<u8> {
    if let Some((at, bytes)) = table.take_dirty() {
        let at = usize::try_from(at).unwrap();
        file.resize(file.len().max(at + bytes.len()), 0);
        file[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    file
}

fn mark(replica: u64) -> Mark {
    Mark { votes: replica, last: Some(Last { index: replica * 7, digest: Some(replica * 31) }) }
}

/// A file with the marks of these replicas.
fn file_of(replicas: std::ops::Range<u64>) -> Vec<u8> {
    let mut table = Table::read(&[]);
    for replica in replicas {
        assert!(table.change(ReplicaId(replica), |it| *it = mark(replica)));
    }
    written(&mut table, Vec::new())
}

#[test]
fn marks_written_are_read_again() {
    let mut table = Table::read(&file_of(1..2000));
    for replica in 1..2000 {
        assert_eq!(table.get(ReplicaId(replica)), Some(mark(replica)));
    }
    assert_eq!(table.get(ReplicaId(2000)), None);
    assert!(table.take_dirty().is_none(), "reading changes nothing");
    assert!(!table.change(ReplicaId(1), |it| *it = mark(1)), "the same again is not written");
}

#[test]
fn mark_freed_is_gone_and_its_slot_is_used_again() {
    let file = file_of(1..10);
    let mut table = Table::read(&file);
    assert!(table.free(ReplicaId(3)));
    assert!(!table.free(ReplicaId(3)));
    table.change(ReplicaId(77), |it| *it = mark(77));
    let changed = written(&mut table, file.clone());
    assert_eq!(changed.len(), file.len());
    let table = Table::read(&changed);
    assert_eq!((table.get(ReplicaId(3)), table.get(ReplicaId(77))), (None, Some(mark(77))));
    assert_eq!(table.replicas().len(), 9);
}

#[test]
fn header_damaged_drops_every_mark_for_good() {
    let mut file = file_of(1..1500);
    file[3] ^= 1;
    let mut table = Table::read(&file);
    assert_eq!(table.replicas(), []);
    table.change(ReplicaId(1), |_| {});
    let again = written(&mut table, file);
    assert_eq!(Table::read(&again).replicas(), [ReplicaId(1)], "an old slot came back");
}

#[test]
fn slot_copied_over_another_drops_both() {
    let mut file = file_of(1..4);
    let first = file[64..128].to_vec();
    file[128..192].copy_from_slice(&first);
    assert_eq!(Table::read(&file).replicas(), [ReplicaId(3)]);
}

proptest! {
    /// Whatever is done to a file, a mark that is read from it is one that was written for that replica.
    #[test]
    fn file_damaged_anywhere_yields_true_marks_or_none(
        flips in prop::collection::vec(0..8 * 64 * 40usize, 1..20),
        cut in 0..64 * 60usize,
        zeroed in (0..64 * 40usize, 0..400usize),
    ) {
        let mut file = file_of(1..30);
        for bit in flips {
            file[bit / 8] ^= 1 << (bit % 8);
        }
        file[zeroed.0..zeroed.0 + zeroed.1].fill(0);
        file.truncate(cut.max(64));
        let table = Table::read(&file);
        for replica in table.replicas() {
            prop_assert_eq!(table.get(replica), Some(mark(replica.0)));
        }
    }
}

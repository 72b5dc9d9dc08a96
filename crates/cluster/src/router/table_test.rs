use super::*;
use crate::shard::testing::Ownerships;

const ME: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);
const SHARD: ShardId = ShardId(1);

fn table() -> Table {
    Table::new(ShardCount::new(3).unwrap())
}

fn fact(epoch: u64, owner: NodeId) -> Fact {
    Fact { shard: SHARD, epoch: Epoch(epoch), owner }
}

fn known(table: &Table) -> (u64, Option<NodeId>) {
    let known = table.known(SHARD);
    (known.epoch.get(), known.owner)
}

#[test]
fn owner_of_a_higher_epoch_replaces_the_known() {
    let table = table();
    assert!(table.learn(fact(2, OTHER)));
    assert!(table.learn(fact(5, ME)));
    assert_eq!(known(&table), (5, Some(ME)));
}

#[test]
fn epoch_changes_count_higher_epochs_only() {
    let table = table();
    table.learn(fact(2, OTHER));
    table.leaderless(SHARD, Epoch(3));
    // The owner of an epoch that is known already.
    table.learn(fact(3, ME));
    table.learn(fact(2, OTHER));
    assert_eq!((table.epoch_changes(), table.unknown()), (2, 2));
}

#[test]
fn owner_of_a_lower_epoch_is_no_news() {
    let table = table();
    table.learn(fact(5, ME));
    assert!(!table.learn(fact(4, OTHER)));
    assert_eq!(known(&table), (5, Some(ME)));
}

#[test]
fn second_owner_of_an_epoch_is_not_believed() {
    let table = table();
    table.learn(fact(5, ME));
    assert!(!table.learn(fact(5, OTHER)));
    assert!(!table.learn(fact(5, ME)));
    assert_eq!(known(&table), (5, Some(ME)));
}

#[test]
fn higher_epoch_without_a_leader_has_no_owner_until_one_is_told() {
    let table = table();
    table.learn(fact(5, OTHER));
    assert!(table.leaderless(SHARD, Epoch(6)));
    assert_eq!(known(&table), (6, None));
    assert!(!table.learn(fact(5, OTHER)), "the dead owner is not the owner of epoch 6");
    assert!(table.learn(fact(6, ME)));
    assert_eq!(known(&table), (6, Some(ME)));
}

#[test]
fn leaderless_epoch_that_is_not_higher_is_no_news() {
    let table = table();
    table.learn(fact(5, OTHER));
    assert!(!table.leaderless(SHARD, Epoch(5)));
    assert!(!table.leaderless(SHARD, Epoch(4)));
    assert_eq!(known(&table), (5, Some(OTHER)));
}

#[test]
fn ownership_ends_when_a_higher_owner_is_heard_of() {
    let (table, ownerships) = (table(), Ownerships::new());
    let held = ownerships.begin(SHARD.0, 5);
    assert!(table.hold(ME, held.clone()));
    assert!(held.is_current());
    assert!(table.learn(fact(6, OTHER)));
    assert!(!held.is_current());
    assert!(table.known(SHARD).held.is_none());
}

#[test]
fn ownership_ends_when_a_higher_epoch_begins_without_an_owner() {
    let (table, ownerships) = (table(), Ownerships::new());
    let held = ownerships.begin(SHARD.0, 5);
    table.hold(ME, held.clone());
    assert!(table.leaderless(SHARD, Epoch(6)));
    assert!(!held.is_current());
}

#[test]
fn ownership_of_a_lower_epoch_is_not_held() {
    let (table, ownerships) = (table(), Ownerships::new());
    table.learn(fact(6, OTHER));
    assert!(!table.hold(ME, ownerships.begin(SHARD.0, 5)));
    assert!(!table.hold(ME, ownerships.begin(SHARD.0, 6)), "epoch 6 is the other's");
    assert!(table.hold(ME, ownerships.begin(SHARD.0, 7)));
    assert_eq!(known(&table), (7, Some(ME)));
}

#[test]
fn release_ends_only_the_epoch_it_names() {
    let (table, ownerships) = (table(), Ownerships::new());
    table.hold(ME, ownerships.begin(SHARD.0, 5));
    table.release(SHARD, Epoch(4));
    assert!(table.known(SHARD).holds());
    table.release(SHARD, Epoch(5));
    assert!(!table.known(SHARD).holds());
    assert_eq!(known(&table), (5, Some(ME)), "who owned the epoch stays known");
    // The same epoch can be held again: nobody else can have had it.
    assert!(table.hold(ME, ownerships.begin(SHARD.0, 5)));
}

#[test]
fn digest_is_answered_with_what_is_known_better() {
    let table = table();
    let facts = |list: [(u32, u64, u32); 3]| {
        list.map(|(shard, epoch, owner)| Fact {
            shard: ShardId(shard),
            epoch: Epoch(epoch),
            owner: NodeId(owner),
        })
    };
    let ours = facts([(0, 4, 1), (1, 5, 1), (2, 6, 1)]);
    for fact in ours {
        table.learn(fact);
    }
    assert_eq!(table.facts(), ours);
    let theirs = facts([(0, 4, 1), (1, 3, 2), (9, 9, 9)]);
    assert_eq!(table.better_than(&theirs), [ours[1], ours[2]]);
    assert_eq!(table.better_than(&ours), []);
}

#[test]
fn shard_out_of_range_is_ignored() {
    let table = table();
    assert!(!table.learn(Fact { shard: ShardId(3), epoch: Epoch(1), owner: ME }));
    assert!(table.watch(ShardId(3)).is_none());
    assert_eq!(table.known(ShardId(3)).owner, None);
}

#[test]
fn first_unknown_goes_up_as_owners_are_learned() {
    let table = table();
    assert_eq!(table.first_unknown(), Some(ShardId(0)));
    for shard in 0..3 {
        table.learn(Fact { shard: ShardId(shard), epoch: Epoch(1), owner: ME });
    }
    assert_eq!(table.first_unknown(), None);
}

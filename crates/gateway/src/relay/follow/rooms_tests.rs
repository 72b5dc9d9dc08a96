//! What happens to followed rooms, without a socket: events in, asks out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roomkeeper_protocol::{Data, Error, ErrorCode, Item, JoinOk};
use roomkeeper_types::{Epoch, LifeId, MessageId, NodeId, Offset, RoomName, ShardId, Timestamp};

use super::rooms::{Ask, Following, Rooms};
use crate::hub::{FeedFrame, Hub, Ready, Step, Subscriber, Waiter};

const LINGER: Duration = Duration::from_secs(1);
const LIFE: LifeId = LifeId { shard: ShardId(1), index: 5, ordinal: 0 };
const NEXT_LIFE: LifeId = LifeId { shard: ShardId(1), index: 9, ordinal: 0 };

fn room() -> RoomName {
    "a".parse().unwrap()
}

struct Fixture {
    hub: Arc<Hub>,
    rooms: Rooms,
    now: Instant,
}

impl Fixture {
    fn new() -> Self {
        let hub = Hub::new();
        Self { rooms: Rooms::new(hub.clone()), hub, now: Instant::now() }
    }

    fn follow(&mut self, life: LifeId) -> (Arc<Following>, Offset, Subscriber) {
        let subscriber = self.hub.subscribe(&room(), life, Waiter::new(1, Arc::<Ready>::default()));
        let (following, next) = self.rooms.follow(&room(), life);
        (following, next, subscriber)
    }

    fn asks(&mut self) -> Vec<Ask> {
        std::iter::from_fn(|| self.rooms.next_ask(self.now, LINGER)).collect()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn joined(&mut self, life: LifeId, epoch: u64, next: u64) {
        let ok = JoinOk {
            room: room(),
            owner: NodeId(2),
            epoch: Epoch(epoch),
            life,
            first: Offset(1),
            next: Offset(next),
            from: Offset(next),
            members: None,
            committed: None,
            unread: None,
        };
        self.rooms.joined(&room(), life, Ok(ok), self.now);
    }

    fn refused(&mut self, life: LifeId, code: ErrorCode) {
        self.rooms.joined(&room(), life, Err(Error::new(code, "no")), self.now);
    }

    fn messages(&mut self, offsets: std::ops::RangeInclusive<u64>) {
        let item = |offset| Item {
            offset: Offset(offset),
            epoch: Epoch(1),
            id: MessageId::generate(),
            from: "ann".parse().unwrap(),
            time: Timestamp(1),
            sent: None,
            data: Data::Json("1".into()),
        };
        let frame = FeedFrame::of(offsets.map(item).collect()).unwrap();
        self.rooms.messages(&room(), frame);
    }
}

fn join(life: LifeId) -> Ask {
    Ask::Join(room(), life)
}

fn has_frame(subscriber: &Subscriber, at: u64) -> bool {
    matches!(subscriber.at(Offset(at)), Step::Frame(_))
}

#[test]
fn life_is_joined_once_for_all_its_followers() {
    let mut f = Fixture::new();
    let _first = f.follow(LIFE);
    assert_eq!(f.asks(), [join(LIFE)]);
    let _second = f.follow(LIFE);
    assert_eq!(f.asks(), []);
    f.joined(LIFE, 1, 1);
    let _third = f.follow(LIFE);
    assert_eq!(f.asks(), []);
}

#[test]
fn follower_is_settled_when_the_owner_has_joined_it() {
    let mut f = Fixture::new();
    let (following, _, subscriber) = f.follow(LIFE);
    f.asks();
    assert!(!following.is_settled());
    f.joined(LIFE, 1, 7);
    assert!(following.is_settled());
    assert!(
        matches!(subscriber.at(Offset(5)), Step::Log(Offset(6))),
        "what came before the join is in the log"
    );
    f.messages(7..=8);
    assert!(has_frame(&subscriber, 7));
}

/// Nobody was subscribed when the message came, so no feed has it.
#[test]
fn follower_that_comes_behind_a_message_knows_that_it_is_in_the_log() {
    let mut f = Fixture::new();
    let (following, _, subscriber) = f.follow(LIFE);
    f.asks();
    f.joined(LIFE, 1, 1);
    drop(subscriber);
    f.rooms.release(&following, f.now);
    f.messages(1..=3);
    assert_eq!(f.follow(LIFE).1, Offset(4));
}

#[test]
fn room_that_nobody_needs_is_left_after_a_while_and_not_if_somebody_comes_back() {
    let mut f = Fixture::new();
    let (following, ..) = f.follow(LIFE);
    f.asks();
    f.joined(LIFE, 1, 1);
    f.rooms.release(&following, f.now);
    f.pass(LINGER / 2);
    assert_eq!(f.asks(), []);
    let (again, ..) = f.follow(LIFE);
    assert!(Arc::ptr_eq(&again, &following));
    f.pass(LINGER);
    assert_eq!(f.asks(), []);
    f.rooms.release(&again, f.now);
    f.pass(LINGER / 2);
    assert_eq!(f.asks(), [], "it counts from the last one on");
    f.pass(LINGER / 2);
    assert_eq!(f.asks(), [Ask::Leave(room())]);
    assert!(f.rooms.is_empty());
    let _new = f.follow(LIFE);
    assert_eq!(f.asks(), [join(LIFE)]);
}

#[test]
fn room_that_nobody_needs_before_it_is_joined_is_left_behind_the_reply() {
    let mut f = Fixture::new();
    let (following, ..) = f.follow(LIFE);
    f.asks();
    f.rooms.release(&following, f.now);
    f.pass(LINGER * 2);
    assert_eq!(f.asks(), []);
    f.joined(LIFE, 1, 1);
    f.pass(LINGER);
    assert_eq!(f.asks(), [Ask::Leave(room())]);
}

#[test]
fn room_that_moved_is_lost_to_its_followers_and_may_be_joined_again() {
    let mut f = Fixture::new();
    let (following, ..) = f.follow(LIFE);
    f.asks();
    f.joined(LIFE, 1, 1);
    f.rooms.moved(&room(), f.now);
    assert!(following.lost().is_cancelled());
    let (again, _, subscriber) = f.follow(LIFE);
    assert!(!again.lost().is_cancelled() && !again.is_settled());
    assert_eq!(f.asks(), [join(LIFE)]);
    f.messages(1..=1);
    assert!(!has_frame(&subscriber, 1), "nothing of the room is joined");
    // It concerns what was joined before.
    f.rooms.moved(&room(), f.now);
    assert!(!again.lost().is_cancelled());
    f.joined(LIFE, 3, 1);
    assert!(again.is_settled());
}

#[test]
fn join_that_is_refused_loses_its_followers() {
    let mut f = Fixture::new();
    let (following, ..) = f.follow(LIFE);
    f.asks();
    f.refused(LIFE, ErrorCode::Unavailable);
    assert!(following.lost().is_cancelled() && !following.is_settled());
    f.pass(LINGER);
    assert_eq!(f.asks(), [], "there is nothing to leave");
    assert!(f.rooms.is_empty());
}

#[test]
fn life_that_is_over_ends_for_its_followers() {
    for code in [ErrorCode::NotFound, ErrorCode::Recreated] {
        let mut f = Fixture::new();
        let (following, _, subscriber) = f.follow(LIFE);
        f.asks();
        f.refused(LIFE, code);
        assert!(following.is_settled() && !following.lost().is_cancelled());
        assert!(matches!(subscriber.at(Offset(1)), Step::Ended));
    }
}

#[test]
fn next_life_of_a_room_ends_the_former_one_and_has_messages_of_its_own() {
    let mut f = Fixture::new();
    let (former, _, of_former) = f.follow(LIFE);
    f.asks();
    f.joined(LIFE, 1, 1);
    let (_next, _, of_next) = f.follow(NEXT_LIFE);
    assert_eq!(f.asks(), [join(NEXT_LIFE)]);
    f.messages(1..=1);
    assert!(has_frame(&of_former, 1), "up to the reply they are the former one's");
    f.joined(NEXT_LIFE, 1, 1);
    f.messages(1..=2);
    assert!(has_frame(&of_next, 2) && !has_frame(&of_former, 2));
    assert!(matches!(of_former.at(Offset(2)), Step::Ended));
    assert!(!former.lost().is_cancelled());
}

/// A client was slow to say what its owner had told it.
#[test]
fn former_life_that_is_followed_late_takes_nothing_from_the_present_one() {
    let mut f = Fixture::new();
    let (_present, _, of_present) = f.follow(NEXT_LIFE);
    f.asks();
    f.joined(NEXT_LIFE, 1, 1);
    let (_former, _, of_former) = f.follow(LIFE);
    assert_eq!(f.asks(), [join(LIFE)]);
    f.refused(LIFE, ErrorCode::Recreated);
    f.messages(1..=1);
    assert!(has_frame(&of_present, 1));
    assert!(matches!(of_former.at(Offset(1)), Step::Ended));
}

#[test]
fn shard_with_a_higher_epoch_takes_its_rooms_from_the_former_owner() {
    let mut f = Fixture::new();
    let (following, ..) = f.follow(LIFE);
    f.asks();
    f.joined(LIFE, 4, 1);
    assert_eq!(f.rooms.unwatched(), [(ShardId(1), Epoch(4))]);
    f.rooms.overtaken(ShardId(2), Epoch(9), f.now);
    f.rooms.overtaken(ShardId(1), Epoch(3), f.now);
    assert!(!following.lost().is_cancelled());
    f.rooms.overtaken(ShardId(1), Epoch(4), f.now);
    assert!(following.lost().is_cancelled());
    f.pass(LINGER);
    assert_eq!(f.asks(), [Ask::Leave(room())], "the former owner may send on");
}

#[test]
fn link_that_is_gone_loses_all() {
    let mut f = Fixture::new();
    let (first, ..) = f.follow(LIFE);
    let (second, ..) = f.follow(NEXT_LIFE);
    f.asks();
    f.joined(LIFE, 1, 1);
    f.rooms.lose_all();
    assert!(first.lost().is_cancelled() && second.lost().is_cancelled());
    f.rooms.release(&first, f.now);
    f.pass(LINGER);
    assert_eq!(f.asks(), []);
}

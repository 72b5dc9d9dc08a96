//! The hub without sockets: frames in, steps out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use roomkeeper_cluster::{Audience, Observer};
use roomkeeper_protocol::Codec;
use roomkeeper_room::{Effect, Item, Payload, PayloadKind};
use roomkeeper_types::{Epoch, LifeId, MessageId, Offset, RoomName, ShardId, Timestamp};

use super::{Hub, Ready, Step, Subscriber, Waiter};

const LIFE: LifeId = LifeId { shard: ShardId(3), index: 9, ordinal: 0 };
const OTHER: LifeId = LifeId { shard: ShardId(3), index: 10, ordinal: 0 };

fn room() -> RoomName {
    "a".parse().unwrap()
}

fn item(offset: u64, bytes: usize) -> Item {
    let text = format!("\"{}\"", "x".repeat(bytes.saturating_sub(2)));
    Item {
        offset: Offset(offset),
        epoch: Epoch(1),
        id: MessageId::generate(),
        from: "ann".parse().unwrap(),
        time: Timestamp(1),
        sent: None,
        payload: Payload { kind: PayloadKind::Json, bytes: Bytes::from(text) },
    }
}

fn appended(life: LifeId, offsets: std::ops::RangeInclusive<u64>, bytes: usize) -> Effect {
    Effect::Appended { room: room(), life, items: offsets.map(|offset| item(offset, bytes)).collect() }
}

fn apply(hub: &Hub, effects: Vec<Effect>) {
    hub.applied(ShardId(3), effects);
}

fn subscribe(hub: &Arc<Hub>) -> (Subscriber, Arc<Ready>, Arc<Waiter>) {
    let ready = Arc::new(Ready::default());
    let waiter = Waiter::new(7, ready.clone());
    (hub.subscribe(&room(), LIFE, waiter.clone()), ready, waiter)
}

fn frame_at(subscriber: &Subscriber, position: u64) -> Option<(u64, u64)> {
    match subscriber.at(Offset(position)) {
        Step::Frame(frame) => Some((frame.first().get(), frame.last().get())),
        _ => None,
    }
}

fn log_at(subscriber: &Subscriber, position: u64) -> Option<u64> {
    match subscriber.at(Offset(position)) {
        Step::Log(to) => Some(to.get()),
        _ => None,
    }
}

fn waits_at(subscriber: &Subscriber, position: u64) -> bool {
    matches!(subscriber.at(Offset(position)), Step::Wait)
}

fn ready_ids(ready: &Ready) -> Vec<u64> {
    let mut ids = Vec::new();
    ready.take(&mut ids);
    ids
}

#[test]
fn life_without_subscribers_has_no_feed() {
    let hub = Hub::new();
    apply(&hub, vec![appended(LIFE, 1..=3, 10)]);
    assert!(hub.feed(LIFE).is_none());
    let (subscriber, ..) = subscribe(&hub);
    assert!(hub.feed(LIFE).is_some());
    drop(subscriber);
    assert!(hub.feed(LIFE).is_none());
}

#[test]
fn subscriber_at_a_frame_takes_it_and_then_waits() {
    let hub = Hub::new();
    let (subscriber, ..) = subscribe(&hub);
    subscriber.reached(Offset(5));
    assert!(waits_at(&subscriber, 5));
    apply(&hub, vec![appended(LIFE, 5..=6, 10)]);
    assert_eq!(frame_at(&subscriber, 5), Some((5, 6)));
    assert!(waits_at(&subscriber, 7));
}

#[test]
fn subscriber_in_the_middle_of_a_frame_gets_its_rest() {
    let hub = Hub::new();
    let (subscriber, ..) = subscribe(&hub);
    apply(&hub, vec![appended(LIFE, 5..=8, 10)]);
    let Step::Frame(frame) = subscriber.at(Offset(7)) else { panic!("expected a frame") };
    let part = frame.part(Codec::Json, &room(), Offset(7), Offset(7)).into_text().unwrap();
    assert!(
        part.contains("\"offset\":7") && !part.contains("\"offset\":6") && !part.contains("\"offset\":8")
    );
}

#[test]
fn subscriber_below_the_feed_reads_the_log_up_to_it() {
    let hub = Hub::new();
    let (subscriber, ..) = subscribe(&hub);
    subscriber.reached(Offset(5));
    assert_eq!(log_at(&subscriber, 2), Some(4));
    apply(&hub, vec![appended(LIFE, 5..=6, 10)]);
    assert_eq!(log_at(&subscriber, 2), Some(4));
}

#[test]
fn feed_that_is_full_drops_the_oldest_and_sends_who_needs_them_to_the_log() {
    let hub = Hub::new();
    let (subscriber, ..) = subscribe(&hub);
    for offset in 1..=300 {
        apply(&hub, vec![appended(LIFE, offset..=offset, 10)]);
    }
    assert_eq!(hub.feed(LIFE).unwrap().frames(), 256);
    assert_eq!(log_at(&subscriber, 1), Some(44));
    assert_eq!(frame_at(&subscriber, 45), Some((45, 45)));

    // By bytes, too: 60 KiB each, so 17 fit in 1 MiB.
    for offset in 301..=400 {
        apply(&hub, vec![appended(LIFE, offset..=offset, 60 << 10)]);
    }
    assert_eq!(hub.feed(LIFE).unwrap().frames(), 17);
    assert_eq!(log_at(&subscriber, 45), Some(383));
}

#[test]
fn feed_that_is_old_is_swept_and_its_subscribers_read_the_log() {
    let hub = Hub::new();
    let (subscriber, ..) = subscribe(&hub);
    apply(&hub, vec![appended(LIFE, 1..=1, 10)]);
    hub.sweep(Instant::now());
    assert_eq!(frame_at(&subscriber, 1), Some((1, 1)));
    hub.sweep(Instant::now() + Duration::from_secs(60));
    assert_eq!(log_at(&subscriber, 1), Some(1));
    assert!(waits_at(&subscriber, 2));
}

#[test]
fn appends_of_one_run_share_frames_up_to_their_size() {
    let hub = Hub::new();
    let (subscriber, ..) = subscribe(&hub);
    let effects = (1..=300).flat_map(|n| [appended(LIFE, n..=n, 10), appended(OTHER, n..=n, 10)]).collect();
    apply(&hub, effects);
    assert_eq!(frame_at(&subscriber, 1), Some((1, 256)));
    assert_eq!(frame_at(&subscriber, 257), Some((257, 300)));
}

#[test]
fn copy_that_jumped_keeps_only_what_is_without_gaps() {
    let hub = Hub::new();
    let (subscriber, ..) = subscribe(&hub);
    apply(&hub, vec![appended(LIFE, 1..=2, 10)]);
    apply(&hub, vec![appended(LIFE, 9..=9, 10)]);
    assert_eq!(log_at(&subscriber, 1), Some(8));
    assert_eq!(frame_at(&subscriber, 9), Some((9, 9)));
}

#[test]
fn frames_that_are_told_again_are_dropped() {
    let hub = Hub::new();
    let (subscriber, ..) = subscribe(&hub);
    apply(&hub, vec![appended(LIFE, 1..=2, 10)]);
    apply(&hub, vec![appended(LIFE, 1..=2, 10)]);
    assert_eq!(hub.feed(LIFE).unwrap().frames(), 1);
    assert_eq!(frame_at(&subscriber, 1), Some((1, 2)));
}

/// Rows are written before the observer is called: another subscriber's join may see them in between.
#[test]
fn subscriber_above_the_feed_and_below_the_rows_reads_the_log() {
    let hub = Hub::new();
    let (subscriber, ..) = subscribe(&hub);
    apply(&hub, vec![appended(LIFE, 1..=2, 10)]);
    subscriber.reached(Offset(5));
    assert_eq!(log_at(&subscriber, 3), Some(4));
    // Meanwhile the frame came, and reaches further.
    apply(&hub, vec![appended(LIFE, 3..=6, 10)]);
    assert_eq!(frame_at(&subscriber, 5), Some((3, 6)));
}

#[test]
fn deleted_room_ends_after_what_the_feed_still_has() {
    let hub = Hub::new();
    let (subscriber, ..) = subscribe(&hub);
    apply(&hub, vec![appended(LIFE, 1..=2, 10), Effect::Deleted { room: room(), life: LIFE }]);
    assert_eq!(frame_at(&subscriber, 1), Some((1, 2)));
    assert!(matches!(subscriber.at(Offset(3)), Step::Ended));
}

#[test]
fn frame_is_encoded_once_for_all_subscribers_of_a_codec() {
    let hub = Hub::new();
    let (first, ..) = subscribe(&hub);
    let (second, ..) = subscribe(&hub);
    apply(&hub, vec![appended(LIFE, 1..=2, 10)]);
    let bytes = |subscriber: &Subscriber, codec| match subscriber.at(Offset(1)) {
        Step::Frame(frame) => frame.message(codec, &room()).into_data(),
        _ => panic!("expected a frame"),
    };
    for codec in Codec::ALL {
        assert_eq!(bytes(&first, codec).as_ptr(), bytes(&second, codec).as_ptr());
    }
}

#[test]
fn frames_wake_each_subscriber_once_until_it_looks() {
    let hub = Hub::new();
    let (subscriber, ready, waiter) = subscribe(&hub);
    apply(&hub, vec![appended(LIFE, 1..=1, 10)]);
    apply(&hub, vec![appended(LIFE, 2..=2, 10)]);
    hub.wake_dirty();
    apply(&hub, vec![appended(LIFE, 3..=3, 10)]);
    hub.wake_dirty();
    assert_eq!(ready_ids(&ready), [7]);
    waiter.taken();
    apply(&hub, vec![appended(LIFE, 4..=4, 10)]);
    hub.wake_dirty();
    assert_eq!(ready_ids(&ready), [7]);
    drop(subscriber);
}

/// A subscriber that registers while messages are being appended sees every one from its start on, whether it
/// comes out of the feed or out of the rows.
#[test]
fn subscriber_that_registers_amid_appends_misses_nothing() {
    use std::sync::atomic::{AtomicU64, Ordering};

    const LAST: u64 = 2_000;
    let hub = Hub::new();
    // What the rows would say: set before the observer is called, as rows are written before it is.
    let rows_next = Arc::new(AtomicU64::new(1));
    let appender = {
        let (hub, rows_next) = (hub.clone(), rows_next.clone());
        std::thread::spawn(move || {
            for offset in 1..=LAST {
                rows_next.store(offset + 1, Ordering::Release);
                apply(&hub, vec![appended(LIFE, offset..=offset, 10)]);
            }
        })
    };
    while !appender.is_finished() || rows_next.load(Ordering::Acquire) <= LAST {
        let (subscriber, ..) = subscribe(&hub);
        let start = rows_next.load(Ordering::Acquire);
        subscriber.reached(Offset(start));
        let mut position = start;
        let until = (start + 50).min(LAST + 1);
        while position < until {
            match subscriber.at(Offset(position)) {
                Step::Frame(frame) => position = frame.last().get() + 1,
                Step::Log(to) => {
                    assert!(
                        to.get() < rows_next.load(Ordering::Acquire),
                        "the log must have what it is asked for"
                    );
                    position = to.get() + 1;
                }
                Step::Wait => std::thread::yield_now(),
                Step::Ended => panic!("the room goes on"),
            }
        }
    }
    appender.join().unwrap();
}

#[test]
fn audience_counts_listeners_and_what_they_are_handed() {
    let hub = Hub::new();
    assert_eq!(hub.audiences(), []);
    let (first, ..) = subscribe(&hub);
    let second = subscribe(&hub);
    apply(&hub, vec![appended(LIFE, 1..=3, 10)]);
    apply(&hub, vec![appended(LIFE, 4..=4, 10), appended(OTHER, 1..=9, 10)]);
    hub.wake_dirty();
    assert_eq!(hub.audiences(), [(LIFE.shard, Audience { subscribers: 2, deliveries: 8 })]);
    drop(second);
    apply(&hub, vec![appended(LIFE, 5..=5, 10)]);
    hub.wake_dirty();
    drop(first);
    assert_eq!(hub.audiences(), [(LIFE.shard, Audience { subscribers: 0, deliveries: 9 })]);
}

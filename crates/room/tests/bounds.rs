//! An entry must not hold up its shard: what one command trims or drops is bounded, and what is left over is due at
//! once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use roomkeeper_room::{
    Applier, Batch, Command, Create, Due, DueKind, Effect, Hold, MemRows, NewMessage, Outcome, Payload,
    PayloadKind, Publish, RoomOptions, read,
};
use roomkeeper_types::{
    Epoch, LogIndex, LogPosition, MessageId, Offset, RoomName, ShardCount, ShardId, Timestamp,
};

/// How many messages a command trims at most, beside those that it appends.
const BOUND: u64 = 1_000;

#[derive(Default)]
struct Shard {
    rows: MemRows,
    index: u64,
    ids: u128,
}

impl Shard {
    fn apply(&mut self, time: u64, command: Command) -> Vec<Effect> {
        self.index += 1;
        let at = LogPosition { epoch: Epoch(1), index: LogIndex(self.index) };
        let mut applier = Applier::new(&self.rows, ShardId(0), ShardCount::new(1).unwrap());
        let mut effects = Vec::new();
        let batch = Batch { time: Timestamp(time), commands: vec![command] };
        let outcomes = applier.apply(at, batch, &mut effects).unwrap();
        assert!(!matches!(outcomes[0], Outcome::Refused(_)), "{outcomes:?}");
        let writes = applier.into_writes();
        self.rows.apply_writes(&writes);
        effects
    }

    fn messages(&mut self, count: usize, bytes: usize) -> Vec<NewMessage> {
        let new = |_| {
            self.ids += 1;
            let payload = Payload { kind: PayloadKind::Binary, bytes: Bytes::from(vec![b'x'; bytes]) };
            NewMessage { id: MessageId(self.ids.to_be_bytes()), sent: None, payload }
        };
        (0..count).map(new).collect()
    }

    fn publish(&mut self, time: u64, count: usize, bytes: usize) -> Vec<Effect> {
        let messages = self.messages(count, bytes);
        let (room, from) = (name(), "ann".parse().unwrap());
        let publish = Publish {
            room,
            from,
            messages,
            life: None,
            expect: None,
            create: Some(RoomOptions::default()),
            placed: false,
        };
        self.apply(time, Command::Publish(publish))
    }

    fn due(&self, until: u64) -> Vec<Due> {
        read::due(&self.rows, Timestamp(0)..=Timestamp(until), usize::MAX).unwrap()
    }

    fn kept(&self) -> (Offset, u64) {
        let room = read::room(&self.rows, &name()).unwrap().unwrap();
        (room.first, room.messages)
    }
}

fn name() -> RoomName {
    "a".parse().unwrap()
}

fn create(options: RoomOptions) -> Command {
    Command::Create(Create { room: name(), exclusive: true, options, placed: false })
}

#[test]
fn large_message_after_many_small_ones_trims_a_bounded_number_and_the_rest_is_due() {
    let mut shard = Shard::default();
    shard.apply(1, create(RoomOptions { retain_bytes: Some(2_500), ..RoomOptions::default() }));
    shard.publish(2, 2_500, 1);
    assert_eq!(shard.kept(), (Offset(1), 2_500));
    shard.publish(3, 1, 2_500);
    assert_eq!(shard.kept(), (Offset(BOUND + 2), 1_500));

    // The rest goes by sweeps, each bounded as well, until there is nothing more to do.
    let mut sweeps = 0;
    while let dues @ [_, ..] = &shard.due(10 + sweeps)[..] {
        assert!(matches!(dues, [Due { what: DueKind::Age, .. }]), "a room has one due: {dues:?}");
        let before = shard.kept().1;
        shard.apply(10 + sweeps, Command::Sweep(dues.to_vec()));
        assert!(before - shard.kept().1 <= BOUND);
        sweeps += 1;
    }
    assert_eq!((shard.kept(), sweeps), ((Offset(2_501), 1), 2));
}

#[test]
fn append_goes_on_where_the_one_before_stopped() {
    let mut shard = Shard::default();
    shard.apply(1, create(RoomOptions { retain_bytes: Some(2_500), ..RoomOptions::default() }));
    shard.publish(2, 2_500, 1);
    shard.publish(3, 1, 2_500);
    shard.publish(4, 1, 1);
    shard.publish(5, 1, 1);
    assert_eq!(shard.kept(), (Offset(2_502), 2));
    // What was due is done: the sweep finds nothing to do.
    let dues = shard.due(10);
    assert_eq!(dues.len(), 1);
    assert_eq!(shard.apply(10, Command::Sweep(dues)), []);
    assert_eq!((shard.kept(), shard.due(10)), ((Offset(2_502), 2), vec![]));
}

#[test]
fn batch_larger_than_the_bound_is_trimmed_to_the_limit_at_once() {
    let mut shard = Shard::default();
    shard.apply(1, create(RoomOptions { retain_messages: Some(10), ..RoomOptions::default() }));
    shard.publish(2, 3_000, 1);
    assert_eq!((shard.kept(), shard.due(10)), ((Offset(2_991), 10), vec![]));
}

#[test]
fn many_old_messages_are_trimmed_by_several_sweeps() {
    let mut shard = Shard::default();
    shard.apply(1, create(RoomOptions { retain_ms: Some(5), ..RoomOptions::default() }));
    shard.publish(2, 2_500, 1);
    shard.publish(4, 1, 1);
    let kept = (7..).map(|time| {
        let dues = shard.due(time);
        let effects = shard.apply(time, Command::Sweep(dues));
        assert!(matches!(effects[..], [Effect::Trimmed { .. }]));
        shard.kept().1
    });
    assert_eq!(kept.take(3).collect::<Vec<_>>(), [1_501, 501, 0]);
}

#[test]
fn many_holds_that_ran_out_are_dropped_by_several_sweeps() {
    let mut shard = Shard::default();
    for _ in 0..5 {
        let messages = shard.messages(400, 1);
        let (room, from) = (name(), "ann".parse().unwrap());
        let hold = Hold {
            room,
            from,
            messages,
            life: None,
            hold_ms: 5,
            create: Some(RoomOptions::default()),
            placed: false,
        };
        shard.apply(1, Command::Hold(hold));
    }
    let dropped = (6..).map(|time| shard.apply(time, Command::Sweep(shard.due(time))).len());
    // A hold is dropped whole, the third of a sweep too.
    assert_eq!(dropped.take(3).collect::<Vec<_>>(), [3, 2, 0]);
}

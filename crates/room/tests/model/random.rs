//! Random logs over a few rooms, users, ids and contents, so that commands meet each other.
//!
//! Which dues there are to sweep and which holds to end depends on what went before: a plan says which to take, and
//! the model what there is to take from.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use roomkeeper_room::{
    Batch, Command, Commit, Create, DEDUPE_MIN_MS, Delete, Due, Forward, Hold, HoldRef, Item, NewMessage,
    Payload, PayloadKind, Publish, RoomOptions,
};
use roomkeeper_types::{
    Epoch, LifeId, LogIndex, LogPosition, MessageId, Offset, RoomName, ShardId, Timestamp, UserId,
};

use super::plain::{Model, SHARD};

/// A command on its way.
#[derive(Debug, Clone)]
enum Plan {
    Command(Command),
    End(End),
    Sweep(Sweep),
}

/// Confirm or roll back a hold.
#[derive(Debug, Clone)]
struct End {
    room: RoomName,
    life: Option<LifeId>,
    /// Instead of the hold's sender.
    from: Option<UserId>,
    rolls_back: bool,
    /// Which of the room's open holds; if there is none, or `Err`, these ids.
    hold: Result<Index, Vec<MessageId>>,
    /// Leave out the last id, or add one.
    change: Change,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    None,
    LeaveOut,
    Add(MessageId),
}

/// Sweep something.
#[derive(Debug, Clone)]
enum Sweep {
    /// What is due.
    Due,
    /// All there is in the due table, due or not, and twice.
    All,
    /// What was in the due table at some time, and maybe is not any more.
    Former(Vec<Index>),
}

fn any_room() -> impl Strategy<Value = RoomName> {
    prop_oneof![4 => Just("a"), 2 => Just("ab"), 2 => Just("aa")].prop_map(|name| name.parse().unwrap())
}

fn any_user() -> impl Strategy<Value = UserId> {
    prop_oneof![6 => Just("ann"), 1 => Just("bob")].prop_map(|name| name.parse().unwrap())
}

/// Mostly none; else one that an entry of the log may have created.
fn any_life() -> impl Strategy<Value = Option<LifeId>> {
    let life = (1..12_u64, 0..3_u32).prop_map(|(index, ordinal)| LifeId { shard: SHARD, index, ordinal });
    option::weighted(0.1, life)
}

fn any_id() -> impl Strategy<Value = MessageId> {
    (0..14_u8).prop_map(|id| MessageId([id; 16]))
}

/// An id has one content mostly.
fn any_message() -> impl Strategy<Value = NewMessage> {
    let sent = option::of((0..3_u64).prop_map(Timestamp));
    (any_id(), prop_oneof![12 => Just(0_u8), 1 => 1..3_u8], sent).prop_map(|(id, other, sent)| {
        let kind = if other == 2 { PayloadKind::Binary } else { PayloadKind::Json };
        let data = if other == 1 { String::from("0") } else { format!("\"{}\"", id.0[0]) };
        NewMessage { id, sent, payload: Payload { kind, bytes: data.into() } }
    })
}

fn any_messages() -> impl Strategy<Value = Vec<NewMessage>> {
    prop_oneof![12 => vec(any_message(), 1..2), 6 => vec(any_message(), 2..5), 1 => Just(vec![])]
}

fn any_options() -> impl Strategy<Value = RoomOptions> {
    let retain = || (option::of(0..8_u64), option::of(0..5_u64), option::of(0..14_u64));
    let options =
        (retain(), any::<bool>(), option::of(0..9_u32)).prop_map(|(retain, presence, max_members)| {
            let (retain_ms, retain_messages, retain_bytes) = retain;
            RoomOptions { retain_ms, retain_messages, retain_bytes, presence, max_members }
        });
    prop_oneof![1 => Just(RoomOptions::default()), 3 => options]
}

fn any_command() -> impl Strategy<Value = Command> {
    let flags = || (any::<bool>(), any::<bool>());
    let create = (any_room(), any_options(), flags()).prop_map(|(room, options, (exclusive, placed))| {
        Command::Create(Create { room, exclusive, options, placed })
    });
    let delete = (any_room(), any_life()).prop_map(|(room, life)| Command::Delete(Delete { room, life }));
    let expect = option::weighted(0.2, (1..6_u64).prop_map(Offset));
    let creates = || (option::of(any_options()), any::<bool>());
    let publish = (any_room(), any_life(), any_user(), any_messages(), expect, creates()).prop_map(
        |(room, life, from, messages, expect, (create, placed))| {
            Command::Publish(Publish { room, life, from, messages, expect, create, placed })
        },
    );
    let hold = (any_room(), any_life(), any_user(), any_messages(), 0..20_u64, creates()).prop_map(
        |(room, life, from, messages, hold_ms, (create, placed))| {
            Command::Hold(Hold { room, life, from, messages, hold_ms, create, placed })
        },
    );
    let consumer = select(vec!["phone", "laptop"]).prop_map(|name| name.parse().unwrap());
    let commit = (any_room(), any_life(), consumer, 0..6_u64).prop_map(|(room, life, consumer, offset)| {
        Command::Commit(Commit { room, life, consumer, offset: Offset(offset) })
    });
    let forward =
        (any_room(), 0..3_u32).prop_map(|(room, to)| Command::Forward(Forward { room, to: ShardId(to) }));
    prop_oneof![6 => create, 3 => delete, 16 => publish, 16 => hold, 6 => commit, 1 => forward]
}

fn any_end() -> impl Strategy<Value = End> {
    let hold = prop_oneof![4 => any::<Index>().prop_map(Ok), 1 => vec(any_id(), 0..3).prop_map(Err)];
    let change = prop_oneof![6 => Just(Change::None), 1 => Just(Change::LeaveOut), 1 => any_id().prop_map(Change::Add)];
    let from = option::weighted(0.2, any_user());
    (any_room(), any_life(), from, any::<bool>(), hold, change).prop_map(
        |(room, life, from, rolls_back, hold, change)| End { room, life, from, rolls_back, hold, change },
    )
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let former = vec(any::<Index>(), 0..4).prop_map(Sweep::Former);
    let sweep = prop_oneof![4 => Just(Sweep::Due), 1 => Just(Sweep::All), 1 => former];
    prop_oneof![
        12 => any_command().prop_map(Plan::Command),
        4 => any_end().prop_map(Plan::End),
        2 => sweep.prop_map(Plan::Sweep),
    ]
}

/// Entries with growing indices, epochs and stamps, some indices left out as Raft's own entries are.
pub(crate) fn any_log() -> impl Strategy<Value = Vec<(LogPosition, Batch)>> {
    let pause = prop_oneof![6 => Just(0), 6 => Just(1), 2 => 2..8_u64, 1 => Just(DEDUPE_MIN_MS)];
    let entry = (vec(any_plan(), 1..5), prop_oneof![5 => Just(0_u64), 1 => 1..3_u64], pause);
    vec(entry, 0..20).prop_map(|entries| {
        let (mut epoch, mut index, mut time) = (1, 0, 1000);
        let mut world = World::default();
        let entry = |(plans, skip, pause): (Vec<Plan>, u64, u64)| {
            epoch += skip;
            index += 1 + skip;
            time += pause;
            let at = LogPosition { epoch: Epoch(epoch), index: LogIndex(index) };
            (at, world.carry_out(at, Timestamp(time), plans))
        };
        entries.into_iter().map(entry).collect()
    })
}

/// What the log has come to so far.
#[derive(Default)]
struct World {
    model: Model,
    /// Everything that ever was due.
    former: Vec<Due>,
}

impl World {
    fn carry_out(&mut self, at: LogPosition, time: Timestamp, plans: Vec<Plan>) -> Batch {
        let mut batch = Batch { time, commands: Vec::new() };
        let before = self.model.clone();
        for plan in plans {
            batch.commands.push(match plan {
                Plan::Command(command) => command,
                Plan::End(end) => self.end(end),
                Plan::Sweep(sweep) => Command::Sweep(self.sweep(sweep, time)),
            });
            self.model = before.clone();
            self.model.apply(at, &batch, &mut Vec::new());
            self.former.extend(&self.model.dues);
        }
        batch
    }

    fn end(&self, end: End) -> Command {
        let End { room, life, from, rolls_back, hold, change } = end;
        let holds = self.model.rooms.get(&room).map(|room| room.holds.values().collect::<Vec<_>>());
        let (sender, mut ids) = match (hold, holds) {
            (Ok(index), Some(holds)) if !holds.is_empty() => {
                let hold = holds[index.index(holds.len())];
                // In another order than they were held in.
                (hold.from.clone(), hold.messages.iter().rev().map(|new| new.id).collect())
            }
            (hold, _) => ("ann".parse().unwrap(), hold.err().unwrap_or_default()),
        };
        match change {
            Change::None => {}
            Change::LeaveOut => drop(ids.pop()),
            Change::Add(id) => ids.push(id),
        }
        let asked = HoldRef { room, life, from: from.unwrap_or(sender), ids };
        if rolls_back { Command::Rollback(asked) } else { Command::Confirm(asked) }
    }

    fn sweep(&self, sweep: Sweep, now: Timestamp) -> Vec<Due> {
        let dues = || self.model.dues.iter().copied();
        match sweep {
            Sweep::Due => dues().take_while(|due| due.time <= now).collect(),
            Sweep::All => dues().chain(dues()).collect(),
            Sweep::Former(_) if self.former.is_empty() => Vec::new(),
            Sweep::Former(which) => {
                which.into_iter().map(|index| self.former[index.index(self.former.len())]).collect()
            }
        }
    }
}

/// Cuts a log into runs: behind the entries whose bits are set.
pub(crate) fn cut<T>(mut log: &[T], cuts: u64) -> Vec<&[T]> {
    let mut runs = Vec::new();
    let mut len = 0;
    for bit in 0..log.len() {
        len += 1;
        if cuts >> (bit % 64) & 1 == 1 {
            let (run, rest) = log.split_at(len);
            runs.push(run);
            (log, len) = (rest, 0);
        }
    }
    runs.push(log);
    runs
}

/// How many message ids the command names.
pub(crate) fn ids(command: &Command) -> usize {
    match command {
        Command::Publish(publish) => publish.messages.len(),
        Command::Hold(hold) => hold.messages.len(),
        Command::Confirm(asked) | Command::Rollback(asked) => asked.ids.len(),
        Command::Create(_)
        | Command::Delete(_)
        | Command::Commit(_)
        | Command::Forward(_)
        | Command::Sweep(_) => 0,
    }
}

/// The item with each of its fields changed in turn.
pub(crate) fn changed_by_one_field(item: &Item) -> Vec<Item> {
    let change = |change: fn(&mut Item)| {
        let mut item = item.clone();
        change(&mut item);
        item
    };
    let flip = |kind| if kind == PayloadKind::Json { PayloadKind::Binary } else { PayloadKind::Json };
    let mut kind = item.clone();
    kind.payload.kind = flip(item.payload.kind);
    vec![
        kind,
        change(|item| item.offset = item.offset.next()),
        change(|item| item.epoch = item.epoch.next()),
        change(|item| item.id.0[15] ^= 1),
        change(|item| item.from = "eve".parse().unwrap()),
        change(|item| item.time.0 += 1),
        change(|item| item.sent = if item.sent.is_some() { None } else { Some(Timestamp(0)) }),
        change(|item| item.payload.bytes = Bytes::from([&item.payload.bytes[..], b" "].concat())),
    ]
}

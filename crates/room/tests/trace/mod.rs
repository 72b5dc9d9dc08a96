//! Runs a trace file and compares what it says with what happens.

mod parse;
mod render;

use std::fmt::Write as _;

use roomkeeper_room::{Applier, Batch, Command, MemRows, Write, keys, read};
use roomkeeper_types::{
    Epoch, LifeId, LogIndex, LogPosition, Offset, RoomName, ShardCount, ShardId, Timestamp,
};

use parse::Words;

pub(crate) const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces");

pub(crate) fn check(name: &str) {
    let path = format!("{DIR}/{name}.trace");
    let wanted = std::fs::read_to_string(&path).unwrap();
    let happened = play(&wanted);
    if std::env::var_os("UPDATE_TRACES").is_some() {
        std::fs::write(&path, happened).unwrap();
    } else {
        assert!(wanted == happened, "{path} differs; what happened:\n\n{happened}");
    }
}

/// The trace with its outputs as they come out now.
fn play(trace: &str) -> String {
    let mut world = World::new();
    let mut out = String::new();
    for line in trace.lines() {
        let input = line.strip_prefix("> ");
        if input.is_some() || line.is_empty() || line.starts_with('#') {
            writeln!(out, "{line}").unwrap();
        }
        if let Some(input) = input {
            out.push_str(&world.carry_out(input));
        }
    }
    out
}

struct World {
    rows: MemRows,
    shard: ShardId,
    shards: ShardCount,
    epoch: u64,
    index: u64,
    time: u64,
}

impl World {
    fn new() -> Self {
        let shards = ShardCount::new(1).unwrap();
        Self { rows: MemRows::default(), shard: ShardId(0), shards, epoch: 1, index: 0, time: 1000 }
    }

    fn carry_out(&mut self, line: &str) -> String {
        let mut words = Words::of(line);
        match words.next() {
            "epoch" => self.epoch = words.number(),
            "shard" => {
                self.shard = ShardId(words.number() as u32);
                assert_eq!(words.next(), "of");
                self.shards = ShardCount::new(words.number() as u32).unwrap();
            }
            // Damage.
            "lose" => {
                let life = self.life(&words.parse());
                let key = keys::message(life, Offset(words.number()));
                self.rows.apply_writes(&[Write::Delete(key.to_vec().into())]);
            }
            "info" => return render::info(read::room(&self.rows, &words.parse()).unwrap()),
            "rows" => return render::rows(&self.rows),
            "history" => return self.history(words),
            "cursor" => {
                let life = self.life(&words.parse());
                let cursor = read::cursor(&self.rows, life, &words.parse()).unwrap();
                return cursor.map_or(String::from("no cursor\n"), |offset| format!("{offset}\n"));
            }
            "holds" => {
                let life = self.life(&words.parse());
                let limit = words.option("limit").map_or(100, |limit| limit.parse().unwrap());
                return read::holds(&self.rows, life, limit).unwrap().iter().map(render::hold).collect();
            }
            "due" => {
                let time = |name, default| words.option(name).map_or(default, |time| time.parse().unwrap());
                let times = Timestamp(time("since", 0))..=Timestamp(time("until", u64::MAX));
                let limit = words.option("limit").map_or(100, |limit| limit.parse().unwrap());
                return read::due(&self.rows, times, limit).unwrap().iter().map(render::due).collect();
            }
            "forwarded" => {
                let to = read::forward(&self.rows, &words.parse()).unwrap();
                return to.map_or(String::from("nowhere\n"), |shard| format!("to {shard}\n"));
            }
            "rooms" => {
                let prefix = words.option("prefix").unwrap_or_default();
                let limit = words.option("limit").map_or(100, |limit| limit.parse().unwrap());
                let rooms = read::rooms(&self.rows, prefix, words.option("after"), limit).unwrap();
                return rooms.into_iter().map(|room| render::info(Some(room))).collect();
            }
            _ => return self.run(line),
        }
        String::new()
    }

    fn history(&self, mut words: Words<'_>) -> String {
        let name = words.parse();
        let life: Option<LifeId> = words.option("life").map(|life| life.parse().unwrap());
        let life = life.unwrap_or_else(|| self.life(&name));
        let number = |name, default| words.option(name).map_or(default, |n| n.parse().unwrap());
        let (from, last) = (Offset(number("from", 1)), Offset(number("last", u64::MAX)));
        let (limit, bytes) = (number("limit", 100) as usize, number("bytes", 1 << 20) as usize);
        match read::history(&self.rows, life, from, last, limit, bytes) {
            Ok(items) => items.iter().map(|item| render::item(item) + "\n").collect(),
            Err(error) => format!("error: {error}\n"),
        }
    }

    fn life(&self, room: &RoomName) -> LifeId {
        read::room(&self.rows, room).unwrap().unwrap().life
    }

    fn run(&mut self, line: &str) -> String {
        let rows = self.rows.clone();
        let mut applier = Applier::new(&rows, self.shard, self.shards);
        let mut out = String::new();
        for entry in line.split(" | ") {
            self.index += 1;
            self.time += 1;
            let mut entry = entry;
            if let Some((time, rest)) = entry.strip_prefix('@').and_then(|entry| entry.split_once(' ')) {
                (self.time, entry) = (time.parse().unwrap(), rest);
            }
            let at = LogPosition { epoch: Epoch(self.epoch), index: LogIndex(self.index) };
            let command = |text| match text {
                "sweep" => {
                    Command::Sweep(read::due(&rows, Timestamp(0)..=Timestamp(self.time), 100).unwrap())
                }
                _ => parse::command(text),
            };
            let commands: Vec<Command> = entry.split(" ; ").map(command).collect();
            // By way of its bytes, as an entry comes.
            let batch = Batch { time: Timestamp(self.time), commands };
            let batch = Batch::decode(batch.encode()).unwrap();
            let mut effects = Vec::new();
            for outcome in applier.apply(at, batch, &mut effects).unwrap() {
                writeln!(out, "{}", render::outcome(&outcome)).unwrap();
            }
            effects.iter().for_each(|effect| out.push_str(&render::effect(effect)));
        }
        self.rows.apply_writes(&applier.into_writes());
        out
    }
}

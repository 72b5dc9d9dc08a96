//! Reads a history: lines are put together to publishes, reads and subscriptions, room by room.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use roomkeeper_types::RoomName;

use super::access::Guest;
use super::asked::{Answer, Asked};
use super::cursors::Commit;
use super::event::{At, Event, FORMAT, Id, Line};
use super::holds::{Hold, HoldInvoke, HoldOk, SettleInvoke};
use super::presence::{Member, Picture};
use super::view::{
    Copy, Ending, Fault, History, Log, Outcome, Own, Read, ReadOutcome, Room, Said, Send, Sub, SubEvent,
};

impl History {
    /// Reads a file of JSON lines. A last line that was cut off (its writer was killed) is left out.
    ///
    /// # Errors
    /// It cannot be read, or is no history.
    pub fn load(path: &Path) -> Result<Self> {
        let shown = || path.display();
        let file = File::open(path).with_context(|| format!("cannot open {}", shown()))?;
        let mut lines = Vec::new();
        let mut reader = BufReader::new(file);
        let mut text = String::new();
        for number in 1.. {
            text.clear();
            if reader.read_line(&mut text).with_context(|| format!("cannot read {}", shown()))? == 0 {
                break;
            }
            match serde_json::from_str::<Line>(&text) {
                Ok(line) => lines.push(line),
                Err(_) if !text.ends_with('\n') => break,
                Err(error) => bail!("{} line {number}: {error}", shown()),
            }
        }
        Self::from_lines(lines).with_context(|| format!("{} is no history", shown()))
    }

    /// Puts lines together, in any order but for the first.
    ///
    /// # Errors
    /// The first does not say what is run, or one belongs to something that never began.
    pub fn from_lines(mut lines: Vec<Line>) -> Result<Self> {
        let Some(Line { event: Event::Run(info), .. }) = lines.first() else {
            bail!("its first line does not say what is run");
        };
        ensure!(info.format <= FORMAT, "its format {} is newer than {FORMAT}", info.format);
        let mut loader = Loader::default();
        loader.history.info = info.clone();
        // Stable: what one task noted within a microsecond keeps its order.
        lines.sort_by_key(|line| line.t);
        for Line { t, event } in lines {
            loader.history.end = t;
            loader.add(t, event)?;
        }
        Ok(loader.history)
    }
}

/// Where something that has begun is: its room, and its place in the room's list.
type Began = HashMap<Id, (RoomName, usize)>;

#[derive(Default)]
struct Loader {
    history: History,
    sends: Began,
    reads: Began,
    subs: Began,
    faults: HashMap<Id, usize>,
    holds: Began,
    asked: HashMap<Id, Place>,
    members: Began,
    guests: HashMap<Id, usize>,
}

/// Where something asked is: its room, and its places there.
#[derive(Clone)]
enum Place {
    Hold(RoomName, usize, usize),
    Word(RoomName, usize, usize),
    Commit(RoomName, usize),
}

impl Loader {
    fn add(&mut self, t: At, event: Event) -> Result<()> {
        let history = &mut self.history;
        match event {
            Event::Run(_) => {}
            Event::Node { node, id } => drop(history.nodes.insert(node, id)),
            Event::Phase { phase } => history.phases.push((t, phase)),
            Event::SendInvoke(invoke) => {
                let sends = &mut room(history, &invoke.room).sends;
                self.sends.insert(invoke.op, (invoke.room.clone(), sends.len()));
                sends.push(Send { invoked: t, invoke, ended: None, outcome: Outcome::Open });
            }
            Event::SendOk { op, epoch, offsets, duplicates } => {
                self.end_send(t, op, Outcome::Ok { epoch, offsets, duplicates })?;
            }
            Event::SendFail { op, why } => self.end_send(t, op, Outcome::Fail(why))?,
            Event::SendInfo { op, why } => self.end_send(t, op, Outcome::Info(why))?,
            Event::ReadInvoke { op, reader, room: name } => {
                let reads = &mut room(history, &name).reads;
                self.reads.insert(op, (name, reads.len()));
                reads.push(Read { op, reader, invoked: t, ended: None, outcome: ReadOutcome::Open });
            }
            Event::ReadOk { op, owner, epoch, next, items } => {
                self.end_read(t, op, ReadOutcome::Ok { owner, epoch, next, items })?;
            }
            Event::ReadFail { op, why } => self.end_read(t, op, ReadOutcome::Fail(why))?,
            Event::SubOk { sub, room: name, asked, place, following, sees_holds } => {
                let subs = &mut room(history, &name).subs;
                self.subs.insert(sub, (name, subs.len()));
                let (events, end) = (Vec::new(), Ending::Open);
                subs.push(Sub { sub, asked, joined: t, place, following, sees_holds, events, end });
            }
            Event::ResumeOk { sub, place } => self.add_to_sub(t, sub, SubEvent::Resumed(place))?,
            Event::Redirect { sub, owner, epoch } => {
                self.add_to_sub(t, sub, SubEvent::Redirect { owner, epoch })?;
            }
            Event::Deliver { sub, items } => self.add_to_sub(t, sub, SubEvent::Items(items))?,
            Event::Gap { sub, expected, got, why } => {
                self.add_to_sub(t, sub, SubEvent::Gap { expected, got, why })?;
            }
            Event::Held { sub, messages } => self.add_to_sub(t, sub, SubEvent::Held(messages))?,
            Event::RolledBack { sub, ids } => self.add_to_sub(t, sub, SubEvent::RolledBack(ids))?,
            Event::Presence { sub, company } => self.add_to_sub(t, sub, SubEvent::Company(company))?,
            Event::HoldInvoke(invoke) => self.hold(t, invoke),
            Event::SettleInvoke(invoke) => self.settle(t, invoke)?,
            Event::HoldOk(ok) => self.hold_ok(t, ok)?,
            Event::CommitInvoke(invoke) => {
                let commits = &mut room(history, &invoke.room).commits;
                self.asked.insert(invoke.op, Place::Commit(invoke.room, commits.len()));
                let (sub, asked) = (invoke.sub, Asked::new(invoke.op, t));
                commits.push(Commit { sub, consumer: invoke.consumer, offset: invoke.offset, asked });
            }
            Event::CommitOk { op, committed } => match self.place(op)? {
                Place::Commit(name, index) => {
                    let asked = &mut room(&mut self.history, &name).commits[index].asked;
                    end(asked, t, Answer::Ok(committed))?;
                }
                _ => bail!("{op} is no commit"),
            },
            Event::OpFail { op, code, why } => self.end_op(t, op, Some(code), why)?,
            Event::OpInfo { op, why } => self.end_op(t, op, None, why)?,
            Event::MemberJoin(join) => {
                let members = &mut room(history, &join.room).members;
                self.members.insert(join.member, (join.room, members.len()));
                let (member, name) = (join.member, join.name);
                members.push(Member { member, name, sub: None, asked: t, joined: None, left: None });
            }
            Event::MemberIn { member, sub } => {
                let member = self.member(member)?;
                (member.joined, member.sub) = (Some(t), sub);
            }
            Event::MemberOut { member } => self.member(member)?.left = Some(t),
            Event::GuestIn(guest) => {
                self.guests.insert(guest.guest, history.guests.len());
                let (asked, told) = (Vec::new(), Vec::new());
                history.guests.push(Guest { since: t, guest, asked, told, end: None });
            }
            Event::GuestAsked(asked) => self.guest(asked.guest)?.asked.push((t, asked)),
            Event::GuestTold(told) => self.guest(told.guest)?.told.push((t, told)),
            Event::GuestEnd(end) => {
                let guest = self.guest(end.guest)?;
                guest.end = Some((t, end));
            }
            Event::SubEnd { sub, error } => {
                let sub = self.sub(sub)?;
                sub.end = error.map_or(Ending::Left(t), |why| Ending::Failed(t, why));
            }
            Event::FaultBegin(begin) => {
                self.faults.insert(begin.fault, history.faults.len());
                history.faults.push(Fault { begun: t, ended: None, begin, came: String::new() });
            }
            Event::FaultEnd { fault, detail } => {
                let index = *self.faults.get(&fault).with_context(|| format!("fault {fault} never began"))?;
                let fault = &mut history.faults[index];
                (fault.ended, fault.came) = (Some(t), detail);
            }
            Event::Count { name, more } => *history.counted.entry(name).or_default() += more,
            Event::Own { shard, epoch, node, change } => {
                history.owns.push(Own { at: t, shard, epoch, node, change });
            }
            Event::Said { node, kind, shard, reason } => {
                history.said.push(Said { at: t, node, kind, shard, reason });
            }
            Event::FinalItems { room: name, items } => {
                room(history, &name).log.get_or_insert_default().items.extend(items);
            }
            Event::FinalRoom { room: name, shard, first, next, replicas } => {
                let log: &mut Log = room(history, &name).log.get_or_insert_default();
                (log.shard, log.first, log.next, log.replicas) = (shard, first, next, replicas);
            }
            Event::FinalCopy { room: name, node, next, hash } => {
                room(history, &name).copies.push(Copy { node, next, hash });
            }
            Event::FinalCursor { room: name, consumer, committed } => {
                room(history, &name).cursors.insert(consumer, committed);
            }
            Event::FinalPresence { room: name, node, members } => {
                room(history, &name).pictures.push(Picture { at: t, node, members });
            }
        }
        Ok(())
    }

    fn end_send(&mut self, t: At, op: Id, outcome: Outcome) -> Result<()> {
        let (name, index) = self.sends.get(&op).with_context(|| format!("publish {op} never began"))?;
        let send = &mut room(&mut self.history, name).sends[*index];
        ensure!(send.ended.is_none(), "publish {op} ended twice");
        (send.ended, send.outcome) = (Some(t), outcome);
        Ok(())
    }

    fn end_read(&mut self, t: At, op: Id, outcome: ReadOutcome) -> Result<()> {
        let (name, index) = self.reads.get(&op).with_context(|| format!("read {op} never began"))?;
        let read = &mut room(&mut self.history, name).reads[*index];
        ensure!(read.ended.is_none(), "read {op} ended twice");
        (read.ended, read.outcome) = (Some(t), outcome);
        Ok(())
    }

    fn sub(&mut self, sub: Id) -> Result<&mut Sub> {
        let (name, index) = self.subs.get(&sub).with_context(|| format!("subscription {sub} never began"))?;
        Ok(&mut room(&mut self.history, name).subs[*index])
    }

    fn hold(&mut self, t: At, invoke: HoldInvoke) {
        let HoldInvoke { op, hold, room: name, ms, messages } = invoke;
        let holds = &mut room(&mut self.history, &name).holds;
        let index = self.holds.entry(hold).or_insert((name.clone(), holds.len())).1;
        if index == holds.len() {
            holds.push(Hold { hold, ms, messages, placed: Vec::new(), words: Vec::new() });
        }
        let placed = &mut holds[index].placed;
        self.asked.insert(op, Place::Hold(name, index, placed.len()));
        placed.push(Asked::new(op, t));
    }

    fn settle(&mut self, t: At, SettleInvoke { op, hold, word }: SettleInvoke) -> Result<()> {
        let (name, index) = self.holds.get(&hold).with_context(|| format!("hold {hold} never began"))?;
        let words = &mut room(&mut self.history, name).holds[*index].words;
        self.asked.insert(op, Place::Word(name.clone(), *index, words.len()));
        words.push((word, Asked::new(op, t)));
        Ok(())
    }

    fn hold_ok(&mut self, t: At, HoldOk { op, offsets, expires }: HoldOk) -> Result<()> {
        match self.place(op)? {
            Place::Hold(name, hold, index) => {
                let hold = &mut room(&mut self.history, &name).holds[hold];
                end(&mut hold.placed[index], t, Answer::Ok(expires))
            }
            Place::Word(name, hold, index) => {
                let hold = &mut room(&mut self.history, &name).holds[hold];
                end(&mut hold.words[index].1, t, Answer::Ok(offsets))
            }
            Place::Commit(..) => bail!("{op} is no hold"),
        }
    }

    /// Something asked was refused, with a code, or ended unknown.
    fn end_op(&mut self, t: At, op: Id, code: Option<String>, why: String) -> Result<()> {
        fn no<T>(code: Option<String>, why: String) -> Answer<T> {
            match code {
                Some(code) => Answer::Fail { code, why },
                None => Answer::Info(why),
            }
        }
        let place = self.place(op)?;
        let history = &mut self.history;
        match place {
            Place::Hold(name, hold, index) => {
                end(&mut room(history, &name).holds[hold].placed[index], t, no(code, why))
            }
            Place::Word(name, hold, index) => {
                end(&mut room(history, &name).holds[hold].words[index].1, t, no(code, why))
            }
            Place::Commit(name, index) => {
                end(&mut room(history, &name).commits[index].asked, t, no(code, why))
            }
        }
    }

    fn place(&self, op: Id) -> Result<Place> {
        self.asked.get(&op).cloned().with_context(|| format!("{op} never began"))
    }

    fn member(&mut self, member: Id) -> Result<&mut Member> {
        let (name, index) =
            self.members.get(&member).with_context(|| format!("member {member} never joined"))?;
        Ok(&mut room(&mut self.history, name).members[*index])
    }

    fn guest(&mut self, guest: Id) -> Result<&mut Guest> {
        let index = *self.guests.get(&guest).with_context(|| format!("guest {guest} was never let in"))?;
        Ok(&mut self.history.guests[index])
    }

    fn add_to_sub(&mut self, t: At, sub: Id, event: SubEvent) -> Result<()> {
        self.sub(sub)?.events.push((t, event));
        Ok(())
    }
}

/// Something asked has ended.
fn end<T>(asked: &mut Asked<T>, t: At, answer: Answer<T>) -> Result<()> {
    ensure!(asked.ended.is_none(), "{} ended twice", asked.op);
    (asked.ended, asked.answer) = (Some(t), answer);
    Ok(())
}

fn room<'h>(history: &'h mut History, name: &RoomName) -> &'h mut Room {
    if !history.rooms.contains_key(name) {
        history.rooms.insert(name.clone(), Room::default());
    }
    let rooms: &mut BTreeMap<RoomName, Room> = &mut history.rooms;
    rooms.entry(name.clone()).or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::event::RunInfo;
    use super::*;
    use crate::scratch::Scratch;

    fn line(t: u64, json: &str) -> String {
        format!("{{\"t\":{t},{json}}}\n")
    }

    fn run() -> String {
        let info = RunInfo { format: FORMAT, ..RunInfo::default() };
        serde_json::to_string(&Line { t: At(0), event: Event::Run(info) }).unwrap() + "\n"
    }

    fn loaded(text: &str) -> Result<History> {
        let scratch = Scratch::new()?;
        let path = scratch.path().join("h");
        File::create(&path)?.write_all(text.as_bytes())?;
        History::load(&path)
    }

    #[test]
    fn lines_out_of_order_are_put_together() {
        let begin = r#""event":"read.invoke","op":1,"reader":0,"room":"a""#;
        let end = r#""event":"read.ok","op":1,"owner":2,"epoch":3,"next":4"#;
        let history = loaded(&(run() + &line(9, end) + &line(5, begin))).unwrap();
        let read = &history.rooms.values().next().unwrap().reads[0];
        assert_eq!((read.invoked, read.ended, history.end), (At(5), Some(At(9)), At(9)));
        assert!(matches!(&read.outcome, ReadOutcome::Ok { epoch, .. } if epoch.get() == 3));
    }

    #[test]
    fn last_line_cut_off_is_left_out_and_another_is_an_error() {
        let whole = line(1, r#""event":"phase","phase":"quiet""#);
        let cut = &whole[..whole.len() / 2];
        assert_eq!(loaded(&(run() + &whole + cut)).unwrap().phases.len(), 1);
        assert!(loaded(&(run() + cut + "\n" + &whole)).is_err());
    }

    #[test]
    fn history_without_its_first_line_or_of_the_future_is_refused() {
        assert!(loaded(&line(1, r#""event":"phase","phase":"quiet""#)).is_err());
        let info = RunInfo { format: FORMAT + 1, ..RunInfo::default() };
        let future = serde_json::to_string(&Line { t: At(0), event: Event::Run(info) }).unwrap();
        assert!(loaded(&(future + "\n")).is_err());
    }

    #[test]
    fn end_of_what_never_began_is_refused() {
        let end = r#""event":"send.info","op":8,"why":"no answer""#;
        let error = loaded(&(run() + &line(2, end))).unwrap_err();
        assert!(format!("{error:#}").contains("publish #8 never began"), "{error:#}");
    }
}

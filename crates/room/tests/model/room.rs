//! One room of the model: everything that ever was in it, and what became of that.

use std::collections::{BTreeMap, BTreeSet};

use roomkeeper_room::{
    DEDUPE_MIN_MS, Due, DueKind, Effect, Hold, HoldId, HoldRef, Item, NewMessage, Outcome, Publish, Refusal,
    RefusedIds, RoomOptions,
};
use roomkeeper_types::{ConsumerId, Epoch, LifeId, MessageId, Offset, RoomName, Timestamp, UserId};

use super::Moment;

pub(crate) type Decided = Result<Outcome, Refusal>;

#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) name: RoomName,
    pub(crate) life: LifeId,
    pub(crate) created: Timestamp,
    pub(crate) options: RoomOptions,
    /// All messages, trimmed ones too.
    pub(crate) log: Vec<Item>,
    /// How many of them are trimmed.
    pub(crate) trimmed: usize,
    pub(crate) cursors: BTreeMap<ConsumerId, Offset>,
    /// Those that are neither confirmed nor dropped.
    pub(crate) holds: BTreeMap<HoldId, Held>,
    /// Messages whose ids are known.
    known: BTreeMap<MessageId, Known>,
}

#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) from: UserId,
    epoch: Epoch,
    time: Timestamp,
    expires: Timestamp,
    pub(crate) messages: Vec<NewMessage>,
}

#[derive(Clone)]
struct Known {
    from: UserId,
    message: NewMessage,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Stored(Offset, Epoch),
    Held(HoldId),
    Dropped,
}

impl Room {
    pub(crate) fn new(name: &RoomName, options: RoomOptions, moment: Moment) -> Self {
        Self {
            name: name.clone(),
            life: moment.fresh,
            created: moment.now,
            options,
            log: Vec::new(),
            trimmed: 0,
            cursors: BTreeMap::new(),
            holds: BTreeMap::new(),
            known: BTreeMap::new(),
        }
    }

    pub(crate) fn next(&self) -> Offset {
        Offset(self.log.len() as u64 + 1)
    }

    pub(crate) fn first(&self) -> Offset {
        Offset(self.trimmed as u64 + 1)
    }

    pub(crate) fn kept(&self) -> &[Item] {
        &self.log[self.trimmed..]
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.kept().iter().map(|item| item.payload.bytes.len() as u64).sum()
    }

    /// Its name, itself, and what is in it.
    pub(crate) fn row_count(&self) -> usize {
        2 + self.kept().len() + self.cursors.len() + self.holds.len() + self.known.len()
    }

    pub(crate) fn publish(
        &mut self,
        moment: Moment,
        publish: &Publish,
        dues: &mut BTreeSet<Due>,
        effects: &mut Vec<Effect>,
    ) -> Decided {
        if let Some(states) = self.known_as(&publish.from, &publish.messages, moment.now)? {
            let held = places(&publish.messages, |place| matches!(states[place], State::Held(_)));
            held.map_or(Ok(()), |held| Err(Refusal::Held(held)))?;
            return Ok(self.published(&states));
        }
        let next = self.next();
        if let Some(expected) = publish.expect.filter(|expected| *expected != next) {
            return Err(Refusal::Expected { expected, next });
        }
        let offsets = self.append(moment, &publish.from, &publish.messages, dues, effects);
        let duplicates = vec![false; offsets.len()];
        Ok(Outcome::Published { life: self.life, epoch: moment.epoch, offsets, duplicates })
    }

    pub(crate) fn hold(
        &mut self,
        moment: Moment,
        hold: &Hold,
        dues: &mut BTreeSet<Due>,
        effects: &mut Vec<Effect>,
    ) -> Decided {
        if let Some(states) = self.known_as(&hold.from, &hold.messages, moment.now)? {
            if states.iter().all(|state| matches!(state, State::Stored(..))) {
                return Ok(self.published(&states));
            }
            let id = one_hold(&states).map_err(|other| Refusal::NotOneHold(hold.messages[other].id))?;
            let Held { epoch, expires, .. } = self.holds[&id];
            return Ok(Outcome::Held { life: self.life, epoch, expires, duplicate: true });
        }
        let expires = Timestamp(moment.now.0 + hold.hold_ms);
        for new in &hold.messages {
            let state = State::Held(moment.hold());
            self.known.insert(new.id, Known { from: hold.from.clone(), message: new.clone(), state });
        }
        let (from, messages) = (hold.from.clone(), hold.messages.clone());
        let held = Held { from, epoch: moment.epoch, time: moment.now, expires, messages };
        let (room, life, items) = (self.name.clone(), self.life, held.items().into());
        effects.push(Effect::Held { room, life, items, expires });
        self.holds.insert(moment.hold(), held);
        dues.insert(Due { time: expires, life: self.life, what: DueKind::Hold(moment.hold()) });
        Ok(Outcome::Held { life: self.life, epoch: moment.epoch, expires, duplicate: false })
    }

    pub(crate) fn confirm(
        &mut self,
        moment: Moment,
        asked: &HoldRef,
        dues: &mut BTreeSet<Due>,
        effects: &mut Vec<Effect>,
    ) -> Decided {
        let states = self.states(asked, moment.now)?;
        let ids = (0..).zip(asked.ids.iter().copied());
        let dropped = ids.zip(&states).filter(|(_, state)| **state == State::Dropped);
        let dropped: Vec<_> = dropped.map(|(id, _)| id).collect();
        if !dropped.is_empty() {
            return Err(Refusal::Gone(RefusedIds(dropped)));
        }
        if states.iter().any(|state| matches!(state, State::Held(_))) {
            let id = self.asked_for(asked, &states)?;
            let hold = self.holds.remove(&id).unwrap();
            dues.remove(&Due { time: hold.expires, life: self.life, what: DueKind::Hold(id) });
            self.append(moment, &hold.from, &hold.messages, dues, effects);
        }
        let states = self.states(asked, moment.now)?;
        let Outcome::Published { life, epoch, offsets, .. } = self.published(&states) else { unreachable!() };
        Ok(Outcome::Confirmed { life, epoch, offsets })
    }

    pub(crate) fn roll_back(
        &mut self,
        now: Timestamp,
        asked: &HoldRef,
        dues: &mut BTreeSet<Due>,
        effects: &mut Vec<Effect>,
    ) -> Decided {
        let states = self.states(asked, now)?;
        if states.iter().any(|state| matches!(state, State::Stored(..))) {
            return Err(Refusal::TooLate);
        }
        if states.iter().any(|state| matches!(state, State::Held(_))) {
            let id = self.asked_for(asked, &states)?;
            self.drop_hold(id, now, dues, effects);
        }
        Ok(Outcome::RolledBack { life: self.life })
    }

    pub(crate) fn drop_hold(
        &mut self,
        id: HoldId,
        now: Timestamp,
        dues: &mut BTreeSet<Due>,
        effects: &mut Vec<Effect>,
    ) {
        let hold = self.holds.remove(&id).unwrap();
        dues.remove(&Due { time: hold.expires, life: self.life, what: DueKind::Hold(id) });
        let ids: Vec<_> = hold.messages.iter().map(|new| new.id).collect();
        for id in &ids {
            self.known.get_mut(id).unwrap().state = State::Dropped;
            dues.insert(self.forgotten_at(*id, hold.time, now));
        }
        effects.push(Effect::RolledBack { room: self.name.clone(), life: self.life, ids });
    }

    pub(crate) fn forget(&mut self, id: MessageId) {
        self.known.remove(&id).unwrap();
    }

    /// What its due is for: drops what is too old, and says when the next is.
    pub(crate) fn age(&mut self, now: Timestamp, dues: &mut BTreeSet<Due>, effects: &mut Vec<Effect>) {
        let retain_ms = self.options.retain_ms.unwrap();
        let too_old = self.kept().iter().take_while(|item| item.time.0 + retain_ms <= now.0).count();
        self.trim(too_old, now, dues, effects);
        if let Some(oldest) = self.kept().first() {
            let time = Timestamp(oldest.time.0 + retain_ms);
            dues.insert(Due { time, life: self.life, what: DueKind::Age });
        }
    }

    fn append(
        &mut self,
        moment: Moment,
        from: &UserId,
        messages: &[NewMessage],
        dues: &mut BTreeSet<Due>,
        effects: &mut Vec<Effect>,
    ) -> Vec<Offset> {
        if let Some(retain_ms) = self.options.retain_ms.filter(|_| self.kept().is_empty()) {
            let time = Timestamp(moment.now.0 + retain_ms);
            dues.insert(Due { time, life: self.life, what: DueKind::Age });
        }
        let mut items = Vec::new();
        for new in messages {
            let item = item(new, self.next(), from, moment.epoch, moment.now);
            let state = State::Stored(item.offset, item.epoch);
            self.known.insert(new.id, Known { from: from.clone(), message: new.clone(), state });
            self.log.push(item.clone());
            items.push(item);
        }
        let offsets = items.iter().map(|item| item.offset).collect();
        effects.push(Effect::Appended { room: self.name.clone(), life: self.life, items: items.into() });
        // As many of the newest as the limits allow, and always the newest.
        let (mut fit, mut bytes) = (0, 0);
        for item in self.kept().iter().rev() {
            bytes += item.payload.bytes.len() as u64;
            let fits = self.options.retain_messages.is_none_or(|limit| fit < limit)
                && self.options.retain_bytes.is_none_or(|limit| bytes <= limit);
            if !fits && fit > 0 {
                break;
            }
            fit += 1;
        }
        self.trim(self.kept().len() - fit as usize, moment.now, dues, effects);
        offsets
    }

    fn trim(&mut self, count: usize, now: Timestamp, dues: &mut BTreeSet<Due>, effects: &mut Vec<Effect>) {
        let gone: Vec<_> = self.kept()[..count].iter().map(|item| (item.id, item.time)).collect();
        dues.extend(gone.iter().map(|(id, time)| self.forgotten_at(*id, *time, now)));
        self.trimmed += count;
        if count > 0 {
            effects.push(Effect::Trimmed { room: self.name.clone(), life: self.life, first: self.first() });
        }
    }

    fn forgotten_at(&self, id: MessageId, stored: Timestamp, now: Timestamp) -> Due {
        let time = Timestamp(stored.0 + DEDUPE_MIN_MS).max(now);
        Due { time, life: self.life, what: DueKind::Id(id) }
    }

    /// A hold that ran out is dropped.
    fn state(&self, known: &Known, now: Timestamp) -> State {
        match known.state {
            State::Held(hold) if self.holds[&hold].expires <= now => State::Dropped,
            state => state,
        }
    }

    /// What became of messages that are sent: `None` if all are new.
    fn known_as(
        &self,
        from: &UserId,
        messages: &[NewMessage],
        now: Timestamp,
    ) -> Result<Option<Vec<State>>, Refusal> {
        let known: Vec<_> = messages.iter().map(|new| self.known.get(&new.id)).collect();
        let is_other = |place: usize| {
            let other =
                |known: &Known| known.from != *from || known.message.payload != messages[place].payload;
            known[place].is_some_and(other)
        };
        if let Some(reused) = places(messages, is_other) {
            return Err(Refusal::IdReused(reused));
        }
        if known.iter().all(Option::is_none) {
            return Ok(None);
        }
        if let Some(unknown) = places(messages, |place| known[place].is_none()) {
            return Err(Refusal::PartlyKnown(unknown));
        }
        let states: Vec<_> = known.into_iter().flatten().map(|known| self.state(known, now)).collect();
        match places(messages, |place| states[place] == State::Dropped) {
            Some(dropped) => Err(Refusal::Gone(dropped)),
            None => Ok(Some(states)),
        }
    }

    /// What became of messages that are named.
    fn states(&self, asked: &HoldRef, now: Timestamp) -> Result<Vec<State>, Refusal> {
        let state = |id| {
            let known = self.known.get(id).ok_or(Refusal::UnknownId(*id))?;
            Ok(self.state(known, now))
        };
        asked.ids.iter().map(state).collect()
    }

    fn published(&self, states: &[State]) -> Outcome {
        let stored = states.iter().map(|state| match state {
            State::Stored(offset, epoch) => (*offset, *epoch),
            State::Held(_) | State::Dropped => unreachable!("all are stored"),
        });
        let (offsets, epochs): (Vec<_>, Vec<_>) = stored.unzip();
        let epoch = epochs.into_iter().max().unwrap();
        let duplicates = vec![true; offsets.len()];
        Outcome::Published { life: self.life, epoch, offsets, duplicates }
    }

    fn asked_for(&self, asked: &HoldRef, states: &[State]) -> Result<HoldId, Refusal> {
        let id = one_hold(states).map_err(|other| Refusal::NotOneHold(asked.ids[other]))?;
        let hold = &self.holds[&id];
        if hold.from != asked.from {
            return Err(Refusal::NotSender);
        }
        match hold.messages.iter().find(|new| !asked.ids.contains(&new.id)) {
            Some(missing) => Err(Refusal::NotOneHold(missing.id)),
            None => Ok(id),
        }
    }
}

impl Held {
    /// As a reader of the rows sees it.
    pub(crate) fn seen(&self) -> (Vec<Item>, Timestamp) {
        (self.items(), self.expires)
    }

    fn items(&self) -> Vec<Item> {
        let item = |new| item(new, Offset(0), &self.from, self.epoch, self.time);
        self.messages.iter().map(item).collect()
    }
}

fn item(new: &NewMessage, offset: Offset, from: &UserId, epoch: Epoch, time: Timestamp) -> Item {
    let (from, payload) = (from.clone(), new.payload.clone());
    Item { offset, epoch, id: new.id, from, time, sent: new.sent, payload }
}

/// The messages at these places, if there are any.
fn places(messages: &[NewMessage], is_one: impl Fn(usize) -> bool) -> Option<RefusedIds> {
    let ids = messages.iter().enumerate().filter(|(place, _)| is_one(*place));
    let ids: Vec<_> = ids.map(|(place, new)| (place as u32, new.id)).collect();
    (!ids.is_empty()).then_some(RefusedIds(ids))
}

/// The hold that all are in, or the first that is not in that of the first.
fn one_hold(states: &[State]) -> Result<HoldId, usize> {
    let State::Held(hold) = states[0] else { return Err(0) };
    states.iter().position(|state| *state != State::Held(hold)).map_or(Ok(hold), Err)
}

pub(crate) fn malformed(
    ids: impl Iterator<Item = MessageId>,
    none: &'static str,
    twice: &'static str,
) -> Result<(), Refusal> {
    let ids: Vec<_> = ids.collect();
    if ids.is_empty() {
        return Err(Refusal::Malformed(none));
    }
    let is_twin = |(index, id)| ids[..index].contains(id);
    if ids.iter().enumerate().any(is_twin) { Err(Refusal::Malformed(twice)) } else { Ok(()) }
}

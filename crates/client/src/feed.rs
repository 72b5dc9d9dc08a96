//! One subscription over all of its connections: where it stands, how much it may be sent, who is there.

use std::time::Duration;

use roomkeeper_protocol::{Commit, Item, Join, JoinOk, Member, PresencePush, RoomRef, Seen};
use roomkeeper_types::{LifeId, Offset};
use tokio::time::Instant;

use crate::flow::Flow;
use crate::resume::Resume;
use crate::roster::Roster;
use crate::{Error, Presence, SubscribeOptions};

/// See the module.
#[derive(Debug)]
pub(crate) struct Feed {
    options: SubscribeOptions,
    resume: Resume,
    flow: Flow,
    /// Where presence was asked for and the room has it.
    roster: Option<Roster>,
}

impl Feed {
    /// `patient`: holes are waited for.
    pub(crate) fn new(options: SubscribeOptions, patient: bool) -> Self {
        let resume = Resume::new(options.from, patient);
        Self { resume, flow: Flow::new(&options), options, roster: None }
    }

    /// What joins the room where the subscription stands.
    pub(crate) fn join(&mut self, life: Option<LifeId>) -> Join {
        let (from, credit) = self.flow.join(&self.resume);
        Join {
            room: RoomRef { room: None, life },
            from,
            consumer: self.options.consumer.clone(),
            credit,
            isolation: self.options.isolation,
            presence: self.options.presence,
        }
    }

    /// The join was answered.
    ///
    /// # Errors
    /// [`Error::Gap`]: what was asked for is not what comes.
    pub(crate) fn joined(&mut self, ok: &JoinOk, now: Instant) -> Result<(), Error> {
        let first = self.resume.next().is_none();
        self.resume.joined(ok)?;
        self.flow.joined(ok, first);
        if self.options.presence == Some(true) && ok.members.is_some() {
            self.roster.get_or_insert_default().joined(ok.epoch, now);
        }
        Ok(())
    }

    /// Messages, pushed as they were stored or because a heartbeat showed that they are missing.
    ///
    /// # Errors
    /// [`Error::Gap`]: something is missing for good.
    pub(crate) fn take(&mut self, items: Vec<Item>, now: Instant) -> Result<Vec<Item>, Error> {
        self.resume.take(items, now)
    }

    /// The offset that is missing, where something behind it is there.
    pub(crate) fn hole(&self) -> Option<Offset> {
        self.resume.hole()
    }

    /// Something missing that was waited for long enough.
    pub(crate) fn give_up_hole(&mut self, now: Instant, patience: Duration) -> Option<Error> {
        self.resume.give_up_hole(now, patience)
    }

    /// Whether all of its range was taken.
    pub(crate) fn is_done(&self) -> bool {
        self.resume.is_done()
    }

    /// What a heartbeat says of it.
    pub(crate) fn seen(&self) -> Seen {
        let upto = self.resume.next().map(|next| Offset(next.get().saturating_sub(1)));
        Seen { here: true, seen: self.resume.early().collect(), upto }
    }

    /// The subscriber has read everything up to there.
    pub(crate) fn read(&mut self, offset: Offset) {
        self.flow.read(offset);
    }

    /// A commit goes out, maybe under another name.
    pub(crate) fn commits(&mut self, commit: &Commit) {
        if self.options.consumer.as_ref() == Some(&commit.consumer) {
            self.flow.committed(commit.offset, self.resume.next());
        }
    }

    /// How much more to grant now; counts as granted.
    pub(crate) fn grant(&mut self) -> Option<u64> {
        self.flow.grant()
    }

    /// Whether it has to be asked who is there.
    pub(crate) fn has_roster(&self) -> bool {
        self.roster.is_some()
    }

    /// Whether it is time to ask again.
    pub(crate) fn asks_presence(&mut self, now: Instant) -> bool {
        self.roster.as_mut().is_some_and(|roster| roster.asks(now))
    }

    /// Who came and went.
    pub(crate) fn presence_pushed(&mut self, push: PresencePush, now: Instant) -> Option<Presence> {
        self.roster.as_mut()?.pushed(push, now)
    }

    /// Who is there.
    pub(crate) fn presence_answered(&mut self, members: Vec<Member>) -> Option<Presence> {
        Some(self.roster.as_mut()?.answered(members))
    }

    /// The question who is there was not answered; `for_good`: it never will be.
    pub(crate) fn presence_unanswered(&mut self, for_good: bool, now: Instant) {
        match &mut self.roster {
            Some(_) if for_good => self.roster = None,
            Some(roster) => roster.ask_again(now),
            None => {}
        }
    }
}

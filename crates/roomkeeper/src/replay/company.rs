//! Who is in a room while it is played: every nick joins when it first speaks and stays, so that in the end the members
//! are those who speak in the log, and a moment after that nobody is.
//!
//! Two are asked: the room's owner, who names everybody, and a subscriber who was told of each that came and went, by name
//! or, in a large room, by their number.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use roomkeeper_client::protocol::From;
use roomkeeper_client::types::{RoomName, UserId};
use roomkeeper_client::{Client, Error, Event, Presence, Room, SubscribeOptions, Subscription};
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::nicks::Nicks;

/// Between two questions who is there.
const RETRY: Duration = Duration::from_millis(100);
/// A room's new owner does not say for 8 s who is there: whoever was may still be coming back.
const SETTLING_MAX: Duration = Duration::from_secs(15);
/// A room with more members names nobody in its pushes.
const NAMED_MAX: usize = 100;

/// Somebody who is told who comes and goes.
pub(crate) struct Company {
    room: Room,
    told: watch::Receiver<Option<Presence>>,
    task: JoinHandle<Result<(), Error>>,
}

/// How a room's members compare with who should be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Members {
    /// Who should be there when the log is played: whoever speaks in it, and the reader.
    pub(crate) expected: usize,
    /// Of those, the ones that the room's owner names.
    pub(crate) present: usize,
    /// Others that it names.
    pub(crate) strangers: usize,
    /// How many a subscriber was told of that are there.
    pub(crate) told: u64,
    /// Nicks that are named still when all have left.
    pub(crate) lingering: usize,
    /// What is wrong first, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first: Option<String>,
}

impl Members {
    /// Those that should be there are, and no others; and they were told of, and left.
    pub(crate) fn is_fine(&self) -> bool {
        self.first.is_none()
    }
}

impl Company {
    /// Joins a room, and is told of its members from then on.
    ///
    /// # Errors
    /// The room cannot be joined.
    pub(crate) async fn join(client: &Client, room: RoomName) -> Result<Self, Error> {
        let room = client.room(room);
        let options = SubscribeOptions { presence: Some(true), ..From::Latest.into() };
        let subscription = room.subscribe(options).await?;
        let (tell, told) = watch::channel(None);
        Ok(Self { room, told, task: tokio::spawn(listen(subscription, tell)) })
    }

    /// Compares the members with who should be there besides this company's own user, then lets the nicks leave.
    ///
    /// # Errors
    /// Nobody says who is there.
    pub(crate) async fn compare(
        mut self,
        speakers: BTreeSet<UserId>,
        nicks: Nicks<'_>,
        patience: Duration,
    ) -> Result<Members, Error> {
        let reader = BTreeSet::from([self.user().await?]);
        let expected: BTreeSet<UserId> = speakers.union(&reader).cloned().collect();
        let present = self.become_these(&expected, patience).await?;
        let (told, told_well) = self.is_told_of(&expected, Instant::now() + patience).await;
        drop(nicks);
        let left = self.become_these(&reader, patience).await?;
        self.task.abort();
        let mut members = compared(&expected, &present);
        members.told = told;
        members.lingering = left.difference(&reader).count();
        let lingering = left.difference(&reader).next();
        members.first = members
            .first
            .or_else(|| (!told_well).then(|| format!("a subscriber was told of {told} members")))
            .or_else(|| lingering.map(|nick| format!("{nick} is there still, and has left")));
        Ok(members)
    }

    /// As whom this company is there, by the server's word: a token's user, or the one that the client is named.
    async fn user(&self) -> Result<UserId, Error> {
        Ok(self.room.connect().await?.user)
    }

    /// Who is there, once that is `expected`, or `patience` after the first answer.
    async fn become_these(
        &self,
        expected: &BTreeSet<UserId>,
        patience: Duration,
    ) -> Result<BTreeSet<UserId>, Error> {
        let settled = Instant::now() + SETTLING_MAX;
        let mut end = None;
        loop {
            match self.room.presence().await {
                Ok(members) => {
                    let present: BTreeSet<UserId> = members.into_iter().map(|member| member.user).collect();
                    let end = *end.get_or_insert_with(|| Instant::now() + patience);
                    if present == *expected || Instant::now() >= end {
                        return Ok(present);
                    }
                }
                Err(error) if error.is_retryable() && Instant::now() < settled => {}
                Err(error) => return Err(error),
            }
            sleep(RETRY).await;
        }
    }

    /// Of how many the subscriber was told, and whether they are these, as far as the room names them.
    async fn is_told_of(&mut self, expected: &BTreeSet<UserId>, end: Instant) -> (u64, bool) {
        let is_well = |told: &Option<Presence>| {
            told.as_ref().is_some_and(|told| {
                let users: BTreeSet<&UserId> = told.members.iter().map(|member| &member.user).collect();
                let named = expected.len() > NAMED_MAX || expected.iter().eq(users);
                told.settled && told.count == expected.len() as u64 && named
            })
        };
        let well = timeout_at(end, self.told.wait_for(is_well)).await.is_ok_and(|told| told.is_ok());
        let told = self.told.borrow().as_ref().map_or(0, |told| told.count);
        (told, well)
    }
}

async fn listen(mut subscription: Subscription, tell: watch::Sender<Option<Presence>>) -> Result<(), Error> {
    while let Some(event) = subscription.next().await.transpose()? {
        if let Event::Presence(presence) = event {
            tell.send_replace(Some(presence));
        }
    }
    Ok(())
}

fn compared(expected: &BTreeSet<UserId>, present: &BTreeSet<UserId>) -> Members {
    let missing = expected.difference(present).next();
    let stranger = present.difference(expected).next();
    Members {
        expected: expected.len(),
        present: expected.intersection(present).count(),
        strangers: present.difference(expected).count(),
        told: 0,
        lingering: 0,
        first: missing
            .map(|nick| format!("{nick} has joined and is not named"))
            .or_else(|| stranger.map(|nick| format!("{nick} is named and has not joined"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(names: &str) -> BTreeSet<UserId> {
        names.split_whitespace().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn members_that_are_missing_or_strange_are_named() {
        let of = |present| {
            let members = compared(&users("ann bob cid"), &users(present));
            (members.present, members.strangers, members.first)
        };
        assert_eq!(of("bob cid ann"), (3, 0, None));
        assert_eq!(of("ann cid"), (2, 0, Some("bob has joined and is not named".into())));
        assert_eq!(of("ann bob cid eve"), (3, 1, Some("eve is named and has not joined".into())));
        assert!(compared(&users("ann"), &users("ann")).is_fine());
    }
}

//! The clients of one room: a WebSocket per nick, opened when the nick first speaks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use roomkeeper_client::protocol::From;
use roomkeeper_client::types::{RoomName, UserId};
use roomkeeper_client::{Client, Error, Room, SubscribeOptions, Subscription};

/// At most `limit` nicks of a room are connected at a time: the one that has been quiet the longest hangs up
/// for the next. A real channel has hundreds of nicks, and a process a limit of sockets.
pub(crate) struct Nicks<'a> {
    client: &'a Client,
    room: RoomName,
    limit: usize,
    /// Whether each joins the room, and so is a member of it for as long as it is connected.
    join: bool,
    open: HashMap<UserId, Seat>,
    /// Lines spoken so far.
    clock: u64,
}

struct Seat {
    room: Room,
    /// Of one that has joined. Nobody reads it: what it is sent beyond one message waits at the server.
    _joined: Option<Subscription>,
    last_spoken: u64,
}

impl<'a> Nicks<'a> {
    pub(crate) fn new(client: &'a Client, room: RoomName, limit: usize) -> Self {
        Self { client, room, limit: limit.max(1), join: false, open: HashMap::new(), clock: 0 }
    }

    /// The same, who all join the room when they first speak.
    pub(crate) fn that_join(self) -> Self {
        Self { join: true, ..self }
    }

    /// The nick's client. Whoever is made to hang up for it must have nothing unanswered.
    ///
    /// # Errors
    /// It cannot join.
    pub(crate) async fn of(&mut self, nick: &UserId) -> Result<&Room, Error> {
        self.clock += 1;
        if !self.open.contains_key(nick) && self.open.len() >= self.limit {
            let quietest = self.open.iter().min_by_key(|(_, seat)| seat.last_spoken);
            if let Some(quietest) = quietest.map(|(nick, _)| nick.clone()) {
                self.open.remove(&quietest);
            }
        }
        let seat = match self.open.entry(nick.clone()) {
            Entry::Occupied(seat) => seat.into_mut(),
            Entry::Vacant(free) => {
                let room = self.client.as_user(nick.clone()).room(self.room.clone());
                let options = SubscribeOptions { credit: Some(1), ..From::Latest.into() };
                let joined = if self.join { Some(room.subscribe(options).await?) } else { None };
                free.insert(Seat { room, _joined: joined, last_spoken: 0 })
            }
        };
        seat.last_spoken = self.clock;
        Ok(&seat.room)
    }
}

#[cfg(test)]
mod tests {
    use roomkeeper_client::ClientConfig;

    use super::*;

    #[tokio::test]
    async fn nick_beyond_the_limit_replaces_the_quietest() {
        let client = Client::new(ClientConfig::new(["http://127.0.0.1:9"])).unwrap();
        let mut nicks = Nicks::new(&client, "r".parse().unwrap(), 2);
        let [ann, bob, cid] = ["ann", "bob", "cid"].map(|nick| nick.parse::<UserId>().unwrap());
        for nick in [&ann, &bob, &ann, &cid] {
            nicks.of(nick).await.unwrap();
        }
        let mut open: Vec<&str> = nicks.open.keys().map(UserId::as_str).collect();
        open.sort_unstable();
        assert_eq!(open, ["ann", "cid"]);
    }
}

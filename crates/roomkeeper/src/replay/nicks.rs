//! The clients of one room: a WebSocket per nick, opened when the nick first speaks.

use std::collections::HashMap;

use roomkeeper_client::types::{RoomName, UserId};
use roomkeeper_client::{Client, Room};

/// At most `limit` nicks of a room are connected at a time: the one that has been quiet the longest hangs up
/// for the next. A real channel has hundreds of nicks, and a process a limit of sockets.
pub(crate) struct Nicks<'a> {
    client: &'a Client,
    room: RoomName,
    limit: usize,
    open: HashMap<UserId, Seat>,
    /// Lines spoken so far.
    clock: u64,
}

struct Seat {
    room: Room,
    last_spoken: u64,
}

impl<'a> Nicks<'a> {
    pub(crate) fn new(client: &'a Client, room: RoomName, limit: usize) -> Self {
        Self { client, room, limit: limit.max(1), open: HashMap::new(), clock: 0 }
    }

    /// The nick's client. Whoever is made to hang up for it must have nothing unanswered.
    pub(crate) fn of(&mut self, nick: &UserId) -> &Room {
        self.clock += 1;
        if !self.open.contains_key(nick) && self.open.len() >= self.limit {
            let quietest = self.open.iter().min_by_key(|(_, seat)| seat.last_spoken);
            if let Some(quietest) = quietest.map(|(nick, _)| nick.clone()) {
                self.open.remove(&quietest);
            }
        }
        let seat = self.open.entry(nick.clone()).or_insert_with(|| {
            let room = self.client.as_user(nick.clone()).room(self.room.clone());
            Seat { room, last_spoken: 0 }
        });
        seat.last_spoken = self.clock;
        &seat.room
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
            nicks.of(nick);
        }
        let mut open: Vec<&str> = nicks.open.keys().map(UserId::as_str).collect();
        open.sort_unstable();
        assert_eq!(open, ["ann", "cid"]);
    }
}

//! Everything that can be done, by everyone who may or may not, everywhere it can be asked.

use std::fmt;

use serde_json::{Value, json};

use super::{EVERYTHING, nodes, now, rest, scope, token, token_until};
use crate::common::{Client, Cluster, Served, uuid};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Publish,
    Join,
    History,
    Presence,
    Create,
    Delete,
    Rooms,
    Signal,
}

const DEEDS: [Deed; 8] = [
    Deed::Publish,
    Deed::Join,
    Deed::History,
    Deed::Presence,
    Deed::Create,
    Deed::Delete,
    Deed::Rooms,
    Deed::Signal,
];

/// By whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claimant {
    /// Ann, whose token names this action only.
    Allowed,
    /// Ann, whose token names all other actions.
    NotAllowed,
    /// Ann, who may do everything in every room, in a room of Bob's own.
    Stranger,
    /// Ann, who was allowed a second ago.
    Expired,
    /// Somebody.
    Nobody,
}

const CLAIMANTS: [Claimant; 5] =
    [Claimant::Allowed, Claimant::NotAllowed, Claimant::Stranger, Claimant::Expired, Claimant::Nobody];

/// Where it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Surface {
    RoomSocket,
    SessionSocket,
    Rest,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// It was done, or at least not refused.
    Done,
    /// This was the error's code.
    Refused(String),
    /// A list without the room.
    Unlisted,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Deed {
    /// The actions of which any allows it.
    fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Publish | Self::Signal => &["publish"],
            Self::Join => &["subscribe"],
            Self::History => &["history"],
            Self::Presence => &["presence"],
            Self::Create => &["create"],
            Self::Delete => &["delete"],
            Self::Rooms => &["subscribe", "history"],
        }
    }

    fn command(self, room: &str) -> (&'static str, Value) {
        match self {
            Self::Publish => ("publish", json!({ "room": room, "messages": [{ "id": uuid(), "data": 1 }] })),
            Self::Join => ("join", json!({ "room": room })),
            Self::History => ("history", json!({ "room": room, "from": "beginning" })),
            Self::Presence => ("presence", json!({ "room": room })),
            Self::Create => ("create", json!({ "room": room })),
            Self::Delete => ("delete", json!({ "room": room })),
            Self::Rooms => ("rooms", json!({ "prefix": room })),
            Self::Signal => ("signal", json!({ "room": room, "data": 1 })),
        }
    }

    /// What comes of it when that one does it.
    fn expected(self, claimant: Claimant) -> Outcome {
        let refused = |code: &str| Outcome::Refused(code.to_owned());
        match claimant {
            Claimant::Allowed => Outcome::Done,
            Claimant::NotAllowed | Claimant::Stranger if self == Self::Rooms => Outcome::Unlisted,
            Claimant::NotAllowed | Claimant::Stranger => refused("forbidden"),
            Claimant::Expired | Claimant::Nobody => refused("unauthorized"),
        }
    }

    fn outcome(self, room: &str, answer: Result<Value, Value>) -> Outcome {
        match answer {
            Ok(ok) if self == Self::Rooms => {
                let mut rooms = ok["rooms"].as_array().unwrap().iter();
                if rooms.any(|found| found["room"] == room) { Outcome::Done } else { Outcome::Unlisted }
            }
            Ok(_) => Outcome::Done,
            Err(error) => match error["code"].as_str().unwrap() {
                // Part of the protocol, and perhaps not of this server yet: whoever is told so was allowed.
                "bad_request" if matches!(self, Self::Presence | Self::Signal) => Outcome::Done,
                code => Outcome::Refused(code.to_owned()),
            },
        }
    }
}

impl Claimant {
    fn token(self, deed: Deed) -> Option<String> {
        let others = || EVERYTHING.into_iter().filter(|action| !deed.actions().contains(action));
        match self {
            Self::Allowed => Some(token("ann", scope("chat*", &deed.actions()[..1]))),
            Self::NotAllowed => Some(token("ann", scope("chat*", &others().collect::<Vec<_>>()))),
            Self::Stranger => Some(token("ann", scope("*", &EVERYTHING))),
            Self::Expired => Some(token_until("ann", scope("*", &EVERYTHING), now() - 1)),
            Self::Nobody => None,
        }
    }
}

/// Does it by a command, after a hello with the token.
async fn by_socket(mut client: Client, deed: Deed, room: &str, token: Option<&str>) -> Outcome {
    if let Some(token) = token
        && let Err(error) = client.call("hello", json!({ "token": token })).await
    {
        let (_, _, ended) = client.rest().await;
        assert_eq!(ended.0, Some(4500), "{deed}: a token that is not valid closes the socket");
        return deed.outcome(room, Err(error));
    }
    let (command, fields) = deed.command(room);
    deed.outcome(room, client.call(command, fields).await)
}

async fn by_rest(node: &Served, deed: Deed, room: &str, token: Option<&str>) -> Option<Outcome> {
    let rest = rest(node, token);
    let path = format!("/v1/rooms/{room}");
    let answer = match deed {
        Deed::Publish => {
            let body = json!({ "messages": [{ "id": uuid(), "data": 1 }] });
            rest.post(&format!("{path}/messages"), body).await
        }
        Deed::History => rest.get(&format!("{path}/messages")).await,
        Deed::Presence => rest.get(&format!("{path}/presence")).await,
        Deed::Create => rest.put(&path).await,
        Deed::Delete => rest.delete(&path).await,
        Deed::Rooms => rest.get(&format!("/v1/rooms?prefix={room}")).await,
        Deed::Join | Deed::Signal => return None,
    };
    let status = answer.status.as_u16();
    let error = answer.body["error"].clone();
    match error["code"].as_str() {
        Some("unauthorized") => assert_eq!((status, answer.header("www-authenticate")), (401, "Bearer")),
        Some("forbidden") => assert_eq!(status, 403),
        _ => {}
    }
    Some(deed.outcome(room, if error.is_null() { Ok(answer.body) } else { Err(error) }))
}

async fn attempt(
    node: &Served,
    surface: Surface,
    deed: Deed,
    room: &str,
    token: Option<&str>,
) -> Option<Outcome> {
    match surface {
        Surface::Rest => by_rest(node, deed, room, token).await,
        Surface::SessionSocket => Some(by_socket(node.client("/v1/ws").await, deed, room, token).await),
        Surface::RoomSocket => {
            let client = node.client(&format!("/v1/rooms/{room}/ws?route=proxy")).await;
            Some(by_socket(client, deed, room, token).await)
        }
    }
}

/// The room it is done with: a fresh one to create, one that is there for all else.
fn prepare(cluster: &Cluster, deed: Deed, claimant: Claimant, number: usize) -> String {
    let room = match claimant {
        Claimant::Stranger => format!("~bob:notes{number}"),
        _ => format!("chat{number}"),
    };
    if deed != Deed::Create {
        cluster.append(cluster.shard_of(&room), &room, json!("hello"));
    }
    room
}

#[tokio::test]
async fn everything_is_allowed_to_whom_it_is_granted_and_to_nobody_else() {
    let (cluster, owner, other) = nodes().await;
    let mut number = 0;
    for (node, place) in [(&owner, "the owner"), (&other, "another node")] {
        for surface in [Surface::RoomSocket, Surface::SessionSocket, Surface::Rest] {
            for deed in DEEDS {
                for claimant in CLAIMANTS {
                    number += 1;
                    let room = prepare(&cluster, deed, claimant, number);
                    let token = claimant.token(deed);
                    let outcome = attempt(node, surface, deed, &room, token.as_deref()).await;
                    let case = format!("{deed} by {claimant:?} over {surface:?} at {place}");
                    assert!(outcome.is_none_or(|outcome| outcome == deed.expected(claimant)), "{case}");
                }
            }
        }
    }
    assert_eq!(number, 2 * 3 * 8 * 5);
}

/// A refusal is the same whether the room is there or not.
#[tokio::test]
async fn refusal_does_not_tell_whether_there_is_such_a_room() {
    let (cluster, owner, other) = nodes().await;
    cluster.append(cluster.shard_of("secret"), "secret", json!(1));
    cluster.append(cluster.shard_of("~bob:notes"), "~bob:notes", json!(1));
    let ann = token("ann", scope("chat", &EVERYTHING));
    for node in [&owner, &other] {
        for (there, missing) in [("secret", "absent"), ("~bob:notes", "~bob:other")] {
            let rest = rest(node, Some(&ann));
            for path in ["", "/messages", "?replica=local"] {
                let answers = [there, missing].map(|room| (room, format!("/v1/rooms/{room}{path}")));
                let mut seen = Vec::new();
                for (room, path) in answers {
                    let answer = rest.get(&path).await;
                    seen.push((answer.status, answer.body.to_string().replace(room, "")));
                }
                assert_eq!(seen[0], seen[1], "{there}{path}");
                assert_eq!(seen[0].0, 403);
            }
            let mut session = super::open(node, "/v1/ws", &ann).await;
            for deed in DEEDS.into_iter().filter(|deed| *deed != Deed::Rooms) {
                let mut seen = Vec::new();
                for room in [there, missing] {
                    let (command, fields) = deed.command(room);
                    let error = session.call(command, fields).await.unwrap_err();
                    seen.push(error.to_string().replace(room, ""));
                }
                assert_eq!(seen[0], seen[1], "{deed} in {there}");
            }
        }
    }
}

#[tokio::test]
async fn names_that_only_look_like_an_allowed_room_are_not_allowed() {
    let (_cluster, node, _) = nodes().await;
    let ann = token("ann", scope("chat.team", &EVERYTHING));
    let rest = rest(&node, Some(&ann));
    for name in ["Chat.team", "chat.team.", "chat..team", "chat.team..", "..", "chat.tea", "CHAT.TEAM"] {
        assert_eq!(rest.put(&format!("/v1/rooms/{name}")).await.code(), "forbidden", "{name}");
    }
    // Outside the grammar of names: no room at all.
    for name in ["chat.te%61m%00", "ch%D0%B0t.team", "chat.team%2F..%2Fsecret", "chat.team%20"] {
        assert_eq!(rest.put(&format!("/v1/rooms/{name}")).await.code(), "bad_request", "{name}");
    }
    // The same name in other writing is the same name.
    assert_eq!(rest.put("/v1/rooms/chat.te%61m").await.status, 201);
    // What the body names cannot be another room than the one that was looked at.
    let body = json!({ "room": "secret", "messages": [{ "id": uuid(), "data": 1 }] });
    assert_eq!(rest.post("/v1/rooms/chat.team/messages", body).await.code(), "bad_request");
}

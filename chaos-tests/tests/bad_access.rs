//! Every command where it is not allowed: about another user's room, without a token, with one that has run out or runs
//! out meanwhile, with one for something else. By both codecs and sockets, at an owner and through a relay, each
//! gets exactly one reply, in the same words whether the room is there or not.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

mod every_command;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chaos_tests::cluster::{Cluster, Setup};
use chaos_tests::probe::{End, Http, Socket, socket_url};
use chaos_tests::shared::SharedCluster;
use every_command::{Line, every_command};
use reqwest::Method;
use roomkeeper_auth::{Claims, SigningKey};
use roomkeeper_protocol::{Codec, Command, Hello, Rooms};
use roomkeeper_types::RoomName;
use serde_json::{Value, json};

static CLUSTER: SharedCluster = SharedCluster::of(3);

const KEY: &str = "not a secret: a key of a test of what is not allowed";
const BOTH: [Codec; 2] = [Codec::Json, Codec::Proto];
/// How long a socket may outlive its token.
const WITHIN: Duration = Duration::from_secs(2);

fn room(name: &str) -> RoomName {
    name.parse().unwrap()
}

/// The paths of a room's sockets, and the name by which commands on them call it.
fn sockets(room: &RoomName) -> [(String, Option<&RoomName>); 2] {
    [("/v1/ws".to_owned(), Some(room)), (format!("/v1/rooms/{room}/ws?route=proxy"), None)]
}

fn hello(user: &str) -> Command {
    Command::Hello(Hello { user: user.parse().ok(), ..Hello::default() })
}

fn hello_with(token: &str) -> Command {
    Command::Hello(Hello { token: Some(token.to_owned().into()), ..Hello::default() })
}

#[test]
fn command_on_another_users_room_is_forbidden_whether_it_is_there_or_not() {
    CLUSTER.run(async |cluster| {
        let (there, not_there) = (room("~bob:notes"), room("~bob:none"));
        let mut bob = Socket::open(&socket_url(&cluster.url(0), "/v1/ws"), &[]).await.unwrap();
        bob.ok("hello", json!({ "user": "bob" })).await.unwrap();
        bob.ok("create", json!({ "room": there })).await.unwrap();
        for codec in BOTH {
            for room in [&there, &not_there] {
                for node in 0..cluster.size() {
                    for (path, named) in sockets(room) {
                        let mut line = Line::open(codec, &socket_url(&cluster.url(node), &path), &[]).await;
                        line.ask(hello("ann")).await.unwrap();
                        for command in every_command(named) {
                            let shown = format!("{codec:?} {path} {command:?}");
                            assert_eq!(line.refusal(command).await, "forbidden", "{shown}");
                        }
                        line.ask(Command::Rooms(Rooms::default())).await.unwrap();
                    }
                }
            }
        }
        let mut ann = Socket::open(&socket_url(&cluster.url(1), "/v1/ws"), &[]).await.unwrap();
        ann.ok("hello", json!({ "user": "ann" })).await.unwrap();
        let listed = ann.ok("rooms", json!({ "prefix": "~bob" })).await.unwrap();
        assert_eq!(listed["rooms"], json!([]), "a room that is not hers is not listed");
    });
}

#[test]
fn request_about_another_users_room_is_403_whether_it_is_there_or_not() {
    CLUSTER.run(async |cluster| {
        let there = room("~bob:papers");
        let bob = Http::new(cluster.url(0)).unwrap().with("roomkeeper-user", "bob");
        let made = bob.send(Method::PUT, &format!("/v1/rooms/{there}?route=proxy"), "").await.unwrap();
        assert!(made.status < 300, "{}", made.body);
        for room in [there, room("~bob:no-papers")] {
            for node in 0..cluster.size() {
                let ann = Http::new(cluster.url(node)).unwrap().with("roomkeeper-user", "ann");
                for (method, path, body) in requests(&room) {
                    let answer = ann.send(method.clone(), &path, body.to_string()).await.unwrap();
                    assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{method} {path}");
                }
            }
        }
    });
}

/// A good request of each kind.
fn requests(room: &RoomName) -> Vec<(Method, String, Value)> {
    let path = |rest: &str| format!("/v1/rooms/{room}{rest}?route=proxy");
    let id = roomkeeper_types::MessageId::generate().to_string();
    vec![
        (Method::GET, path(""), json!({})),
        (Method::GET, path("/messages"), json!({})),
        (Method::GET, path("/presence"), json!({})),
        (Method::GET, path("/cursors/c"), json!({})),
        (Method::POST, path("/messages"), json!({ "messages": [{ "id": id, "data": 1 }] })),
        (Method::POST, path("/messages"), json!({ "hold_ms": 1_000, "messages": [{ "id": id, "data": 1 }] })),
        (Method::POST, path("/cursors"), json!({ "consumer": "c", "offset": 1 })),
        (Method::POST, path("/confirm"), json!({ "ids": [id] })),
        (Method::POST, path("/rollback"), json!({ "ids": [id] })),
        (Method::POST, path("/signal"), json!({ "data": 1 })),
        (Method::PUT, path(""), json!({})),
        (Method::DELETE, path(""), json!({})),
    ]
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token of `ann` that runs out then.
fn token(exp: u64, scopes: &Value) -> String {
    let claims = json!({ "sub": "ann", "exp": exp, "scopes": scopes });
    let claims: Claims = serde_json::from_value(claims).unwrap();
    SigningKey::read(KEY).unwrap().sign(&"k".parse().unwrap(), &claims).unwrap()
}

fn everything() -> Value {
    let actions = ["publish", "subscribe", "history", "create", "delete", "presence"];
    json!([{ "rooms": "*", "actions": actions }])
}

/// Three nodes that ask for tokens, and are patient with those who have none yet.
async fn with_keys() -> Cluster {
    let settings = [
        ("ROOMKEEPER_AUTH_KEYS", "k HS256 env:BAD_ACCESS_KEY"),
        ("BAD_ACCESS_KEY", KEY),
        ("ROOMKEEPER_AUTH_TIMEOUT", "60s"),
    ];
    let mut cluster = Cluster::start_with_settings(Setup::plain(3), &settings).await.unwrap();
    cluster.wait_ready().await.unwrap();
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_that_is_missing_over_or_for_something_else_allows_nothing() {
    let cluster = with_keys().await;
    let theirs = room("theirs");
    let maker = format!("Bearer {}", token(now() + 600, &everything()));
    let mut made =
        Socket::open(&socket_url(&cluster.url(0), "/v1/ws"), &[("authorization", &maker)]).await.unwrap();
    made.ok("create", json!({ "room": theirs })).await.unwrap();
    nobody(&cluster, &theirs).await;
    with_a_token_that_is_over(&cluster, &theirs).await;
    with_a_token_for_something_else(&cluster, &theirs).await;
    while_a_token_runs_out(&cluster).await;
}

/// Before a token each command is refused, and the socket waits for one; a token that is over ends it.
async fn nobody(cluster: &Cluster, theirs: &RoomName) {
    let over = token(now() - 5, &everything());
    for codec in BOTH {
        for (node, (path, named)) in sockets(theirs).into_iter().enumerate() {
            let mut line = Line::open(codec, &socket_url(&cluster.url(node), &path), &[]).await;
            for command in every_command(named).into_iter().chain([Command::Rooms(Rooms::default())]) {
                let shown = format!("{codec:?} {path} {command:?}");
                assert_eq!(line.refusal(command).await, "unauthorized", "{shown}");
            }
            assert_eq!(line.refusal(hello_with(&over)).await, "unauthorized", "{codec:?} {path}");
            let end = line.socket.any().await;
            assert_eq!(end, Err(Some(4_500)), "{codec:?} {path}");
        }
    }
}

async fn with_a_token_that_is_over(cluster: &Cluster, theirs: &RoomName) {
    let bearer = format!("Bearer {}", token(now() - 5, &everything()));
    for node in 0..cluster.size() {
        for (path, _) in sockets(theirs) {
            let url = socket_url(&cluster.url(node), &path);
            let refused = Socket::try_open(&url, &[("authorization", &bearer)]).await.unwrap();
            assert_eq!(refused.map(drop).unwrap_err().status, 401, "{path}");
        }
        let http = Http::new(cluster.url(node)).unwrap().with_text("authorization", &bearer);
        for (method, path, body) in requests(theirs) {
            let answer = http.send(method.clone(), &path, body.to_string()).await.unwrap();
            assert_eq!((answer.status, answer.code()), (401, "unauthorized"), "{method} {path}");
        }
    }
}

async fn with_a_token_for_something_else(cluster: &Cluster, theirs: &RoomName) {
    let scopes = json!([{ "rooms": "mine.*", "actions": ["publish", "subscribe", "history", "presence"] }]);
    let token = token(now() + 600, &scopes);
    for codec in BOTH {
        for room in [theirs, &room("not-there")] {
            for node in 0..cluster.size() {
                let mut line = Line::open(codec, &socket_url(&cluster.url(node), "/v1/ws"), &[]).await;
                line.ask(hello_with(&token)).await.unwrap();
                for command in every_command(Some(room)) {
                    let shown = format!("{codec:?} {command:?}");
                    assert_eq!(line.refusal(command).await, "forbidden", "{shown}");
                }
                line.ask(Command::Rooms(Rooms::default())).await.unwrap();
            }
        }
    }
    let bearer = format!("Bearer {token}");
    let http = Http::new(cluster.url(1)).unwrap().with_text("authorization", &bearer);
    for room in [theirs, &room("not-there")] {
        for (method, path, body) in requests(room) {
            let answer = http.send(method.clone(), &path, body.to_string()).await.unwrap();
            assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{method} {path}");
        }
        // Nothing in it is allowed, so that a socket of its own would be of no use.
        let url = socket_url(&cluster.url(0), &format!("/v1/rooms/{room}/ws"));
        let refused = Socket::try_open(&url, &[("authorization", &bearer)]).await.unwrap();
        assert_eq!(refused.map(drop).unwrap_err().status, 403);
    }
}

/// Commands all the time: each is answered once, until the socket is closed with its token's end.
async fn while_a_token_runs_out(cluster: &Cluster) {
    let mine = room("mine.own");
    for (node, (path, named)) in sockets(&mine).into_iter().enumerate() {
        let exp = now() + 2;
        let token = token(exp, &everything());
        let mut socket = Socket::open(&socket_url(&cluster.url(node), &path), &[]).await.unwrap();
        socket.ok("hello", json!({ "token": token })).await.unwrap();
        let mut fields = json!({ "from": "beginning", "limit": 1 });
        if let Some(room) = named {
            fields["room"] = json!(room);
        }
        let mut publish = json!({});
        if let Some(room) = named {
            publish["room"] = json!(room);
        }
        let mut answered = 0;
        let end = loop {
            publish["messages"] =
                json!([{ "id": roomkeeper_types::MessageId::generate().to_string(), "data": 1 }]);
            let answers =
                [socket.ask("publish", publish.clone()).await, socket.ask("history", fields.clone()).await];
            match answers {
                [Ok(Ok(_)), Ok(Ok(_))] => answered += 1,
                // What came too late is refused, or not read any more.
                [Ok(refused), next] => {
                    if let Err(error) = refused {
                        assert_eq!(error["code"], "unauthorized", "{path}");
                    }
                    if let Err(code) = next {
                        break code;
                    }
                }
                [Err(code), _] => break code,
            }
            assert!(SystemTime::now() < UNIX_EPOCH + Duration::from_secs(exp) + WITHIN, "{path}: still open");
        };
        assert_eq!(end.map(End::Code), Some(End::Code(4_500)), "{path}");
        assert!(answered > 0, "nothing was allowed before");
    }
}

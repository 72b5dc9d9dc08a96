//! Bad frames and requests, and what each is answered. Here those of the commands about messages and rooms;
//! [`features`] has the others.

mod features;

use bytes::Bytes;
use reqwest::Method;
use roomkeeper_protocol::{
    Codec, Command, Data, From, Hello, History, Isolation, Join, NewMessage, Publish, Request, RoomRef,
};
use roomkeeper_types::{MessageId, Offset, RoomName};
use serde_json::{Value, json};

/// A room with three messages, and what can be done wrong with it.
pub(crate) struct Fixture {
    pub(crate) room: RoomName,
    /// The life of an earlier room of that name.
    pub(crate) former_life: String,
    /// Ids of the messages 1 to 3, whose data are `"as stored"`.
    pub(crate) ids: Vec<String>,
    /// Ids of what is held: the two of an open hold of `ann`, one that she dropped, one of an open hold of `bob`.
    pub(crate) holds: [String; 4],
}

/// A frame and the error that it gets.
pub(crate) struct Bad<F> {
    pub(crate) what: &'static str,
    pub(crate) frame: F,
    /// The reply's number.
    pub(crate) id: u32,
    pub(crate) code: &'static str,
}

fn uuid() -> String {
    MessageId::generate().to_string()
}

/// Frames for a JSON socket that may use the room.
pub(crate) fn json_frames(fixture: &Fixture) -> Vec<Bad<String>> {
    let mut bad = Vec::new();
    for (what, frame) in [
        ("empty", ""),
        ("no JSON", "nonsense"),
        ("cut off", r#"{"id": 7, "leave": {"#),
        ("not an object", "[7]"),
        ("without an id", r#"{"join": {"room": "bad"}}"#),
        ("id 0", r#"{"id": 0, "join": {"room": "bad"}}"#),
        ("id beyond 32 bits", r#"{"id": 4294967296, "join": {"room": "bad"}}"#),
        ("id as text", r#"{"id": "7", "join": {"room": "bad"}}"#),
    ] {
        bad.push(Bad { what, frame: frame.to_owned(), id: 0, code: "bad_request" });
    }
    let rows = commands(fixture).into_iter().chain(publishes(fixture)).chain(features::shapes(fixture));
    for (what, code, fields) in rows {
        let mut frame = json!({ "id": 7 });
        for (command, fields) in fields.as_object().into_iter().flatten() {
            frame[command] = fields.clone();
        }
        bad.push(Bad { what, frame: frame.to_string(), id: 7, code });
    }
    let twice = ("heartbeat of a room twice", "bad_request", features::heartbeat_of_a_room_twice(fixture));
    for (what, code, command) in features::commands(fixture).into_iter().chain([twice]) {
        let frame = Codec::Json.encode_request(&Request { id: 7, command });
        let frame = String::from_utf8(frame.bytes().to_vec()).unwrap();
        bad.push(Bad { what, frame, id: 7, code });
    }
    bad
}

type Row = (&'static str, &'static str, Value);

fn commands(fixture: &Fixture) -> Vec<Row> {
    const BAD: &str = "bad_request";
    let Fixture { room, former_life, .. } = fixture;
    let join = |from: Value| json!({ "join": { "room": room, "from": from } });
    let history = |from: Value| json!({ "history": { "room": room, "from": from } });
    let former = |mut fields: Value| {
        fields["room"] = json!(room);
        fields["life"] = json!(former_life);
        fields
    };
    vec![
        ("no command", BAD, json!({})),
        ("unknown command", BAD, json!({ "dance": {} })),
        ("two commands", BAD, json!({ "join": { "room": room }, "leave": { "room": room } })),
        ("command that is no object", BAD, json!({ "join": "bad" })),
        ("room of the wrong type", BAD, json!({ "join": { "room": 5 } })),
        ("room with a space", BAD, json!({ "join": { "room": "a b" } })),
        ("room with a slash", BAD, json!({ "create": { "room": "a/b" } })),
        ("room without a name", BAD, json!({ "create": { "room": "" } })),
        ("room name of 129", BAD, json!({ "create": { "room": "a".repeat(129) } })),
        ("user's room without a name", BAD, json!({ "create": { "room": "~ann" } })),
        ("from of no form", BAD, join(json!("yesterday"))),
        ("from below the first", BAD, join(json!({ "offset": 0 }))),
        ("from below zero", BAD, join(json!({ "offset": -1 }))),
        ("from above the head", BAD, join(json!({ "offset": 99 }))),
        ("from beyond 2^53", BAD, join(json!({ "offset": 9_007_199_254_740_992_u64 }))),
        ("range reversed", BAD, join(json!({ "range": [3, 2] }))),
        ("range above the head", BAD, join(json!({ "range": [98, 99] }))),
        ("range of three", BAD, join(json!({ "range": [1, 2, 3] }))),
        ("committed without a consumer", BAD, join(json!("committed"))),
        ("life that is none", BAD, json!({ "join": { "room": room, "life": "nonsense" } })),
        ("history without from", BAD, json!({ "history": { "room": room } })),
        ("history from latest", BAD, history(json!("latest"))),
        ("history below the first", BAD, history(json!({ "offset": 0 }))),
        ("history above the head", BAD, history(json!({ "offset": 5 }))),
        ("history reversed", BAD, history(json!({ "range": [3, 1] }))),
        ("history of none", BAD, json!({ "history": { "room": room, "from": "beginning", "limit": 0 } })),
        ("history of 1,001", BAD, json!({ "history": { "room": room, "from": "beginning", "limit": 1001 } })),
        ("rooms of 1,001", BAD, json!({ "rooms": { "limit": 1001 } })),
        ("hello without a name", BAD, json!({ "hello": { "user": "" } })),
        ("room that exists", "already_exists", json!({ "create": { "room": room } })),
        ("join of a former life", "recreated", json!({ "join": former(json!({})) })),
        (
            "history of a former life",
            "recreated",
            json!({ "history": former(json!({ "from": "beginning" })) }),
        ),
        ("delete of a former life", "recreated", json!({ "delete": former(json!({})) })),
        (
            "publish to a former life",
            "recreated",
            json!({ "publish": former(json!({ "messages": [{ "id": uuid(), "data": 1 }] })) }),
        ),
    ]
}

fn publishes(fixture: &Fixture) -> Vec<Row> {
    const BAD: &str = "bad_request";
    let Fixture { room, ids, .. } = fixture;
    let publish = |messages: Value| json!({ "publish": { "room": room, "messages": messages } });
    let with = |name: &str, value: Value| {
        let mut publish = publish(json!([{ "id": uuid(), "data": 1 }]));
        publish["publish"][name] = value;
        publish
    };
    let same = uuid();
    let many: Vec<Value> = (0..1_001).map(|_| json!({ "id": uuid(), "data": 1 })).collect();
    let known = json!({ "id": ids[0], "data": "as stored" });
    vec![
        ("publish without messages", BAD, json!({ "publish": { "room": room } })),
        ("messages of the wrong type", BAD, publish(json!({ "id": uuid(), "data": 1 }))),
        ("no message", BAD, publish(json!([]))),
        ("message without an id", BAD, publish(json!([{ "data": 1 }]))),
        ("id that is no UUID", BAD, publish(json!([{ "id": "no uuid", "data": 1 }]))),
        ("id that is a number", BAD, publish(json!([{ "id": 5, "data": 1 }]))),
        ("message without data", BAD, publish(json!([{ "id": uuid() }]))),
        ("data_b64 that is none", BAD, publish(json!([{ "id": uuid(), "data_b64": "***" }]))),
        ("one id twice", BAD, publish(json!([{ "id": same, "data": 1 }, { "id": same, "data": 2 }]))),
        ("one bad of two", BAD, publish(json!([{ "id": uuid(), "data": 1 }, { "id": "?", "data": 2 }]))),
        (
            "message over 64 KiB",
            "too_large",
            publish(json!([{ "id": uuid(), "data": "x".repeat(64 << 10) }])),
        ),
        ("batch over 1,000", "too_large", publish(json!(many))),
        ("expect 0", BAD, with("expect", json!(0))),
        ("expect as text", BAD, with("expect", json!("4"))),
        ("expect below the head", "conflict", with("expect", json!(3))),
        ("expect above the head", "conflict", with("expect", json!(5))),
        ("timeout of an hour", BAD, with("timeout_ms", json!(3_600_000))),
        ("known id with other data", "conflict", publish(json!([{ "id": ids[0], "data": "other" }]))),
        ("batch known in part", "conflict", publish(json!([known, { "id": uuid(), "data": 1 }]))),
    ]
}

/// Frames for a protobuf socket that may use the room, and a good one: a history under number 99.
pub(crate) fn proto_frames(fixture: &Fixture) -> (Vec<Bad<Bytes>>, Bytes) {
    let mut bad = Vec::new();
    for (what, frame) in [
        ("empty", &b""[..]),
        ("no protobuf", b"\xff\xff\xff\xff"),
        ("cut off", b"\x08"),
        ("JSON", br#"{"id": 7, "leave": {}}"#),
        ("id 0", b"\x08\x00\x22\x00"),
    ] {
        bad.push(Bad { what, frame: Bytes::copy_from_slice(frame), id: 0, code: "bad_request" });
    }
    // id = 1: 7, then nothing, or join = 3 of room = 1: "a b".
    for (what, frame) in
        [("no command", &b"\x08\x07"[..]), ("room with a space", b"\x08\x07\x1a\x05\x0a\x03a b")]
    {
        bad.push(Bad { what, frame: Bytes::copy_from_slice(frame), id: 7, code: "bad_request" });
    }
    for (what, code, command) in proto_commands(fixture).into_iter().chain(features::commands(fixture)) {
        let frame = Codec::Proto.encode_request(&Request { id: 7, command }).into_bytes();
        bad.push(Bad { what, frame, id: 7, code });
    }
    let good = History {
        room: of_room(fixture),
        from: From::Beginning,
        limit: Some(1),
        isolation: Isolation::Committed,
    };
    let good = Codec::Proto.encode_request(&Request { id: 99, command: Command::History(good) });
    (bad, good.into_bytes())
}

/// Says who is there, under number 1.
pub(crate) fn proto_hello(user: &str) -> Bytes {
    let hello = Hello { user: user.parse().ok(), ..Hello::default() };
    Codec::Proto.encode_request(&Request { id: 1, command: Command::Hello(hello) }).into_bytes()
}

fn of_room(fixture: &Fixture) -> RoomRef {
    RoomRef { room: Some(fixture.room.clone()), life: None }
}

fn proto_commands(fixture: &Fixture) -> Vec<(&'static str, &'static str, Command)> {
    let message = |id: MessageId, data: &str| NewMessage { id, data: Data::json_string(data), sent: None };
    let publish = |messages: Vec<NewMessage>, expect: Option<u64>| {
        let expect = expect.map(Offset);
        Command::Publish(Publish {
            room: of_room(fixture),
            messages,
            expect,
            hold_ms: None,
            timeout_ms: None,
        })
    };
    let join = |from| Command::Join(Join { room: of_room(fixture), from, ..join_latest() });
    let life = fixture.former_life.parse().ok();
    let former = Join { room: RoomRef { life, ..of_room(fixture) }, ..join_latest() };
    let fresh = MessageId::generate;
    let known: MessageId = fixture.ids[0].parse().unwrap();
    let (same, many) = (fresh(), (0..1_001).map(|_| message(fresh(), "x")).collect());
    let not_json = NewMessage { id: fresh(), data: Data::Json("{".into()), sent: None };
    vec![
        ("from above the head", "bad_request", join(From::Offset(Offset(99)))),
        ("from below the first", "bad_request", join(From::Offset(Offset(0)))),
        ("range reversed", "bad_request", join(From::Range(Offset(3), Offset(2)))),
        ("former life", "recreated", Command::Join(former)),
        ("no message", "bad_request", publish(Vec::new(), None)),
        ("JSON data that is none", "bad_request", publish(vec![not_json], None)),
        ("one id twice", "bad_request", publish(vec![message(same, "a"), message(same, "b")], None)),
        ("message over 64 KiB", "too_large", publish(vec![message(fresh(), &"x".repeat(64 << 10))], None)),
        ("batch over 1,000", "too_large", publish(many, None)),
        ("wrong expect", "conflict", publish(vec![message(fresh(), "x")], Some(3))),
        ("known id with other data", "conflict", publish(vec![message(known, "other")], None)),
    ]
}

fn join_latest() -> Join {
    Join {
        room: RoomRef::default(),
        from: From::Latest,
        consumer: None,
        credit: None,
        isolation: Isolation::Committed,
        presence: None,
    }
}

/// Requests over HTTP: method, path, body, status, code.
pub(crate) fn requests(fixture: &Fixture) -> Vec<(Method, String, String, u16, &'static str)> {
    let Fixture { room, former_life, .. } = fixture;
    let path = |rest: &str| format!("/v1/rooms/{room}{rest}");
    let mut requests = Vec::new();
    for (path, status, code) in [
        ("/v1/rooms/a%20b".to_owned(), 400, "bad_request"),
        (format!("/v1/rooms/{}", "a".repeat(129)), 400, "bad_request"),
        ("/v1/rooms/nobody-made-it".to_owned(), 404, "not_found"),
        ("/v1/rooms/nobody-made-it/messages".to_owned(), 404, "not_found"),
        ("/v1/nothing".to_owned(), 404, "not_found"),
        ("/v1/rooms?limit=1001".to_owned(), 400, "bad_request"),
        (path("?replica=other"), 400, "bad_request"),
        (path("?life=nonsense"), 400, "bad_request"),
        (path(&format!("?life={former_life}")), 409, "recreated"),
        (path("?hops=-1"), 400, "bad_request"),
        (path("?token=abc"), 400, "bad_request"),
        (path("/messages?from=0"), 400, "bad_request"),
        (path("/messages?from=99"), 400, "bad_request"),
        (path("/messages?from=x"), 400, "bad_request"),
        (path("/messages?from=3&to=2"), 400, "bad_request"),
        (path("/messages?limit=0"), 400, "bad_request"),
        (path(&format!("/messages?life={former_life}")), 409, "recreated"),
    ] {
        requests.push((Method::GET, path, String::new(), status, code));
    }
    for (_, code, fields) in publishes(fixture) {
        let mut fields = fields["publish"].clone();
        fields.as_object_mut().unwrap().remove("room");
        requests.push((Method::POST, path("/messages"), fields.to_string(), status(code), code));
    }
    for (body, code) in [("", "bad_request"), ("{", "bad_request"), ("[]", "bad_request")] {
        requests.push((Method::POST, path("/messages"), body.to_owned(), 400, code));
    }
    let long = format!(r#"{{"x": "{}"}}"#, "x".repeat(1 << 20));
    requests.push((Method::POST, path("/messages"), long, 413, "too_large"));
    requests.push((Method::PUT, path(""), String::new(), 409, "already_exists"));
    requests.push((Method::DELETE, path(&format!("?life={former_life}")), String::new(), 409, "recreated"));
    requests.push((Method::DELETE, "/v1/rooms/nobody-made-it".to_owned(), String::new(), 404, "not_found"));
    requests.extend(features::requests(fixture));
    requests
}

fn status(code: &str) -> u16 {
    match code {
        "too_large" => 413,
        "conflict" => 409,
        _ => 400,
    }
}

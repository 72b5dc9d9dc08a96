//! Bad input of cursors, credit, holds, signals, presence, heartbeats, lists and options.

use reqwest::Method;
use roomkeeper_protocol::{
    Command, Commit, Create, Credit, Data, From, Heartbeat, Hello, History, HoldRef, Isolation, Join,
    NewMessage, Publish, RoomOptions, RoomRef, Rooms, Seen, Signal,
};
use roomkeeper_types::{MessageId, Offset, RoomName};
use serde_json::{Value, json};

use super::{Fixture, Row, uuid};

/// The first number that no client may send.
const TOO_HIGH: u64 = 9_007_199_254_740_992;
const BAD: &str = "bad_request";

/// Frames of a shape that only JSON can have: fields missing, of the wrong type, out of their type's range.
pub(super) fn shapes(fixture: &Fixture) -> Vec<Row> {
    let room = &fixture.room;
    let commit = |fields: Value| json!({ "commit": merged(json!({ "room": room }), fields) });
    let credit = |fields: Value| json!({ "credit": merged(json!({ "room": room }), fields) });
    let beat = |seen: Value| json!({ "heartbeat": { "rooms": { room.as_str(): seen } } });
    let join = |fields: Value| json!({ "join": merged(json!({ "room": room }), fields) });
    let history =
        |fields: Value| json!({ "history": merged(json!({ "room": room, "from": "beginning" }), fields) });
    let create = |options: Value| json!({ "create": { "room": "bad-new", "options": options } });
    let mut rows: Vec<Row> = vec![
        ("commit without a consumer", BAD, commit(json!({ "offset": 1 }))),
        ("commit of a numbered consumer", BAD, commit(json!({ "consumer": 5, "offset": 1 }))),
        ("commit of a nameless consumer", BAD, commit(json!({ "consumer": "", "offset": 1 }))),
        ("commit without an offset", BAD, commit(json!({ "consumer": "c" }))),
        ("commit of null", BAD, commit(json!({ "consumer": "c", "offset": null }))),
        ("commit of text", BAD, commit(json!({ "consumer": "c", "offset": "1" }))),
        ("commit of half an offset", BAD, commit(json!({ "consumer": "c", "offset": 1.5 }))),
        ("commit below zero", BAD, commit(json!({ "consumer": "c", "offset": -1 }))),
        ("credit without a number", BAD, credit(json!({}))),
        ("credit of text", BAD, credit(json!({ "more": "1" }))),
        ("credit below zero", BAD, credit(json!({ "more": -1 }))),
        ("heartbeat without rooms", BAD, json!({ "heartbeat": {} })),
        ("heartbeat of a list", BAD, json!({ "heartbeat": { "rooms": [room] } })),
        ("heartbeat of a room that is text", BAD, beat(json!("here"))),
        ("heartbeat of no room's name", BAD, json!({ "heartbeat": { "rooms": { "a b": {} } } })),
        ("heartbeat that is here in words", BAD, beat(json!({ "here": "yes", "seen": [] }))),
        ("heartbeat that has seen a text", BAD, beat(json!({ "here": true, "seen": "all" }))),
        ("heartbeat that has seen no UUID", BAD, beat(json!({ "here": true, "seen": ["x"] }))),
        ("heartbeat that has seen a number", BAD, beat(json!({ "here": true, "seen": [7] }))),
        ("heartbeat up to a text", BAD, beat(json!({ "here": true, "seen": [], "upto": "3" }))),
        ("heartbeat up to less than nothing", BAD, beat(json!({ "here": true, "seen": [], "upto": -1 }))),
        ("short heartbeat without what was seen", BAD, json!({ "amhere": true, "msgSeen": 5 })),
        ("signal without data", BAD, json!({ "signal": { "room": room } })),
        ("signal of no base64", BAD, json!({ "signal": { "room": room, "data_b64": "***" } })),
        ("join with credit in words", BAD, join(json!({ "credit": "all" }))),
        ("join with credit below zero", BAD, join(json!({ "credit": -1 }))),
        ("join with a numbered consumer", BAD, join(json!({ "consumer": 5 }))),
        ("join with a nameless consumer", BAD, join(json!({ "from": "committed", "consumer": "" }))),
        ("join of an unknown isolation", BAD, join(json!({ "isolation": "serializable" }))),
        ("join of a numbered isolation", BAD, join(json!({ "isolation": 1 }))),
        ("join present in words", BAD, join(json!({ "presence": "yes" }))),
        ("history of an unknown isolation", BAD, history(json!({ "isolation": "dirty" }))),
        ("history of a limit in words", BAD, history(json!({ "limit": "all" }))),
        ("history of a limit beyond 32 bits", BAD, history(json!({ "limit": 4_294_967_297_u64 }))),
        ("presence of a numbered room", BAD, json!({ "presence": { "room": 5 } })),
        ("presence that is text", BAD, json!({ "presence": "all" })),
        ("leave of a numbered life", BAD, json!({ "leave": { "room": room, "life": 5 } })),
        ("rooms of a numbered prefix", BAD, json!({ "rooms": { "prefix": 5 } })),
        ("rooms after a number", BAD, json!({ "rooms": { "after": 5 } })),
        ("rooms of a limit in words", BAD, json!({ "rooms": { "limit": "all" } })),
        ("rooms of a page in words", BAD, json!({ "rooms": { "page": "first" } })),
        ("rooms of a page below zero", BAD, json!({ "rooms": { "page": -1 } })),
        ("options that are a list", BAD, create(json!([1]))),
        ("options that nobody knows", BAD, create(json!({ "colour": "red" }))),
        ("age in words", BAD, create(json!({ "retain_ms": "1h" }))),
        ("count below zero", BAD, create(json!({ "retain_messages": -1 }))),
        ("bytes in halves", BAD, create(json!({ "retain_bytes": 0.5 }))),
        ("presence in words", BAD, create(json!({ "presence": "on" }))),
        ("members beyond 32 bits", BAD, create(json!({ "max_members": 4_294_967_296_u64 }))),
        ("unknown placement", BAD, json!({ "create": { "room": "bad-new", "placement": "here" } })),
        ("numbered placement", BAD, json!({ "create": { "room": "bad-new", "placement": 1 } })),
        ("create without a room's name", BAD, json!({ "create": { "room": null, "options": 5 } })),
        ("hello with a numbered device", BAD, json!({ "hello": { "device": 5 } })),
        ("hello with a numbered session", BAD, json!({ "hello": { "session": 5 } })),
        ("hello with a numbered token", BAD, json!({ "hello": { "token": 5 } })),
        ("hello with a numbered client", BAD, json!({ "hello": { "client": 5 } })),
        ("hold for a text", BAD, hold_of(room, json!("1s"))),
        ("hold below zero", BAD, hold_of(room, json!(-1))),
    ];
    for command in ["confirm", "rollback"] {
        for (what, ids) in [
            ("ids missing", json!(null)),
            ("ids that are text", json!("all")),
            ("an id that is none", json!(["x"])),
            ("an id that is a number", json!([5])),
        ] {
            rows.push((what, BAD, json!({ command: { "room": room, "ids": ids } })));
        }
    }
    rows
}

fn merged(mut one: Value, other: Value) -> Value {
    for (name, value) in other.as_object().into_iter().flatten() {
        one[name] = value.clone();
    }
    one
}

fn hold_of(room: &RoomName, ms: Value) -> Value {
    json!({ "publish": { "room": room, "hold_ms": ms, "messages": [{ "id": uuid(), "data": 1 }] } })
}

/// A heartbeat that names its room twice, as only JSON can: in protobuf a map's later entry takes the earlier one's place.
pub(super) fn heartbeat_of_a_room_twice(fixture: &Fixture) -> Command {
    let seen = || Seen { here: true, seen: Vec::new(), upto: None };
    let once = || (Some(fixture.room.clone()), seen());
    Command::Heartbeat(Heartbeat { rooms: vec![once(), once()] })
}

/// Commands out of range, or about what is not there or not theirs, by either codec.
pub(super) fn commands(fixture: &Fixture) -> Vec<(&'static str, &'static str, Command)> {
    let room = || RoomRef { room: Some(fixture.room.clone()), life: None };
    let former = || RoomRef { room: Some(fixture.room.clone()), life: fixture.former_life.parse().ok() };
    let commit = |room, offset| {
        Command::Commit(Commit { room, consumer: "c".parse().unwrap(), offset: Offset(offset) })
    };
    let id = |text: &str| -> MessageId { text.parse().unwrap() };
    let [held, part, dropped, theirs] = &fixture.holds;
    let (held, part, dropped, theirs) = (id(held), id(part), id(dropped), id(theirs));
    let stored = id(&fixture.ids[0]);
    let fresh = MessageId::generate;
    let confirm = |room, ids| Command::Confirm(HoldRef { room, ids });
    let rollback = |room, ids| Command::Rollback(HoldRef { room, ids });
    let publish = |id, hold_ms, expect: Option<u64>| {
        let messages = vec![NewMessage { id, data: Data::json_string("held"), sent: None }];
        let expect = expect.map(Offset);
        Command::Publish(Publish { room: room(), messages, expect, hold_ms, timeout_ms: None })
    };
    let signal =
        |room, bytes: usize| Command::Signal(Signal { room, data: Data::json_string(&"x".repeat(bytes)) });
    let join = |join: Join| Command::Join(Join { room: room(), ..join });
    let beat = |count: usize, upto: u64| {
        let seen = (0..count).map(|_| fresh()).collect();
        let seen = Seen { here: true, seen, upto: Some(Offset(upto)) };
        Command::Heartbeat(Heartbeat { rooms: vec![(Some(fixture.room.clone()), seen)] })
    };
    let rooms = |rooms: Rooms| Command::Rooms(rooms);
    let create = |options: RoomOptions| {
        Command::Create(Create { room: "bad-new".parse().ok(), options, placement: None })
    };
    let hello = |hello: Hello| Command::Hello(hello);
    let history =
        |room, isolation| Command::History(History { room, from: From::Beginning, limit: None, isolation });
    let long = || Some("x".repeat(257));
    vec![
        ("commit above the head", BAD, commit(room(), 4)),
        ("commit beyond 2^53", BAD, commit(room(), TOO_HIGH)),
        ("commit of a former life", "recreated", commit(former(), 1)),
        ("credit of nothing", BAD, Command::Credit(Credit { room: room(), more: 0 })),
        ("credit beyond 2^53", BAD, Command::Credit(Credit { room: room(), more: TOO_HIGH })),
        ("credit where nobody joined", BAD, Command::Credit(Credit { room: room(), more: 1 })),
        ("heartbeat of 1,001 messages", BAD, beat(1_001, 0)),
        ("heartbeat beyond 2^53", BAD, beat(0, TOO_HIGH)),
        ("signal over 64 KiB", "too_large", signal(room(), 64 << 10)),
        ("signal to a former life", "recreated", signal(former(), 1)),
        ("presence of a former life", "recreated", Command::Presence(former())),
        ("confirmation of nothing", BAD, confirm(room(), Vec::new())),
        ("confirmation of one twice", BAD, confirm(room(), vec![held, held])),
        ("confirmation of 1,001", "too_large", confirm(room(), (0..1_001).map(|_| fresh()).collect())),
        ("confirmation of what nobody held", "not_found", confirm(room(), vec![fresh()])),
        ("confirmation of a part", "conflict", confirm(room(), vec![held])),
        ("confirmation of more than the hold", "not_found", confirm(room(), vec![held, part, fresh()])),
        ("confirmation of what was dropped", "gone", confirm(room(), vec![dropped])),
        ("confirmation of another's hold", "forbidden", confirm(room(), vec![theirs])),
        ("confirmation in a former life", "recreated", confirm(former(), vec![held, part])),
        ("rollback of nothing", BAD, rollback(room(), Vec::new())),
        ("rollback of one twice", BAD, rollback(room(), vec![held, held])),
        ("rollback of 1,001", "too_large", rollback(room(), (0..1_001).map(|_| fresh()).collect())),
        ("rollback of what nobody held", "not_found", rollback(room(), vec![fresh()])),
        ("rollback of a part", "conflict", rollback(room(), vec![part])),
        ("rollback of what is stored", "too_late", rollback(room(), vec![stored])),
        ("rollback of another's hold", "forbidden", rollback(room(), vec![theirs])),
        ("rollback in a former life", "recreated", rollback(former(), vec![held, part])),
        ("hold for no time", BAD, publish(fresh(), Some(0), None)),
        ("hold for more than a day", BAD, publish(fresh(), Some(86_400_001), None)),
        ("hold on a condition", BAD, publish(fresh(), Some(1_000), Some(4))),
        ("hold of another's id", "conflict", publish(theirs, Some(1_000), None)),
        ("publish of an id that is held", "conflict", publish(held, None, None)),
        ("join with credit beyond 2^53", BAD, join(Join { credit: Some(TOO_HIGH), ..Join::default() })),
        ("join from a cursor of nobody", BAD, join(Join { from: From::Committed, ..Join::default() })),
        ("uncommitted history of a former life", "recreated", history(former(), Isolation::Uncommitted)),
        ("rooms of none", BAD, rooms(Rooms { limit: Some(0), ..Rooms::default() })),
        ("rooms of pages of 101", BAD, rooms(Rooms { page: Some(101), ..Rooms::default() })),
        ("rooms after what is no name", BAD, rooms(Rooms { after: long(), ..Rooms::default() })),
        ("rooms of a prefix of 257", BAD, rooms(Rooms { prefix: long(), ..Rooms::default() })),
        ("no age", BAD, create(RoomOptions { retain_ms: Some(0), ..RoomOptions::default() })),
        ("age beyond 2^53", BAD, create(RoomOptions { retain_ms: Some(TOO_HIGH), ..RoomOptions::default() })),
        ("no message", BAD, create(RoomOptions { retain_messages: Some(0), ..RoomOptions::default() })),
        ("no byte", BAD, create(RoomOptions { retain_bytes: Some(0), ..RoomOptions::default() })),
        ("no member", BAD, create(RoomOptions { max_members: Some(0), ..RoomOptions::default() })),
        (
            "hello from a nameless device",
            BAD,
            hello(Hello { device: Some(String::new()), ..Hello::default() }),
        ),
        ("hello from a device of 257", BAD, hello(Hello { device: long(), ..Hello::default() })),
        ("hello from a session of 257", BAD, hello(Hello { session: long(), ..Hello::default() })),
        ("hello from a client of 257", BAD, hello(Hello { client: long(), ..Hello::default() })),
    ]
}

/// Requests over HTTP: method, path, body, status, code.
pub(super) fn requests(fixture: &Fixture) -> Vec<(Method, String, String, u16, &'static str)> {
    let room = &fixture.room;
    let path = |rest: &str| format!("/v1/rooms/{room}{rest}");
    let former = |rest: &str| format!("/v1/rooms/{room}{rest}?life={}", fixture.former_life);
    let [held, _, dropped, theirs] = &fixture.holds;
    let mut requests = Vec::new();
    for (rest, body, status, code) in [
        ("/cursors", json!({}), 400, BAD),
        ("/cursors", json!({ "consumer": "c" }), 400, BAD),
        ("/cursors", json!({ "consumer": 5, "offset": 1 }), 400, BAD),
        ("/cursors", json!({ "consumer": "c", "offset": "1" }), 400, BAD),
        ("/cursors", json!({ "consumer": "c", "offset": -1 }), 400, BAD),
        ("/cursors", json!({ "consumer": "c", "offset": 4 }), 400, BAD),
        ("/confirm", json!({}), 400, BAD),
        ("/confirm", json!({ "ids": [] }), 400, BAD),
        ("/confirm", json!({ "ids": ["x"] }), 400, BAD),
        ("/confirm", json!({ "ids": [held] }), 409, "conflict"),
        ("/confirm", json!({ "ids": [uuid()] }), 404, "not_found"),
        ("/confirm", json!({ "ids": [dropped] }), 410, "gone"),
        ("/confirm", json!({ "ids": [theirs] }), 403, "forbidden"),
        ("/rollback", json!({ "ids": "all" }), 400, BAD),
        ("/rollback", json!({ "ids": [theirs] }), 403, "forbidden"),
        ("/rollback", json!({ "ids": [fixture.ids[0]] }), 409, "too_late"),
        ("/signal", json!({}), 400, BAD),
        ("/signal", json!({ "data_b64": "***" }), 400, BAD),
        ("/signal", json!({ "data": "x".repeat(64 << 10) }), 413, "too_large"),
        ("/messages", json!({ "hold_ms": 0, "messages": [{ "id": uuid(), "data": 1 }] }), 400, BAD),
        (
            "/messages",
            json!({ "hold_ms": 1, "expect": 4, "messages": [{ "id": uuid(), "data": 1 }] }),
            400,
            BAD,
        ),
    ] {
        requests.push((Method::POST, path(rest), body.to_string(), status, code));
    }
    for rest in ["/cursors", "/confirm", "/rollback", "/signal"] {
        for body in ["", "{", "[]", "5"] {
            requests.push((Method::POST, path(rest), body.to_owned(), 400, BAD));
        }
    }
    for (rest, body) in [
        ("/cursors", json!({ "consumer": "c", "offset": 1 })),
        ("/confirm", json!({ "ids": [held] })),
        ("/rollback", json!({ "ids": [held] })),
        ("/signal", json!({ "data": 1 })),
    ] {
        requests.push((Method::POST, former(rest), body.to_string(), 409, "recreated"));
    }
    for (path, status, code) in [
        (former("/presence"), 409, "recreated"),
        (former("/cursors/c"), 409, "recreated"),
        (path(&format!("/cursors/{}", "c".repeat(129))), 400, BAD),
        ("/v1/rooms/nobody-made-it/presence".to_owned(), 404, "not_found"),
        ("/v1/rooms/nobody-made-it/cursors/c".to_owned(), 404, "not_found"),
        ("/v1/rooms?page=101".to_owned(), 400, BAD),
        ("/v1/rooms?page=x".to_owned(), 400, BAD),
        (format!("/v1/rooms?prefix={}", "x".repeat(129)), 400, BAD),
    ] {
        requests.push((Method::GET, path, String::new(), status, code));
    }
    for body in [
        json!({ "options": { "colour": 1 } }),
        json!({ "options": { "retain_ms": 0 } }),
        json!({ "options": { "max_members": -1 } }),
        json!({ "options": [] }),
        json!({ "placement": "here" }),
    ] {
        requests.push((Method::PUT, "/v1/rooms/bad-new".to_owned(), body.to_string(), 400, BAD));
    }
    requests
}

//! Where a client's token ends up. The claim: **nowhere**. Whatever a client does with one, valid or not, by whatever way,
//! nothing of it is in what nodes log at their most verbose, in an answer, an error, a close frame or a metric, nor on
//! disk.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chaos_tests::cluster::{Cluster, Setup};
use chaos_tests::probe::socket_url;
use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use reqwest::Method;
use reqwest::redirect::Policy;
use roomkeeper_auth::SigningKey;
use roomkeeper_protocol::{Codec, Command, Hello, Request};
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message};

const KEY: &str = "only the nodes of this test have this key";
const OTHER_KEY: &str = "and none of them has ever seen this one";
/// Stands in every token.
const CANARY: &str = "cAnArYtOkEn";
/// A socket that has nothing more to say says nothing for so long.
const QUIET: Duration = Duration::from_millis(250);

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn signed(key: &str, id: &str, exp: u64) -> String {
    let everything = ["publish", "subscribe", "history", "create", "delete", "presence"];
    let scopes = json!([{ "rooms": "*", "actions": everything }]);
    // The issuer is compared with nothing here, and is where the canary sits.
    let claims = json!({ "sub": "ann", "exp": exp, "iss": format!("{CANARY} {id} {exp}"), "scopes": scopes });
    let claims = serde_json::from_value(claims).unwrap();
    SigningKey::read(key).unwrap().sign(&id.parse().unwrap(), &claims).unwrap()
}

/// One of each kind: good, run out, by nobody, for no key, damaged, and what is none at all.
fn tokens() -> Vec<String> {
    let good = signed(KEY, "main", now() + 3_600);
    let (head, _) = good.rsplit_once('.').unwrap();
    vec![
        signed(KEY, "main", now() - 60),
        signed(OTHER_KEY, "main", now() + 3_600),
        signed(KEY, "unknown", now() + 3_600),
        format!("{head}.{CANARY}"),
        format!("{CANARY}.{CANARY}.{CANARY}"),
        CANARY.to_owned(),
        CANARY.repeat(1_000),
        good,
    ]
}

/// What must be found nowhere: the canary, and the parts of each token that no other one has.
fn secrets(tokens: &[String]) -> Vec<String> {
    let parts = tokens.iter().flat_map(|token| token.split('.').skip(1));
    let mut secrets: Vec<String> = parts.map(str::to_owned).filter(|part| part.len() > 8).collect();
    secrets.push(CANARY.to_owned());
    secrets.sort();
    secrets.dedup();
    secrets
}

/// Fails where something of a token is in `text`, without showing it all.
fn see_that_none_is_in(secrets: &[String], bytes: &[u8], place: &str) {
    // What is no text of its own stays a text beside it: tokens are ASCII.
    let text = String::from_utf8_lossy(bytes);
    for secret in secrets {
        if let Some(at) = text.find(secret.as_str()) {
            let around = &text.as_bytes()[at.saturating_sub(300)..text.len().min(at + 80)];
            panic!("{secret} is in {place}: …{}…", String::from_utf8_lossy(around));
        }
    }
}

/// Opens a socket, sends the frames, and returns all that is answered, the end of the socket included.
async fn over_socket(url: &str, headers: &[(&str, String)], frames: Vec<Message>) -> String {
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    }
    let mut socket = match connect_async(request).await {
        Ok((socket, response)) => {
            assert!(!format!("{response:?}").contains(CANARY));
            socket
        }
        Err(Error::Http(refusal)) => {
            let body = refusal.body().clone().unwrap_or_default();
            return format!("{refusal:?} {}", String::from_utf8_lossy(&body));
        }
        Err(error) => panic!("{url}: {error}"),
    };
    for frame in frames {
        // It may have been closed by then.
        drop(socket.send(frame).await);
    }
    let mut said = String::new();
    while let Ok(Some(Ok(message))) = timeout(QUIET, socket.next()).await {
        said += &match message {
            Message::Text(text) => text.to_string(),
            Message::Binary(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            other => format!("{other:?}"),
        };
    }
    said
}

/// Frames that bring a token, or are meant to.
fn frames(token: &str) -> Vec<Message> {
    let hello = json!({ "id": 1, "hello": { "token": token, "user": "ann" } }).to_string();
    let cut = hello[..hello.len() - 10].to_owned();
    let publish = json!({ "id": 2, "publish": { "room": "den", "messages": [] } });
    let texts = [
        hello.clone(),
        json!({ "id": 3, "hello": { "token": [token] } }).to_string(),
        json!({ "id": 4, "hello": { "token": token, "device": 7 } }).to_string(),
        format!(r#"{{"id": 5, "hello": {{"token": "{token}", "token": "{token}"}}}}"#),
        json!({ "id": 6, "join": { "room": "den", "token": token } }).to_string(),
        json!({ "id": 7, "history": { "room": "den", "from": "beginning" } }).to_string(),
        publish.to_string(),
        json!({ "id": 8, "hello": token }).to_string(),
        json!({ "id": 9, "hello": [token] }).to_string(),
        json!(token).to_string(),
        json!([token]).to_string(),
        cut,
    ];
    texts.into_iter().map(Message::text).collect()
}

/// Everything that a client may do with a token at a node; what was answered.
async fn use_it(base: &str, token: &str) -> Vec<String> {
    let mut answers = Vec::new();
    let bearer = ("authorization", format!("Bearer {token}"));
    let offer = |codec: &str| ("sec-websocket-protocol", format!("{codec}, roomkeeper.token.{token}"));
    let read = || vec![Message::text(r#"{"id": 1, "join": {"room": "den"}}"#)];
    for path in
        ["/v1/ws", "/v1/rooms/den/ws?route=proxy", "/v1/rooms/den/ws", "/v1/rooms/~ann:x/ws?route=frame"]
    {
        let url = socket_url(base, path);
        answers.push(over_socket(&url, &[], frames(token)).await);
        answers.push(over_socket(&url, std::slice::from_ref(&bearer), read()).await);
        answers.push(over_socket(&url, &[offer("roomkeeper.v1.json")], read()).await);
        let hello = Hello { token: Some(token.into()), ..Hello::default() };
        let request = Request { id: 1, command: Command::Hello(hello) };
        let binary = Message::Binary(Codec::Proto.encode_request(&request).into_bytes());
        let proto = [("sec-websocket-protocol", Codec::Proto.subprotocol().to_owned())];
        answers.push(over_socket(&url, &proto, vec![binary, Message::text(token.to_owned())]).await);
        for name in ["token", "access_token"] {
            let mark = if path.contains('?') { '&' } else { '?' };
            answers.push(over_socket(&format!("{url}{mark}{name}={token}"), &[], read()).await);
        }
    }
    let http = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let body =
        json!({ "messages": [{ "id": "01890a5d-ac96-774b-bcce-b302099a8057", "data": 1 }] }).to_string();
    for (method, path) in [
        (Method::PUT, "/v1/rooms/den"),
        (Method::GET, "/v1/rooms/den?route=redirect"),
        (Method::POST, "/v1/rooms/den/messages"),
        (Method::POST, "/v1/rooms/den/messages?route=redirect"),
        (Method::GET, "/v1/rooms/den/messages"),
        (Method::GET, "/v1/rooms"),
        (Method::GET, "/v1/cluster"),
        (Method::GET, "/healthz"),
        (Method::GET, "/nowhere"),
    ] {
        let request = |url: String| http.request(method.clone(), url).body(body.clone());
        let url = format!("{base}{path}");
        let mark = if path.contains('?') { '&' } else { '?' };
        for request in [
            request(url.clone()).header("authorization", &bearer.1),
            request(url.clone()).header("authorization", token),
            request(url.clone()).bearer_auth(token).header("authorization", &bearer.1),
            request(format!("{url}{mark}token={token}")),
        ] {
            let answer = request.send().await.unwrap();
            let head = format!("{} {:?}", answer.status(), answer.headers());
            answers.push(format!("{head} {}", answer.text().await.unwrap()));
        }
    }
    answers
}

fn see_files(secrets: &[String], folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            see_files(secrets, &path);
        } else {
            see_that_none_is_in(secrets, &std::fs::read(&path).unwrap(), &path.display().to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_is_found_nowhere() {
    let settings = [
        ("ROOMKEEPER_AUTH_KEYS", "main HS256 env:CANARY_TEST_KEY"),
        ("CANARY_TEST_KEY", KEY),
        ("ROOMKEEPER_LOG_FILTER", "trace"),
    ];
    let mut cluster = Cluster::start_with_settings(Setup::plain(2), &settings).await.unwrap();
    let tokens = tokens();
    let secrets = secrets(&tokens);
    let (mut accepted, mut refused) = (0, 0);
    for base in cluster.urls() {
        for answers in join_all(tokens.iter().map(|token| use_it(&base, token))).await {
            for answer in answers {
                see_that_none_is_in(&secrets, answer.as_bytes(), "an answer");
                accepted += usize::from(answer.contains("\"ok\""));
                refused += usize::from(answer.contains("unauthorized"));
            }
        }
    }
    assert!(accepted > 10 && refused > 100, "the tokens were looked at: {accepted} {refused}");
    for k in 0..cluster.size() {
        for path in ["/metrics", "/v1/cluster", "/v1/events"] {
            let url = format!("http://{}{path}", cluster.addresses(k).admin);
            let shown = reqwest::get(url).await.unwrap().text().await.unwrap();
            see_that_none_is_in(&secrets, shown.as_bytes(), path);
        }
    }
    cluster.kill9_at_once(&[0, 1]).await.unwrap();
    for k in 0..cluster.size() {
        let log = std::fs::read(cluster.log(k)).unwrap();
        let text = String::from_utf8_lossy(&log);
        assert!(text.contains("TRACE") && text.contains("a token is refused"), "node {k} was verbose");
        see_that_none_is_in(&secrets, &log, "a log");
        see_files(&secrets, &cluster.data_dir(k));
    }
}

//! Commands over plain HTTP, against a node that answers what it is told to.

#![allow(clippy::unwrap_used, reason = "a panic is a test's failure")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use roomkeeper_client::protocol::{Data, ErrorCode, NewMessage, Placement, RoomOptions};
use roomkeeper_client::types::{MessageId, Offset, RoomName};
use roomkeeper_client::{Client, ClientConfig, Error};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const UUID: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

/// A request as it came.
#[derive(Debug, Clone)]
struct Asked {
    /// Method and path.
    line: String,
    headers: Vec<String>,
    body: String,
}

/// A node that gives its answers in turn, the last one again and again.
struct Node {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Node {
    async fn start(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers: VecDeque<(u16, String)> =
            answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        let (answers, seen) = (Arc::new(Mutex::new(answers)), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers.clone(), seen.clone()));
            }
        });
        Self { url, asked }
    }

    fn client(&self, change: impl FnOnce(&mut ClientConfig)) -> Client {
        let mut config = ClientConfig::new([self.url.clone()]);
        change(&mut config);
        Client::new(config).unwrap()
    }

    /// Method, path and body of each request.
    fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().iter().map(|asked| (asked.line.clone(), asked.body.clone())).collect()
    }
}

async fn serve(
    stream: TcpStream,
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    seen: Arc<Mutex<Vec<Asked>>>,
) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_owned());
        }
        let length =
            head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await.unwrap();
        let line = head[0].trim_end_matches(" HTTP/1.1").to_owned();
        seen.lock().push(Asked { line, headers: head[1..].to_vec(), body: String::from_utf8(body).unwrap() });
        let (status, body) = {
            let mut answers = answers.lock();
            if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.unwrap()
        };
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn room() -> RoomName {
    "general".parse().unwrap()
}

fn id() -> MessageId {
    UUID.parse().unwrap()
}

#[tokio::test]
async fn create_sends_its_options_and_placement() {
    let life = r#"{"owner":2,"epoch":7,"life":"3-17-0"}"#;
    let node = Node::start(&[(201, life)]).await;
    let options = RoomOptions { retain_messages: Some(10), presence: Some(false), ..RoomOptions::default() };
    let created =
        node.client(|_| {}).create_room(&room(), options, Some(Placement::LeastLoaded)).await.unwrap();
    assert_eq!((created.owner.0, created.epoch.0), (2, 7));
    let body = r#"{"options":{"retain_messages":10,"presence":false},"placement":"least_loaded"}"#;
    assert_eq!(node.asked(), [("PUT /v1/rooms/general".to_owned(), body.to_owned())]);
}

#[tokio::test]
async fn commit_moves_and_reads_a_cursor() {
    let node = Node::start(&[(200, r#"{"committed":12}"#)]).await;
    let cursor = node.client(|_| {}).commit(&room(), "mailer".parse().unwrap(), Offset(12)).await.unwrap();
    assert_eq!(cursor, Offset(12));
    let body = r#"{"consumer":"mailer","offset":12}"#;
    assert_eq!(node.asked(), [("POST /v1/rooms/general/cursors".to_owned(), body.to_owned())]);
}

#[tokio::test]
async fn hold_is_published_confirmed_and_rolled_back() {
    let held = r#"{"epoch":1,"offsets":[],"duplicates":[false],"held":true,"expires":99}"#;
    let node = Node::start(&[(200, held), (200, r#"{"offsets":[5]}"#), (200, "{}")]).await;
    let client = node.client(|_| {});
    let message = NewMessage { id: id(), data: Data::json_string("x"), sent: None };
    let ok = client.hold(&room(), vec![message], Duration::from_secs(60)).await.unwrap();
    assert!(ok.held);
    assert_eq!(client.confirm(&room(), vec![id()]).await.unwrap().offsets, [Offset(5)]);
    client.rollback(&room(), vec![id()]).await.unwrap();
    let ids = format!(r#"{{"ids":["{UUID}"]}}"#);
    assert_eq!(
        node.asked(),
        [
            (
                "POST /v1/rooms/general/messages".to_owned(),
                format!(r#"{{"messages":[{{"id":"{UUID}","data":"x"}}],"hold_ms":60000}}"#)
            ),
            ("POST /v1/rooms/general/confirm".to_owned(), ids.clone()),
            ("POST /v1/rooms/general/rollback".to_owned(), ids)
        ]
    );
}

#[tokio::test]
async fn members_are_read() {
    let node = Node::start(&[(200, r#"{"members":[{"user":"ann","device":"phone","since":5}]}"#)]).await;
    let members = node.client(|_| {}).presence(&room()).await.unwrap();
    assert_eq!((members[0].user.as_str(), members[0].device.as_deref()), ("ann", Some("phone")));
    assert_eq!(node.asked()[0].0, "GET /v1/rooms/general/presence");
}

#[tokio::test]
async fn unknown_and_rate_limited_are_asked_again_and_a_no_is_not() {
    let error =
        |code: &str, retry| format!(r#"{{"error":{{"code":"{code}","message":"m","retry":{retry}}}}}"#);
    let (limited, unknown, no) =
        (error("rate_limited", true), error("unavailable", true), error("not_found", false));
    let node = Node::start(&[(429, &limited), (503, &unknown), (503, "electing"), (404, &no)]).await;
    let error = node.client(|_| {}).delete_room(&room()).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NotFound));
    assert_eq!(node.asked(), vec![("DELETE /v1/rooms/general".to_owned(), String::new()); 4]);
}

#[tokio::test]
async fn user_and_token_go_with_every_request() {
    let node = Node::start(&[(200, "{}")]).await;
    let client = node.client(|config| {
        (config.user, config.token) = (Some("ann".parse().unwrap()), Some("secret".into()));
    });
    client.delete_room(&room()).await.unwrap();
    let headers = node.asked.lock()[0].headers.join("\n").to_lowercase();
    assert!(headers.contains("roomkeeper-user: ann"), "{headers}");
    assert!(headers.contains("authorization: bearer secret"), "{headers}");
}

#[tokio::test]
async fn answer_that_is_something_else_is_unreadable() {
    let node = Node::start(&[(200, "<html>")]).await;
    let error = node.client(|_| {}).commit(&room(), "mailer".parse().unwrap(), Offset(1)).await.unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
}

//! What `docs/` says is what a server does: the examples, the OpenAPI and the AsyncAPI document are carried out and
//! checked against running nodes, by clients that are not ours.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use std::path::{Path, PathBuf};
use std::process::Stdio;

use chaos_tests::cluster::Cluster;
use chaos_tests::probe::{Socket, socket_url};
use chaos_tests::shared::SharedCluster;
use roomkeeper_types::MessageId;
use serde_json::json;
use tokio::process::Command;

static CLUSTER: SharedCluster = SharedCluster::of(3);
/// Where nothing is redirected, as schemathesis follows none.
static ALONE: SharedCluster = SharedCluster::of(1);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Runs a program to its end; what it printed.
async fn run(command: &mut Command) -> String {
    let output = command.current_dir(root()).stdin(Stdio::null()).output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out
}

/// A program of the Python environment that scripts/python.sh makes.
async fn python(program: &str) -> Command {
    let dir = run(&mut Command::new("scripts/python.sh")).await;
    Command::new(Path::new(dir.trim()).join("bin").join(program))
}

fn sockets_of(cluster: &Cluster, node: usize) -> String {
    socket_url(&cluster.url(node), "")
}

#[test]
fn python_script_with_a_plain_websocket_speaks_to_a_room_from_every_node() {
    CLUSTER.run(async |cluster| {
        for node in 0..3 {
            let base = sockets_of(cluster, node);
            let mut python = python("python").await;
            let script = python.args(["docs/examples/room.py", base.as_str(), "python", "ann", "hello"]);
            let said = run(script).await;
            let offset = node + 1;
            assert!(said.contains(&format!("stored at offset {offset}")), "{said}");
            assert_eq!(said.matches("ann: {'text': 'hello'}").count(), offset, "{said}");
        }
    });
}

#[test]
fn curl_alone_creates_publishes_reads_sees_presence_and_deletes() {
    CLUSTER.run(async |cluster| {
        for node in 0..3 {
            let room = format!("curl-{node}");
            let path = format!("/v1/rooms/{room}/ws?route=proxy");
            // Somebody to be seen: waits until the room is there, which the script creates, so that it has to exist.
            let base = cluster.url(node);
            let said = run(Command::new("docs/examples/room.sh").args([base.as_str(), room.as_str()])).await;
            let lines: Vec<&str> = said.lines().collect();
            let answer = |name: &str| {
                let at = lines.iter().position(|line| *line == name).unwrap();
                serde_json::from_str::<serde_json::Value>(lines[at + 1]).unwrap()
            };
            assert_eq!(
                (&answer("publish")["offsets"], &answer("publish")["duplicates"]),
                (&json!([1]), &json!([false]))
            );
            assert_eq!(
                (&answer("again")["offsets"], &answer("again")["duplicates"]),
                (&json!([1]), &json!([true]))
            );
            assert_eq!(answer("history")["items"][0]["data"], json!({ "text": "hello" }));
            assert_eq!(answer("presence"), json!({ "members": [] }));
            assert_eq!(answer("commit"), json!({ "committed": 1 }));
            assert_eq!(answer("cursor"), json!({ "committed": 1, "unread": 0 }));
            assert_eq!(answer("delete"), json!({}));

            // With somebody there, `curl` sees who.
            let mut socket = Socket::open(&socket_url(&cluster.url(node), &path), &[]).await.unwrap();
            socket.ok("hello", json!({ "user": "bob", "device": "phone" })).await.unwrap();
            socket.ok("join", json!({ "room": room, "presence": true })).await.unwrap();
            let url = format!("{base}/v1/rooms/{room}/presence");
            let seen = run(Command::new("curl").args(["-fsSL", url.as_str()])).await;
            assert!(seen.contains(r#""user":"bob""#) && seen.contains(r#""device":"phone""#), "{seen}");
        }
    });
}

#[test]
fn examples_of_the_protocol_document_are_what_happens() {
    CLUSTER.run(async |cluster| {
        let base = sockets_of(cluster, 0);
        let mut python = python("python").await;
        let script = "chaos-tests/tests/documents/examples.py";
        println!("{}", run(python.args([script, "docs/protocol.md", base.as_str()])).await);
    });
}

#[test]
fn asyncapi_document_fits_commands_replies_and_pushes() {
    CLUSTER.run(async |cluster| {
        let base = sockets_of(cluster, 1);
        let mut python = python("python").await;
        let script = "chaos-tests/tests/documents/asyncapi.py";
        println!("{}", run(python.args([script, "docs/asyncapi.yaml", base.as_str()])).await);
    });
}

#[test]
fn openapi_document_fits_what_schemathesis_is_answered() {
    ALONE.run(async |cluster| {
        let url = cluster.url(0);
        // Not left in the checkout.
        let scratch = std::env::temp_dir().join(format!("schemathesis-{}", MessageId::generate()));
        std::fs::create_dir_all(&scratch).unwrap();
        let document = root().join("docs/openapi.yaml");
        let mut st = python("st").await;
        let st = st.arg("run").arg(&document).args(["--url", url.as_str()]).args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "15",
            "--seed",
            "1",
            "--no-color",
            "--request-timeout",
            "30",
        ]);
        let output = st.current_dir(&scratch).stdin(Stdio::null()).output().await.unwrap();
        std::fs::remove_dir_all(&scratch).unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("Tested: 15"), "{said}");
    });
}

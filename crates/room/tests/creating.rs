//! Bytes of the publishes and holds that create their room: with the default options they are what they were before
//! there were others, and with others they cost what those take.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use roomkeeper_room::{
    Batch, Command, CommandError, Hold, NewMessage, Payload, PayloadKind, Publish, RoomOptions,
};
use roomkeeper_types::{MessageId, Offset, Timestamp};

const WITH: RoomOptions = RoomOptions {
    retain_ms: None,
    retain_messages: Some(3),
    retain_bytes: None,
    presence: true,
    max_members: Some(4),
};

fn messages() -> Vec<NewMessage> {
    let payload = Payload { kind: PayloadKind::Json, bytes: Bytes::from_static(b"1") };
    vec![NewMessage { id: MessageId([7; 16]), sent: None, payload }]
}

fn publish(create: Option<RoomOptions>, placed: bool) -> Command {
    let (room, from, expect) = ("a".parse().unwrap(), "ann".parse().unwrap(), Some(Offset(2)));
    Command::Publish(Publish { room, life: None, from, messages: messages(), expect, create, placed })
}

fn hold(create: Option<RoomOptions>) -> Command {
    let (room, from) = ("a".parse().unwrap(), "ann".parse().unwrap());
    let messages = messages();
    Command::Hold(Hold { room, life: None, from, messages, hold_ms: 60_000, create, placed: true })
}

fn encoded(command: Command) -> Vec<u8> {
    Batch { time: Timestamp(1), commands: vec![command] }.encode()[Batch::HEADER_LEN..].to_vec()
}

fn decoded(command: &[u8]) -> Result<Command, CommandError> {
    let header = [&[1][..], &1_u64.to_be_bytes(), &1_u32.to_be_bytes()].concat();
    Batch::decode([&header, command].concat().into()).map(|mut batch| batch.commands.remove(0))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Logs on disk hold these: a change needs a new number that leaves the old ones as they are.
#[test]
fn stored_bytes_with_options_are_frozen() {
    let messages = "000000010707070707070707070707070707070700000000000000000001".to_owned() + "31";
    let options = "00010000000000000003000101".to_owned() + "00000004";
    assert_eq!(
        hex(&encoded(publish(Some(WITH), true))),
        format!("0c01610003616e6e010000000000000002{options}01{messages}")
    );
    assert_eq!(
        hex(&encoded(hold(Some(WITH)))),
        format!("0d01610003616e6e000000000000ea60{options}01{messages}")
    );
}

/// What logs of before say with a flag means the default options, as it did then.
#[test]
fn flag_of_an_older_log_means_the_default_options() {
    let usual = Some(RoomOptions::default());
    for placed in [false, true] {
        let old = encoded(publish(usual, placed));
        assert_eq!(old[0], if placed { 5 } else { 3 });
        assert_eq!(decoded(&old), Ok(publish(usual, placed)));
    }
    let old = encoded(hold(usual));
    assert_eq!((old[0], decoded(&old)), (6, Ok(hold(usual))));
}

/// One encoding per value.
#[test]
fn default_options_in_full_are_refused() {
    let usual = [0, 0, 0, 1, 0];
    let refused = Err(CommandError::Unreadable("the default options are written otherwise"));
    for (command, create) in [(publish(Some(WITH), true), 17), (hold(Some(WITH)), 16)] {
        let full = encoded(command);
        let behind = &full[create + 17..];
        assert_eq!(decoded(&[&full[..create], &usual, behind].concat()), refused);
    }
}

/// A room that is there costs its publishes nothing that its configuration says, where the sender has joined it.
#[test]
fn options_cost_nothing_where_no_room_is_created() {
    let len = |create| publish(create, false).encoded_len();
    assert_eq!(len(None), len(Some(RoomOptions::default())));
    // The options, and the flag for placed, which another number says without them; less the flag for create.
    assert_eq!(len(Some(WITH)) - len(None), 17);
    let all = RoomOptions { retain_ms: Some(1), retain_bytes: Some(1), presence: false, ..WITH };
    assert_eq!(len(Some(all)) - len(None), 33);
}

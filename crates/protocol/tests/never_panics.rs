//! Whatever bytes arrive, every decoder returns: random ones, good frames with a byte changed, and JSON
//! that is no frame.

mod common;

use bytes::Bytes;
use common::*;
use proptest::collection::vec;
use proptest::prelude::*;
use roomkeeper_protocol::{
    Codec, Command, CommandKind, Data, Frame, Limits, Reply, Request, decode_commit_json, decode_create_json,
    decode_error_json, decode_hold_json, decode_publish_json, decode_reply_json, decode_signal_json,
};

/// Returns how many decoders took it, so that none is optimised away.
fn feed_all(bytes: &[u8]) -> usize {
    let bytes = Bytes::copy_from_slice(bytes);
    let limits = Limits::default();
    let mut taken = 0;
    for codec in Codec::ALL {
        for frame in [Frame::Text(bytes.clone()), Frame::Binary(bytes.clone())] {
            taken += usize::from(codec.decode_request(&frame, &limits).is_ok());
            for kind in CommandKind::ALL {
                taken += usize::from(codec.decode_server(&frame, |_| Some(*kind)).is_ok());
            }
        }
    }
    for kind in CommandKind::ALL {
        taken += usize::from(decode_reply_json(*kind, &bytes).is_ok());
    }
    taken += usize::from(decode_publish_json(&bytes, &limits).is_ok());
    taken += usize::from(decode_create_json(&bytes).is_ok());
    taken += usize::from(decode_commit_json(&bytes).is_ok());
    taken += usize::from(decode_hold_json(&bytes, &limits).is_ok());
    taken += usize::from(decode_signal_json(&bytes, &limits).is_ok());
    taken += usize::from(decode_error_json(&bytes).is_ok());
    taken += usize::from(Data::json(bytes).is_ok());
    taken
}

fn good_frames() -> Vec<Bytes> {
    let mut frames = Vec::new();
    let mut replies = vec![
        Ok(Reply::Hello(hello_ok())),
        Ok(Reply::Join(join_ok())),
        Ok(Reply::Publish(publish_ok())),
        Ok(Reply::History(history_ok())),
        Ok(Reply::Rooms(rooms_ok())),
        Err(full_error()),
    ];
    replies.extend(small_replies().into_iter().map(Ok));
    for codec in Codec::ALL {
        frames.extend(replies.iter().map(|reply| codec.encode_reply(7, reply).into_bytes()));
        frames.extend(rare_pushes().iter().map(|push| codec.encode_push(push).into_bytes()));
        frames.push(codec.encode_messages(&room("general"), &items()).into_bytes());
        let requests = small_commands().into_iter().map(|command| Request { id: 7, command });
        frames.extend(requests.map(|request| codec.encode_request(&request).into_bytes()));
    }
    frames
}

#[test]
fn good_frame_cut_anywhere_returns() {
    for frame in good_frames() {
        for end in 0..frame.len() {
            feed_all(&frame[..end]);
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_return(bytes in vec(any::<u8>(), 0..300)) {
        feed_all(&bytes);
    }

    #[test]
    fn random_json_returns(text in any_json_text()) {
        prop_assert!(feed_all(text.as_bytes()) > 0, "Data::json takes any JSON");
    }

    #[test]
    fn random_json_as_a_commands_fields_returns(text in any_json_text(), kind in 0..CommandKind::ALL.len()) {
        feed_all(format!(r#"{{"id":1,"{}":{text}}}"#, CommandKind::ALL[kind].name()).as_bytes());
        feed_all(format!(r#"{{"id":1,"ok":{text}}}"#).as_bytes());
        feed_all(format!(r#"{{"amhere":true,"msgSeen":{text}}}"#).as_bytes());
        for push in ["messages", "sync", "presence", "signal", "held", "rolled_back", "moved"] {
            feed_all(format!(r#"{{"{push}":{text}}}"#).as_bytes());
        }
    }

    #[test]
    fn good_frame_with_bytes_changed_returns(
        frame in any::<prop::sample::Index>(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let frames = good_frames();
        let mut bytes = frame.get(&frames).to_vec();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        feed_all(&bytes);
    }

    #[test]
    fn publish_with_bytes_changed_returns(
        publish in any_publish(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let request = Request { id: 7, command: Command::Publish(publish) };
        for codec in Codec::ALL {
            let mut bytes = codec.encode_request(&request).into_bytes().to_vec();
            for (place, byte) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            feed_all(&bytes);
        }
    }
}

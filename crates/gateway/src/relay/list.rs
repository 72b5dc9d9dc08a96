//! The rooms of the whole cluster: each owner is asked for those of its shards.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use futures::future::{join, join_all, try_join_all};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use roomkeeper_auth::{Behalf, Identity};
use roomkeeper_protocol::{
    CommandKind, Error, ErrorCode, Reply, Rooms, RoomsOk, decode_error_json, decode_reply_json,
};
use roomkeeper_types::{NodeId, ShardId};

use super::Forwarded;
use super::http::Answer;
use crate::edge::Edge;
use crate::failure;
use crate::host::{Owned, Owner, Route};
use crate::identity::USER_HEADER;
use crate::local::{Page, merge, own_rooms};

/// Longest list that another node may answer: 1,000 rooms, or its page budget and one message more.
const LIST_BYTES: usize = 8 << 20;

/// Who owns which shards.
#[derive(Default)]
struct Split {
    here: Vec<Owned>,
    there: BTreeMap<NodeId, (Owner, Vec<ShardId>)>,
}

/// Rooms of all shards in the order of their names, as far as their reader may see them.
///
/// # Errors
/// `unavailable`: a shard has no owner, or its owner could not be asked in time. A list that leaves rooms out in
/// silence would be a wrong one.
pub(crate) async fn list_rooms(edge: &Arc<Edge>, reader: &Identity, ask: &Rooms) -> Result<RoomsOk, Error> {
    let deadline = Instant::now() + edge.config.hold;
    let split = split(edge, deadline).await?;
    let here = own_rooms(edge, reader, &split.here, ask);
    let there = split.there.values().map(|(owner, shards)| ask_owner(edge, reader, owner, shards, ask));
    let there = try_join_all(there);
    let (here, there) = join(here, there).await;
    let mut pages = there?;
    pages.push(here?);
    Ok(merge(pages, ask.limit))
}

async fn split(edge: &Edge, deadline: Instant) -> Result<Split, Error> {
    let shards: Vec<ShardId> = edge.host.shards().iter().collect();
    let routes = join_all(shards.iter().map(|shard| edge.host.wait_route(*shard, None, deadline))).await;
    let mut split = Split::default();
    for (shard, route) in shards.into_iter().zip(routes) {
        match route {
            Route::Owned(owned) => split.here.push(owned),
            Route::Elsewhere(owner) => {
                split.there.entry(owner.node).or_insert_with(|| (owner, Vec::new())).1.push(shard);
            }
            Route::Electing(_) => {
                let text = format!("shard {} has no owner at the moment; try again", shard.0);
                return Err(Error::new(ErrorCode::Unavailable, text));
            }
        }
    }
    Ok(split)
}

async fn ask_owner(
    edge: &Edge,
    reader: &Identity,
    owner: &Owner,
    shards: &[ShardId],
    ask: &Rooms,
) -> Result<Page, Error> {
    let unanswered = |why: &dyn std::fmt::Display| {
        tracing::info!(node = owner.node.0, %why, "cannot ask a node for its rooms");
        Error::new(ErrorCode::Unavailable, format!("node {} could not be asked for its rooms", owner.node.0))
    };
    let mut headers = HeaderMap::new();
    // For nodes that do not vouch for each other: then nobody is asked for more than a name.
    if let Ok(user) = HeaderValue::from_str(reader.user().as_str()) {
        headers.insert(USER_HEADER, user);
    }
    let request = Forwarded {
        method: Method::GET,
        path: path(shards, ask),
        headers,
        body: bytes::Bytes::new(),
        behalf: Behalf::Of(reader.clone().without_end()),
    };
    match edge.relay.send(owner, &request, edge.config.command_timeout).await {
        Err(error) => Err(unanswered(&error)),
        // Which of the shards it does not own is not said: the next list asks whoever does.
        Ok(Answer::Misdirected(_)) => Err(failure::no_owner()),
        Ok(Answer::Final(response)) => {
            let status = response.status();
            let body = Limited::new(response.into_body(), LIST_BYTES).collect().await;
            let body = body.map_err(|error| unanswered(&error))?.to_bytes();
            if status != StatusCode::OK {
                return Err(decode_error_json(&body).unwrap_or_else(|error| unanswered(&error)));
            }
            match decode_reply_json(CommandKind::Rooms, &body) {
                Ok(Reply::Rooms(ok)) => Ok(Page { more: ok.next.is_some(), rooms: ok.rooms }),
                Ok(_) => Err(unanswered(&"it answered something else")),
                Err(error) => Err(unanswered(&error)),
            }
        }
    }
}

/// The same list, of these shards only.
fn path(shards: &[ShardId], ask: &Rooms) -> String {
    let numbers: Vec<_> = shards.iter().map(|shard| shard.0.to_string()).collect();
    let mut path = format!("/v1/rooms?shards={}", numbers.join(","));
    let texts = [("prefix", &ask.prefix), ("after", &ask.after)];
    for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
        let _ = write!(path, "&{name}=");
        percent_encode(&mut path, text);
    }
    let numbers = [("limit", ask.limit), ("page", ask.page)];
    for (name, number) in numbers.into_iter().filter_map(|(name, number)| Some((name, number?))) {
        let _ = write!(path, "&{name}={number}");
    }
    path
}

fn percent_encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'~' | b'-' => out.push(char::from(byte)),
            _ => {
                // Writing to a text cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_a_list_names_shards_and_encodes_texts() {
        let ask = Rooms { prefix: Some("~a b:&".into()), after: None, limit: Some(7), page: Some(0) };
        let shards = [ShardId(1), ShardId(12)];
        assert_eq!(path(&shards, &ask), "/v1/rooms?shards=1,12&prefix=~a%20b%3A%26&limit=7&page=0");
    }
}

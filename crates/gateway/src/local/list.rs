//! Listing rooms: those of the shards that a node owns, and pages of several nodes put together.

use std::sync::Arc;

use futures::future::try_join_all;
use roomkeeper_auth::Identity;
use roomkeeper_protocol::{Error, RoomSummary, Rooms, RoomsOk};
use roomkeeper_room::read::{self, RoomInfo};
use roomkeeper_room::{Rows, RowsError};
use roomkeeper_types::{NodeId, Offset, RoomName};

use super::{counting, current_view};
use crate::edge::Edge;
use crate::host::Owned;
use crate::hub::to_protocol;

/// Rooms of a list that names no limit.
pub(crate) const LIMIT_DEFAULT: u32 = 100;
/// Data bytes of first pages from which a list takes no further room.
const PAGE_BYTES: usize = 512 << 10;

/// Some rooms in the order of their names, from one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) rooms: Vec<RoomSummary>,
    /// Whether the source has more behind the last of them.
    pub(crate) more: bool,
}

/// The rooms of these shards, which this node owns, as far as their reader may see them.
///
/// # Errors
/// `unavailable` where it does not own one any more; `timeout`, `internal`.
pub(crate) async fn own_rooms(
    edge: &Arc<Edge>,
    reader: &Identity,
    shards: &[Owned],
    ask: &Rooms,
) -> Result<Page, Error> {
    let node = edge.host.identity().node;
    let limit = ask.limit.unwrap_or(LIMIT_DEFAULT) as usize;
    let views = try_join_all(shards.iter().map(|owned| current_view(edge, owned))).await?;
    let (reader, ask, hub) = (reader.clone(), ask.clone(), edge.hub.clone());
    let (shards, settling) = (shards.to_vec(), edge.config.presence_settling);
    let read = move || {
        let mut found = Vec::new();
        let mut more = false;
        for (index, view) in views.iter().enumerate() {
            let rooms = visible_rooms(view, &reader, &ask, limit)?;
            more |= rooms.len() == limit;
            found.extend(rooms.into_iter().map(|info| (index, info)));
        }
        found.sort_unstable_by(|(_, a), (_, b)| a.room.cmp(&b.room));
        more |= found.len() > limit;
        found.truncate(limit);
        let mut rooms = Vec::with_capacity(found.len());
        let mut bytes_left = PAGE_BYTES;
        for (index, info) in found {
            if bytes_left == 0 {
                more = true;
                break;
            }
            let page = ask.page.unwrap_or_default() as usize;
            let members = || hub.member_count(info.life, counting(&shards[index], &info, settling));
            let members = info.options.presence.then(members).flatten();
            let room = summary(&views[index], info, node, page, &mut bytes_left)?;
            rooms.push(RoomSummary { members, ..room });
        }
        Ok(Page { rooms, more })
    };
    edge.read_rows(read).await
}

/// The first rooms of a shard, in the order of their names, that are asked for and may be seen. Only names that
/// begin as the reader's scopes do are looked at.
fn visible_rooms(
    rows: &impl Rows,
    reader: &Identity,
    ask: &Rooms,
    limit: usize,
) -> Result<Vec<RoomInfo>, RowsError> {
    let asked = ask.prefix.as_deref().unwrap_or_default();
    let mut found = Vec::new();
    for seen in reader.prefixes() {
        let prefix = if seen.starts_with(asked) { seen.as_str() } else { asked };
        if !prefix.starts_with(seen.as_str()) {
            continue;
        }
        let mut after = ask.after.clone();
        while found.len() < limit {
            let rooms = read::rooms(rows, prefix, after.as_deref(), limit)?;
            let Some(last) = rooms.last().map(|info| info.room.to_string()) else { break };
            let whole = rooms.len() < limit;
            let left = limit - found.len();
            found.extend(rooms.into_iter().filter(|info| reader.sees(&info.room)).take(left));
            if whole {
                break;
            }
            after = Some(last);
        }
    }
    Ok(found)
}

fn summary(
    rows: &impl Rows,
    info: RoomInfo,
    owner: NodeId,
    page: usize,
    bytes_left: &mut usize,
) -> Result<RoomSummary, RowsError> {
    let items = read::history(rows, info.life, info.first, Offset::MAX, page, *bytes_left)?;
    let bytes: usize = items.iter().map(|item| item.payload.bytes.len()).sum();
    *bytes_left = bytes_left.saturating_sub(bytes);
    Ok(RoomSummary {
        room: info.room,
        life: info.life,
        owner: Some(owner),
        messages: info.messages,
        first: info.first,
        next: info.next,
        members: None,
        items: items.into_iter().map(to_protocol).collect(),
    })
}

/// Puts pages of different shards together. What stands behind the end of a page that has more is left for
/// the next list: that page's source may have rooms in between.
pub(crate) fn merge(pages: Vec<Page>, limit: Option<u32>) -> RoomsOk {
    let limit = limit.unwrap_or(LIMIT_DEFAULT) as usize;
    let ends = pages.iter().filter(|page| page.more).filter_map(|page| page.rooms.last());
    let end: Option<RoomName> = ends.map(|room| room.room.clone()).min();
    let mut more = end.is_some();
    let mut rooms: Vec<RoomSummary> = pages.into_iter().flat_map(|page| page.rooms).collect();
    rooms.sort_by(|a, b| a.room.cmp(&b.room));
    if let Some(end) = end {
        rooms.retain(|room| room.room <= end);
    }
    if rooms.len() > limit {
        rooms.truncate(limit);
        more = true;
    }
    let next = if more { rooms.last().map(|room| room.room.clone()) } else { None };
    RoomsOk { rooms, next }
}

#[cfg(test)]
mod tests {
    use roomkeeper_types::{LifeId, ShardId};

    use super::*;

    fn page(names: &str, more: bool) -> Page {
        let room = |name: &str| RoomSummary {
            room: name.parse().unwrap(),
            life: LifeId { shard: ShardId(0), index: 1, ordinal: 0 },
            owner: None,
            messages: 0,
            first: Offset(1),
            next: Offset(1),
            members: None,
            items: Vec::new(),
        };
        Page { rooms: names.split_whitespace().map(room).collect(), more }
    }

    fn merged(pages: Vec<Page>, limit: u32) -> (String, Option<String>) {
        let ok = merge(pages, Some(limit));
        let names: Vec<_> = ok.rooms.iter().map(|room| room.room.as_str()).collect();
        (names.join(" "), ok.next.map(String::from))
    }

    #[test]
    fn merge_of_whole_pages_is_sorted_and_ends() {
        let pages = vec![page("b d", false), page("a c", false), page("", false)];
        assert_eq!(merged(pages, 9), ("a b c d".to_owned(), None));
    }

    #[test]
    fn merge_beyond_the_limit_says_where_to_go_on() {
        let pages = vec![page("b d", false), page("a c", false)];
        assert_eq!(merged(pages, 3), ("a b c".to_owned(), Some("c".to_owned())));
    }

    #[test]
    fn merge_with_a_cut_page_stops_at_its_end() {
        // The first source has more behind `b`, perhaps `c`: `d` has to wait.
        let pages = vec![page("a b", true), page("d e", false)];
        assert_eq!(merged(pages, 9), ("a b".to_owned(), Some("b".to_owned())));
    }
}

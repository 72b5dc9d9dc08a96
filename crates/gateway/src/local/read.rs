//! Reading a room.

use roomkeeper_protocol::{Error, History, HistoryOk, Isolation, Push};
use roomkeeper_room::read::{self, RoomInfo};
use roomkeeper_types::{LifeId, Offset};

use super::{LocalRoom, Span, open_holds};
use crate::failure;
use crate::host::View;
use crate::hub::to_protocol;

/// Items of a history that names no limit.
const LIMIT_DEFAULT: u32 = 100;
/// Data bytes from which a history takes no further item: its `next` says where to read on.
const HISTORY_BYTES: usize = 256 << 10;

impl LocalRoom {
    /// What is known of the room, if it is there.
    ///
    /// # Errors
    /// `recreated` where `life` is a former one; `unavailable`, `timeout`, `internal`.
    pub(crate) async fn find(&self, life: Option<LifeId>) -> Result<Option<RoomInfo>, Error> {
        let view = self.current_view().await?;
        self.find_in(&view, life)
    }

    /// The same in a view at hand: two gets at most.
    pub(crate) fn find_in(&self, view: &View, life: Option<LifeId>) -> Result<Option<RoomInfo>, Error> {
        let unreadable = |error| failure::unreadable(&error);
        let info = read::room(view, &self.name).map_err(unreadable)?;
        match (&info, life) {
            (Some(info), Some(life)) if info.life != life => Err(failure::recreated(info.life)),
            (Some(_), _) => Ok(info),
            (None, _) => match read::forward(view, &self.name).map_err(unreadable)? {
                Some(shard) => Err(self.went_to(shard)),
                None => Ok(None),
            },
        }
    }

    /// What is known of the room.
    ///
    /// # Errors
    /// `not_found` too.
    pub(crate) async fn info(&self, life: Option<LifeId>) -> Result<RoomInfo, Error> {
        self.find(life).await?.ok_or_else(|| failure::not_found(&self.name))
    }

    /// Reads a part of the log: at most `limit` items and about 256 KiB. A reader who sees holds gets those that
    /// are open behind the end of the log.
    ///
    /// # Errors
    /// `not_found`, `recreated`, `trimmed`, `bad_request` beyond the next offset; `unavailable`, …
    pub(crate) async fn history(&self, history: &History) -> Result<HistoryOk, Error> {
        let view = self.current_view().await?;
        let info = self.find_in(&view, history.room.life)?.ok_or_else(|| failure::not_found(&self.name))?;
        let span = Span::new(history.from, info.first, info.next)?;
        let limit = history.limit.unwrap_or(LIMIT_DEFAULT) as usize;
        let to = span.to.unwrap_or(Offset::MAX);
        let (room, isolation) = (self.name.clone(), history.isolation);
        let read = move || {
            let items = read::history(&view, info.life, span.from, to, limit, HISTORY_BYTES)?;
            let next = items.last().map_or(span.from, |item| item.offset.next());
            // Behind the last message that has an offset come those that have none yet.
            let sees_holds = isolation == Isolation::Uncommitted && next == info.next && span.to.is_none();
            let open = sees_holds.then(|| open_holds(&view, &room, info.life));
            Ok((items, next, open.unwrap_or(Ok(Vec::new()))))
        };
        let (items, next, open) = self.edge.read_rows(read).await?;
        let mut items: Vec<_> = items.into_iter().map(to_protocol).collect();
        for held in open? {
            if let Push::Held { items: held, .. } = held {
                items.extend(held);
            }
        }
        Ok(HistoryOk { items, next })
    }
}

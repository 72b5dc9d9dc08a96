//! Pages of an owner's log that subscribers wait for. Who asks for the same one shares it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use roomkeeper_protocol::Error;
use roomkeeper_types::{LifeId, Offset, RoomName};
use tokio::sync::oneshot;

use crate::hub::{FeedFrame, Waiter};

/// Pages under way at once: bounds their memory (about 256 KiB each), and is small enough for the owner to go on
/// reading the link meanwhile.
const UNDER_WAY_MAX: usize = 8;

/// A page of a log: `None` where there is nothing.
pub(super) type PageReply = Result<Option<Arc<FeedFrame>>, Error>;

/// Which page: the life, and where it begins.
pub(super) type PageId = (LifeId, Offset);

/// Pages that are waited for. As many as there are subscriptions at most, each of which waits for one.
#[derive(Default)]
pub(super) struct Pages {
    waited_for: HashMap<PageId, Wanted>,
    /// Not asked for yet.
    queue: VecDeque<PageId>,
    under_way: usize,
}

struct Wanted {
    room: RoomName,
    to: Offset,
    readers: Vec<(oneshot::Sender<PageReply>, Arc<Waiter>)>,
}

impl Pages {
    /// One more reader of a page, which may end before `to`. It is woken when the page is there, or will never be.
    pub(super) fn want(
        &mut self,
        room: &RoomName,
        id: PageId,
        to: Offset,
        waiter: Arc<Waiter>,
    ) -> oneshot::Receiver<PageReply> {
        let (sender, receiver) = oneshot::channel();
        let wanted = self.waited_for.entry(id).or_insert_with(|| {
            self.queue.push_back(id);
            Wanted { room: room.clone(), to, readers: Vec::new() }
        });
        wanted.readers.push((sender, waiter));
        receiver
    }

    /// The next page to ask the owner for, with its room and its last offset.
    pub(super) fn next_ask(&mut self) -> Option<(PageId, RoomName, Offset)> {
        if self.under_way >= UNDER_WAY_MAX {
            return None;
        }
        let id = self.queue.pop_front()?;
        let wanted = self.waited_for.get(&id)?;
        self.under_way += 1;
        Some((id, wanted.room.clone(), wanted.to))
    }

    /// The owner's answer.
    pub(super) fn answered(&mut self, id: PageId, reply: &PageReply) {
        self.under_way = self.under_way.saturating_sub(1);
        let readers = self.waited_for.remove(&id).map(|wanted| wanted.readers).unwrap_or_default();
        for (reader, waiter) in readers {
            // Who does not wait any more has left.
            drop(reader.send(reply.clone()));
            waiter.wake();
        }
    }

    /// Nothing comes any more.
    pub(super) fn give_up(&mut self) {
        self.queue.clear();
        for (_, wanted) in self.waited_for.drain() {
            for (reader, waiter) in wanted.readers {
                drop(reader);
                waiter.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use roomkeeper_types::ShardId;

    use super::*;
    use crate::hub::Ready;

    fn want(pages: &mut Pages, from: u64) -> (oneshot::Receiver<PageReply>, Arc<Ready>) {
        let life = LifeId { shard: ShardId(0), index: 1, ordinal: 0 };
        let ready = Arc::<Ready>::default();
        let waiter = Waiter::new(1, ready.clone());
        (pages.want(&"a".parse().unwrap(), (life, Offset(from)), Offset(99), waiter), ready)
    }

    fn is_woken(ready: &Ready) -> bool {
        let mut ids = Vec::new();
        ready.take(&mut ids);
        !ids.is_empty()
    }

    #[test]
    fn page_that_several_want_is_asked_for_once_and_wakes_them_all() {
        let mut pages = Pages::default();
        let mut readers = [want(&mut pages, 1), want(&mut pages, 1)];
        let (id, _, to) = pages.next_ask().unwrap();
        readers[1] = want(&mut pages, 1);
        assert_eq!((id.1, to, pages.next_ask()), (Offset(1), Offset(99), None));
        pages.answered(id, &Ok(None));
        for (reader, ready) in &mut readers {
            assert!(reader.try_recv().unwrap().unwrap().is_none() && is_woken(ready));
        }
        drop(want(&mut pages, 1));
        assert!(pages.next_ask().is_some(), "who comes later asks anew");
    }

    #[test]
    fn pages_under_way_are_few_and_the_others_wait_in_order() {
        let mut pages = Pages::default();
        let _readers: Vec<_> = (1..=20).map(|from| want(&mut pages, from)).collect();
        let asked: Vec<_> = std::iter::from_fn(|| pages.next_ask()).collect();
        assert_eq!(asked.len(), UNDER_WAY_MAX);
        pages.answered(asked[3].0, &Ok(None));
        let next = pages.next_ask().map(|(id, ..)| id.1);
        assert_eq!((next, pages.next_ask()), (Some(Offset(9)), None));
    }

    #[test]
    fn pages_of_a_link_that_is_gone_wake_their_readers() {
        let mut pages = Pages::default();
        let (mut reader, ready) = want(&mut pages, 1);
        pages.give_up();
        assert!(reader.try_recv().is_err() && is_woken(&ready));
    }
}

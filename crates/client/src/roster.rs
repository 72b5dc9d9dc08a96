//! Who is in a room: kept right over news of who came and went, whole pictures, and reconnects.

use std::sync::Arc;
use std::time::Duration;

use roomkeeper_protocol::{Member, PresencePush};
use roomkeeper_types::{Epoch, UserId};
use tokio::time::Instant;

use crate::Presence;

/// A new owner says nobody has left for 8 s, then how it is; one that has settled already says nothing. After
/// this long it is asked.
const SETTLE: Duration = Duration::from_secs(10);
/// Between a count that is not what is known here, and the question who it is.
const RECOUNT: Duration = Duration::from_secs(2);

/// The members of a room, as far as this subscription was told.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// In the order of users and devices, each once.
    members: Arc<Vec<Member>>,
    /// What the server counts; more than are known here in a room so large that it names nobody.
    count: u64,
    /// Whether who is not named has left. Not while a new owner gathers who is there.
    settled: bool,
    /// The owner that was joined last.
    epoch: Option<Epoch>,
    /// When the picture counts as settled though nobody says so, and is asked for.
    settle_at: Option<Instant>,
    ask_at: Option<Instant>,
}

/// A user on a device.
type Key<'a> = (&'a UserId, Option<&'a str>);

fn key(member: &Member) -> Key<'_> {
    (&member.user, member.device.as_deref())
}

impl Roster {
    /// The room was joined: who is there has to be asked. While this socket was away it heard of nobody who
    /// left; of another owner not even the picture says so until it has settled.
    pub(crate) fn joined(&mut self, epoch: Epoch, now: Instant) {
        let before = self.epoch.replace(epoch);
        self.settled = before.is_none_or(|before| before == epoch);
        self.settle_at = (!self.settled).then(|| now + SETTLE);
        self.ask_at = None;
    }

    /// Who came and went.
    pub(crate) fn pushed(&mut self, push: PresencePush, now: Instant) -> Option<Presence> {
        let PresencePush { joined, left, count, settled, members, .. } = push;
        let was_settled = self.settled;
        if !settled {
            self.settled = false;
            self.settle_at.get_or_insert(now + SETTLE);
        }
        let mut news = News::default();
        if let Some(picture) = members {
            if settled {
                self.settled = true;
                (self.settle_at, self.ask_at) = (None, None);
            }
            self.take_picture(picture, &mut news);
        } else {
            let names_somebody = !joined.is_empty() || !left.is_empty();
            left.iter().for_each(|member| self.remove(member, &mut news));
            joined.into_iter().for_each(|member| self.add(member, &mut news));
            if self.settled && names_somebody && count != self.members.len() as u64 {
                self.ask_again(now);
            }
        }
        let is_news = count != self.count || was_settled != self.settled;
        self.count = count;
        self.told(news, is_news)
    }

    /// The answer to the question who is there.
    pub(crate) fn answered(&mut self, picture: Vec<Member>) -> Presence {
        self.count = picture.len() as u64;
        let mut news = News::default();
        self.take_picture(picture, &mut news);
        self.event(news)
    }

    /// The question is to be asked once more, after a moment.
    pub(crate) fn ask_again(&mut self, now: Instant) {
        self.ask_at.get_or_insert(now + RECOUNT);
    }

    /// Whether it is time to ask who is there.
    pub(crate) fn asks(&mut self, now: Instant) -> bool {
        let settles = self.settle_at.take_if(|at| *at <= now).is_some();
        self.settled |= settles;
        let asks_again = self.ask_at.take_if(|at| *at <= now).is_some();
        settles || asks_again
    }

    fn take_picture(&mut self, mut picture: Vec<Member>, news: &mut News) {
        picture.sort_by(|a, b| key(a).cmp(&key(b)));
        picture.dedup_by(|a, b| key(a) == key(b));
        if self.settled {
            let is_there =
                |member: &&Member| picture.binary_search_by(|other| key(other).cmp(&key(member))).is_ok();
            let gone: Vec<Member> = self.members.iter().filter(|m| !is_there(m)).cloned().collect();
            gone.iter().for_each(|member| self.remove(member, news));
        }
        picture.into_iter().for_each(|member| self.add(member, news));
    }

    fn add(&mut self, member: Member, news: &mut News) {
        if let Err(place) = self.find(&member) {
            news.joined.push(member.clone());
            Arc::make_mut(&mut self.members).insert(place, member);
        }
    }

    fn remove(&mut self, member: &Member, news: &mut News) {
        if let Ok(place) = self.find(member) {
            news.left.push(Arc::make_mut(&mut self.members).remove(place));
        }
    }

    fn find(&self, member: &Member) -> Result<usize, usize> {
        self.members.binary_search_by(|other| key(other).cmp(&key(member)))
    }

    fn told(&self, news: News, is_news: bool) -> Option<Presence> {
        let changed = is_news || !news.joined.is_empty() || !news.left.is_empty();
        changed.then(|| self.event(news))
    }

    fn event(&self, News { joined, left }: News) -> Presence {
        let (count, settled, members) = (self.count, self.settled, self.members.clone());
        Presence { joined, left, count, settled, members }
    }
}

#[derive(Default)]
struct News {
    joined: Vec<Member>,
    left: Vec<Member>,
}

#[cfg(test)]
mod tests {
    use roomkeeper_types::Timestamp;

    use super::*;

    fn member(name: &str) -> Member {
        let (user, device) = name.split_once('/').map_or((name, None), |(user, device)| (user, Some(device)));
        Member { user: user.parse().unwrap(), device: device.map(Into::into), since: Timestamp(1) }
    }

    fn members(names: &str) -> Vec<Member> {
        names.split_whitespace().map(member).collect()
    }

    fn push(joined: &str, left: &str, count: u64, settled: bool) -> PresencePush {
        let (joined, left) = (members(joined), members(left));
        PresencePush { room: "general".parse().unwrap(), joined, left, count, settled, members: None }
    }

    fn picture(names: &str, settled: bool) -> PresencePush {
        let members = members(names);
        PresencePush { members: Some(members.clone()), ..push("", "", members.len() as u64, settled) }
    }

    fn names(members: &[Member]) -> String {
        let name = |member: &Member| match &member.device {
            Some(device) => format!("{}/{device}", member.user),
            None => member.user.to_string(),
        };
        members.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    /// What is told: who came, who went, who is there.
    fn told(event: Option<Presence>) -> Option<[String; 3]> {
        event.map(|event| [names(&event.joined), names(&event.left), names(&event.members)])
    }

    fn some(joined: &str, left: &str, members: &str) -> Option<[String; 3]> {
        Some([joined, left, members].map(str::to_owned))
    }

    fn joined(names: &str, now: Instant) -> Roster {
        let mut roster = Roster::default();
        roster.joined(Epoch(1), now);
        roster.answered(members(names));
        roster
    }

    #[test]
    fn members_come_and_go_each_device_by_itself() {
        let now = Instant::now();
        let mut roster = Roster::default();
        roster.joined(Epoch(1), now);
        assert_eq!(told(Some(roster.answered(members("bob ann")))), some("ann bob", "", "ann bob"));
        let pushed = roster.pushed(push("bob/phone", "ann", 2, true), now);
        assert_eq!(told(pushed), some("bob/phone", "ann", "bob bob/phone"));
        assert_eq!(told(roster.pushed(push("bob", "ann", 2, true), now)), None, "known already");
        assert!(!roster.asks(now + SETTLE), "the counts agree");
    }

    #[test]
    fn reconnect_to_the_same_owner_tells_who_went_meanwhile() {
        let now = Instant::now();
        let mut roster = joined("ann bob cid", now);
        roster.joined(Epoch(1), now);
        assert_eq!(told(Some(roster.answered(members("ann cid dan")))), some("dan", "bob", "ann cid dan"));
    }

    #[test]
    fn new_owner_that_gathers_makes_nobody_leave_until_its_picture() {
        let now = Instant::now();
        let mut roster = joined("ann bob cid", now);
        roster.joined(Epoch(2), now);
        assert_eq!(told(Some(roster.answered(members("ann")))), some("", "", "ann bob cid"));
        assert_eq!(
            told(roster.pushed(push("bob dan", "", 3, false), now)),
            some("dan", "", "ann bob cid dan")
        );
        let partial = roster.pushed(picture("ann bob", false), now);
        assert_eq!(told(partial), some("", "", "ann bob cid dan"));
        let whole = roster.pushed(picture("ann bob dan", true), now).unwrap();
        assert!(whole.settled);
        assert_eq!(told(Some(whole)), some("", "cid", "ann bob dan"));
        assert!(!roster.asks(now + SETTLE * 2));
    }

    #[test]
    fn new_owner_that_says_nothing_is_asked_and_believed() {
        let now = Instant::now();
        let mut roster = joined("ann bob", now);
        roster.joined(Epoch(2), now);
        roster.answered(members("ann"));
        assert!(!roster.asks(now + SETTLE / 2));
        assert!(roster.asks(now + SETTLE));
        assert!(!roster.asks(now + SETTLE), "once");
        assert_eq!(told(Some(roster.answered(members("ann")))), some("", "bob", "ann"));
    }

    #[test]
    fn count_that_differs_from_who_is_known_is_asked_about() {
        let now = Instant::now();
        let mut roster = joined("ann", now);
        assert_eq!(told(roster.pushed(push("bob", "", 3, true), now)), some("bob", "", "ann bob"));
        assert!(roster.asks(now + RECOUNT));
        assert_eq!(told(Some(roster.answered(members("ann bob cid")))), some("cid", "", "ann bob cid"));
    }

    #[test]
    fn room_too_large_for_names_tells_its_count_and_is_not_asked() {
        let now = Instant::now();
        let mut roster = joined("ann", now);
        let event = roster.pushed(push("", "", 5_000, true), now).unwrap();
        assert_eq!((event.count, event.members.len()), (5_000, 1));
        assert!(!roster.asks(now + SETTLE));
    }
}

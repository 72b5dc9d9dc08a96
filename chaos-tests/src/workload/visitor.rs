//! Members who come and go, and who is there when all is quiet.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use roomkeeper_client::{Client, ClientConfig, Error, Presence, Route, SubscribeOptions};
use roomkeeper_protocol::{From, Member};
use roomkeeper_types::{NodeId, RoomName};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::history::Recorder;
use crate::history::event::Event;
use crate::history::presence::{Company, MemberJoin};

const STAY_MS: std::ops::RangeInclusive<u64> = 300..=1_200;
const AWAY_MS: std::ops::RangeInclusive<u64> = 100..=600;
const POLL: Duration = Duration::from_millis(50);
/// How long nodes may take to know who is there: a new owner waits for 8 s, a dead client takes 10.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
/// How long the last visitor may take to come, and to be gone.
const COME_LIMIT: Duration = Duration::from_secs(5);
const GO_LIMIT: Duration = Duration::from_millis(1_500);

/// A member as histories name it.
pub(super) fn name(member: &Member) -> String {
    format!("{}/{}", member.user, member.device.as_deref().unwrap_or_default())
}

/// What a subscriber was told of who is there.
pub(super) fn company(told: &Presence) -> Company {
    let names = |members: &[Member]| members.iter().map(name).collect();
    Company {
        joined: names(&told.joined),
        left: names(&told.left),
        count: told.count,
        settled: told.settled,
        members: names(&told.members),
    }
}

/// Comes to one room again and again, each time as another member.
pub(super) struct Visitor {
    pub(super) recorder: Recorder,
    /// Its settings but for the device.
    pub(super) config: ClientConfig,
    pub(super) room: RoomName,
    pub(super) rng: StdRng,
}

impl Visitor {
    /// Runs until it is stopped.
    pub(super) async fn run(mut self, stop: watch::Receiver<bool>) {
        for number in 1_u64.. {
            if *stop.borrow() {
                return;
            }
            // An owner may be dead; then this one never came, or nobody knows.
            let stay = Duration::from_millis(self.rng.random_range(STAY_MS));
            let _ = visit(&self.recorder, &self.config, &self.room, &format!("guest-{number}"), async || {
                sleep(stay).await;
            })
            .await;
            sleep(Duration::from_millis(self.rng.random_range(AWAY_MS))).await;
        }
    }
}

/// Joins as a device of its own, stays for as long as `stay` takes, and leaves.
async fn visit(
    recorder: &Recorder,
    config: &ClientConfig,
    room: &RoomName,
    device: &str,
    stay: impl AsyncFnOnce(),
) -> Result<(), Error> {
    let client = Client::new(ClientConfig { device: Some(device.to_owned()), ..config.clone() })?;
    let member = recorder.new_id();
    let user = config.user.as_ref().map_or("anonymous", |user| user.as_str());
    let name = format!("{user}/{device}");
    recorder.record(Event::MemberJoin(MemberJoin { member, room: room.clone(), name }));
    let options = SubscribeOptions::from(From::Latest);
    let joined = client.room(room.clone()).subscribe(options).await;
    if joined.is_ok() {
        recorder.record(Event::MemberIn { member, sub: None });
        stay().await;
    }
    recorder.record(Event::MemberOut { member });
    joined.map(drop)
}

/// Waits until every node says that these members are there and no others of ours, and notes what each says in the end.
/// Then one more comes and goes, and it is noted what nodes say a second after that.
pub(super) async fn settle(
    recorder: &Recorder,
    config: &ClientConfig,
    client: &Client,
    room: &RoomName,
    stayed: &BTreeSet<String>,
) -> Result<(), Error> {
    let nodes = nodes(client, config).await?;
    let end = Instant::now() + SETTLE_LIMIT;
    for (node, client) in &nodes {
        picture(recorder, room, (*node, client), end, |members| ours(members, stayed) == *stayed).await;
    }
    let Some((node, asked)) = nodes.first() else { return Ok(()) };
    let last = "guest-last";
    let come = async || {
        let end = Instant::now() + COME_LIMIT;
        let is_there = |members: &[String]| members.iter().any(|member| member.ends_with(last));
        picture(recorder, room, (*node, asked), end, is_there).await;
    };
    visit(recorder, config, room, last, come).await?;
    let end = Instant::now() + GO_LIMIT;
    picture(recorder, room, (*node, asked), end, |members| ours(members, stayed) == *stayed).await;
    Ok(())
}

/// A client of each node.
async fn nodes(client: &Client, config: &ClientConfig) -> Result<Vec<(NodeId, Client)>, Error> {
    let map = client.cluster_map().await?;
    let of = |node: roomkeeper_client::NodeEntry| {
        let config = ClientConfig { urls: vec![node.url], route: Route::Proxy, ..config.clone() };
        Ok((node.node, Client::new(config)?))
    };
    map.nodes.into_iter().map(of).collect()
}

/// The members that this load named.
fn ours(members: &[String], stayed: &BTreeSet<String>) -> BTreeSet<String> {
    let is_ours = |member: &&String| stayed.contains(*member) || member.contains("/guest-");
    members.iter().filter(is_ours).cloned().collect()
}

/// Asks a node until the answer is as wanted, or it is too late, and notes the last answer.
async fn picture(
    recorder: &Recorder,
    room: &RoomName,
    (node, client): (NodeId, &Client),
    end: Instant,
    wanted: impl Fn(&[String]) -> bool,
) {
    loop {
        // No answer is none yet: a new owner has to wait for who comes back.
        let members = client.presence(room).await.ok();
        let members = members.map(|members| members.iter().map(name).collect::<Vec<_>>());
        let is_right = members.as_deref().is_some_and(&wanted);
        if is_right || Instant::now() >= end {
            if let Some(members) = members {
                recorder.record(Event::FinalPresence { room: room.clone(), node, members });
            }
            return;
        }
        sleep(POLL).await;
    }
}

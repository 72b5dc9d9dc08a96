//! A node without an identity asks a cluster for one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use roomkeeper_consensus::{PeerError, ask_address};
use roomkeeper_types::{ClusterId, NodeId};

use crate::backoff::Backoff;
use crate::error::StartError;
use crate::meta::{Joined, Refusal};
use crate::peer::{Answer, JoinRequest, Request};

/// A seed sends a joiner on to meta's leader, which may have changed by then. More hops mean that nobody knows.
const HOPS_MAX: usize = 4;
const JOIN_ATTEMPT: Duration = Duration::from_secs(3);
const WHO_TIMEOUT: Duration = Duration::from_secs(1);

/// Where and how to ask.
pub(crate) struct Seeds<'a> {
    /// Peer addresses.
    pub(crate) addresses: &'a [String],
    /// This node's own, which is not asked.
    pub(crate) own: &'a str,
    pub(crate) secret: Option<&'a str>,
}

/// What a joiner is given.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) joined: Joined,
    /// Where the other nodes are.
    pub(crate) peers: Vec<(NodeId, String)>,
}

/// Why one attempt came to nothing.
enum Setback {
    /// Another one may do better.
    Later(String),
    /// None will.
    Never(String),
}

impl Seeds<'_> {
    fn others(&self) -> impl Iterator<Item = &str> {
        self.addresses.iter().map(String::as_str).filter(|address| *address != self.own)
    }

    /// Asks the seeds in turn, and again, until one lets this node in.
    ///
    /// # Errors
    /// [`StartError::JoinRefused`] or [`StartError::JoinTimeout`].
    pub(crate) async fn join(&self, request: JoinRequest, within: Duration) -> Result<Grant, StartError> {
        let begun = Instant::now();
        let request = Request::Join(request).encode();
        let mut backoff = Backoff::quick();
        let mut last = "the only seed is this node itself".to_owned();
        while begun.elapsed() < within {
            for seed in self.others() {
                match self.follow(seed, &request).await {
                    Ok(grant) => return Ok(grant),
                    Err(Setback::Later(why)) => last = format!("{seed}: {why}"),
                    Err(Setback::Never(why)) => return Err(StartError::JoinRefused(why)),
                }
            }
            tracing::debug!(reason = last, "not let in yet");
            tokio::time::sleep(backoff.next()).await;
        }
        Err(StartError::JoinTimeout { waited: within, last })
    }

    /// Asks a seed, and whomever it names as the leader.
    async fn follow(&self, seed: &str, request: &Bytes) -> Result<Grant, Setback> {
        let mut address = seed.to_owned();
        for _ in 0..HOPS_MAX {
            match self.ask(&address, request.clone(), JOIN_ATTEMPT).await? {
                Answer::Granted { joined, peers } => return Ok(Grant { joined, peers }),
                // The seed is about to found the cluster: nodes are started together.
                Answer::Refused(Refusal::NotFounded) => {
                    return Err(Setback::Later(Refusal::NotFounded.to_string()));
                }
                Answer::Refused(refusal) => return Err(Setback::Never(refusal.to_string())),
                Answer::NotLeader { address: Some(leader), .. } if leader != self.own => address = leader,
                Answer::NotLeader { .. } => return Err(Setback::Later("meta has no leader".to_owned())),
                Answer::Later(why) => return Err(Setback::Later(why)),
                _ => return Err(Setback::Never(format!("{address} answered something else"))),
            }
        }
        Err(Setback::Later(format!("still not at meta's leader after {HOPS_MAX} hops")))
    }

    /// The clusters that the seeds are in, as far as they answer now.
    pub(crate) async fn clusters(&self) -> Vec<ClusterId> {
        let who = Request::WhoAreYou.encode();
        let answers = join_all(self.others().map(|seed| self.ask(seed, who.clone(), WHO_TIMEOUT))).await;
        let cluster = |answer| match answer {
            Ok(Answer::Me { cluster, .. }) => Some(cluster),
            _ => None,
        };
        answers.into_iter().filter_map(cluster).collect()
    }

    /// Whether anybody at these addresses, or a seed, says that the node was removed from its cluster.
    pub(crate) async fn know_as_removed(&self, node: NodeId, mut addresses: BTreeSet<String>) -> bool {
        addresses.extend(self.others().map(str::to_owned));
        addresses.remove(self.own);
        let request = Request::AmIIn(node).encode();
        let asked = addresses.iter().map(|address| self.ask(address, request.clone(), WHO_TIMEOUT));
        join_all(asked).await.into_iter().any(|answer| matches!(answer, Ok(Answer::Removed)))
    }

    /// The node that answers at this node's own address, if one does.
    pub(crate) async fn who_is_at_own(&self) -> Option<(ClusterId, NodeId)> {
        match self.ask(self.own, Request::WhoAreYou.encode(), WHO_TIMEOUT).await {
            Ok(Answer::Me { cluster, node }) => Some((cluster, node)),
            _ => None,
        }
    }

    async fn ask(&self, address: &str, request: Bytes, timeout: Duration) -> Result<Answer, Setback> {
        let answer = ask_address(address, self.secret, request, timeout).await;
        let answer = answer.map_err(|error| match error {
            PeerError::Refused(..) => Setback::Never(error.to_string()),
            PeerError::Unreachable(..) | PeerError::Timeout(..) => Setback::Later(error.to_string()),
        })?;
        Answer::decode(&answer)
            .map_err(|error| Setback::Never(format!("{address} speaks otherwise: {error}")))
    }
}

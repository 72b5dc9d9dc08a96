//! A group of three replicas with real disks and a real transport.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use roomkeeper_consensus::{Change, Group, GroupError, Member, ProposeError, Role};
use roomkeeper_types::{Epoch, NodeId, ReplicaId};
use support::{Cluster, counted, eventually, leader};

const A: Bytes = Bytes::from_static(b"a");

#[tokio::test(flavor = "multi_thread")]
async fn proposal_is_applied_on_every_replica() {
    let (_cluster, nodes) = Cluster::three().await;
    let lead = leader(&nodes).await;
    let epoch = nodes[lead].group.status().epoch;
    for _ in 0..100 {
        nodes[lead].group.propose(Some(epoch), A).await.unwrap();
    }
    nodes[lead].group.read_index().await.unwrap();
    for node in &nodes {
        counted(node, b"a", 100).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proposal_to_a_follower_or_a_former_epoch_is_refused_for_sure() {
    let (_cluster, nodes) = Cluster::three().await;
    let lead = leader(&nodes).await;
    let epoch = nodes[lead].group.status().epoch;
    let follower = &nodes[(lead + 1) % 3].group;
    assert_eq!(follower.propose(None, A).await.unwrap_err(), ProposeError::NotLeader);
    let former = Some(Epoch(epoch.0 - 1));
    assert_eq!(nodes[lead].group.propose(former, A).await.unwrap_err(), ProposeError::NotLeader);
    assert!(follower.read_index().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_stopped_another_leads_in_a_higher_epoch_and_the_first_catches_up() {
    let (cluster, mut nodes) = Cluster::three().await;
    let lead = leader(&nodes).await;
    let before = nodes[lead].group.status().epoch;
    nodes[lead].group.propose(None, A).await.unwrap();
    let stopped = nodes.remove(lead);
    let member = stopped.member;
    stopped.stop().await;

    let lead = leader(&nodes).await;
    assert!(nodes[lead].group.status().epoch > before);
    nodes[lead].group.propose(None, A).await.unwrap();

    let back = cluster.start(member.node.0, member.replica.0).await;
    counted(&back, b"a", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_restarted_everything_acked_is_there() {
    let (cluster, nodes) = Cluster::three().await;
    let lead = leader(&nodes).await;
    for _ in 0..50 {
        nodes[lead].group.propose(None, A).await.unwrap();
    }
    for node in nodes {
        node.stop().await;
    }
    let mut nodes = Vec::new();
    for node in 1..=3 {
        nodes.push(cluster.start(node, u64::from(node) * 10).await);
    }
    let lead = leader(&nodes).await;
    nodes[lead].group.read_index().await.unwrap();
    assert_eq!(support::count(nodes[lead].group.store(), b"a").unwrap(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_without_quorum_acks_nothing() {
    let (_cluster, mut nodes) = Cluster::three().await;
    let lead = leader(&nodes).await;
    let alone = nodes.remove(lead);
    for node in nodes {
        node.stop().await;
    }
    let asked = tokio::time::timeout(Duration::from_secs(2), alone.group.propose(None, A)).await;
    assert!(!matches!(asked, Ok(Ok(_))), "acked without a quorum");
    assert_eq!(support::count(alone.group.store(), b"a").unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_replica_is_filled_by_a_snapshot_when_the_log_is_purged() {
    let (cluster, nodes) = Cluster::three().await;
    let lead = leader(&nodes).await;
    // Past the snapshot policy and what is kept behind it, so that index 1 is gone.
    let rounds = 32_000;
    let many = futures::stream::iter(0..rounds).map(|_| nodes[lead].group.propose(None, A));
    use futures::StreamExt;
    let acked = many.buffer_unordered(2048).filter(|ack| std::future::ready(ack.is_ok())).count().await;
    assert_eq!(acked, rounds);
    let purged = || nodes[lead].group.log_begins_after().map(|index| index.0).filter(|index| *index > 0);
    eventually("a purge", purged).await;

    let joining = cluster.start(4, 40).await;
    let before = nodes[lead].group.status().members_at;
    change(&nodes[lead].group, Change::Learn(vec![joining.member])).await.unwrap();
    counted(&joining, b"a", rounds as u64).await;
    assert_eq!(joining.group.status().role, Role::Learner);

    // And it can become a voter, and another one leave.
    let voters = [nodes[lead].member, nodes[(lead + 1) % 3].member, joining.member];
    change(&nodes[lead].group, Change::Vote(voters.to_vec())).await.unwrap();
    change(&nodes[lead].group, Change::Forget(vec![nodes[(lead + 2) % 3].member])).await.unwrap();
    let members = || {
        let status = joining.group.status();
        (status.voters.len() == 3 && status.learners.is_empty()).then_some(status.voters)
    };
    assert!(eventually("three voters", members).await.contains(&joining.member));

    // Whoever looked before all this must look again.
    let late = Change::Forget(vec![joining.member]);
    assert!(nodes[lead].group.change_members(before, &late).await.is_err());
    assert!(!nodes[lead].group.status().joint);
}

async fn change(group: &Group, change: Change) -> Result<(), GroupError> {
    group.change_members(group.status().members_at, &change).await
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_that_takes_over_leads_though_the_leader_lives() {
    let (_cluster, nodes) = Cluster::three().await;
    let lead = leader(&nodes).await;
    let next = (lead + 1) % 3;
    nodes[lead].group.propose(None, A).await.unwrap();
    let epoch = nodes[lead].group.status().epoch;
    let caught_up = || (nodes[next].group.status().last == nodes[lead].group.status().last).then_some(());
    eventually("the whole log", caught_up).await;
    nodes[next].group.take_over(epoch).await.unwrap();
    let leads = || (nodes[next].group.status().role == Role::Leader).then_some(());
    eventually("the hand-over", leads).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_replica_of_a_born_group_never_votes() {
    let (cluster, mut nodes) = Cluster::three().await;
    leader(&nodes).await;
    *cluster.directory.born.write() = true;
    // Two of three lose their disks: the third has the log, but nobody whose log is empty may elect it.
    let members: Vec<Member> = nodes.iter().map(|node| node.member).collect();
    for node in nodes.drain(..) {
        node.stop().await;
    }
    for member in &members[1..] {
        std::fs::remove_dir_all(cluster.data_dir(member.node.0)).unwrap();
    }
    for member in &members {
        nodes.push(cluster.start(member.node.0, member.replica.0).await);
    }
    // Long enough for several elections of 300 to 600 ms.
    let elected = tokio::time::timeout(Duration::from_secs(3), leader(&nodes)).await;
    assert!(elected.is_err(), "elected by replicas without a log");
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_with_rows_but_without_its_log_is_refused() {
    let (cluster, mut nodes) = Cluster::three().await;
    let lead = leader(&nodes).await;
    nodes[lead].group.propose(None, A).await.unwrap();
    counted(&nodes[0], b"a", 1).await;
    let node = nodes.remove(0);
    node.group.store().flush().unwrap();
    node.stop().await;
    std::fs::remove_dir_all(cluster.data_dir(1).join("log")).unwrap();
    let refused = cluster.try_start(&cluster.data_dir(1), 1, 10).await;
    let why = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(why.contains("lost its log"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_answer_members_and_strangers_with_the_secret_only() {
    let (cluster, nodes) = Cluster::three().await;
    let wait = Duration::from_secs(2);
    let hello = Bytes::from_static(b"hello");
    let answer = nodes[0].consensus.ask(NodeId(2), hello.clone(), wait).await.unwrap();
    assert_eq!(answer, "Some(NodeId(1)) said hello");
    let refused = nodes[0].consensus.ask(NodeId(2), Bytes::from_static(b"refuse"), wait).await;
    assert!(refused.unwrap_err().to_string().contains("as asked"));

    let address = cluster.directory.addresses.read()[&NodeId(2)].clone();
    let ask = |secret| roomkeeper_consensus::ask_address(&address, secret, hello.clone(), wait);
    assert_eq!(ask(Some("secret")).await.unwrap(), "None said hello");
    for secret in [None, Some("wrong")] {
        assert!(ask(secret).await.unwrap_err().to_string().contains("secret"));
    }
    let nobody = roomkeeper_consensus::ask_address("127.0.0.1:1", None, hello, wait).await;
    assert!(nobody.unwrap_err().to_string().contains("127.0.0.1:1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_peer_beyond_the_bound_wait_and_are_all_answered() {
    const AT_ONCE: usize = 256;
    let (cluster, nodes) = Cluster::three().await;
    let held = &cluster.directory.held;
    let wait = Duration::from_secs(20);
    let asking: Vec<_> = (0..AT_ONCE + 50)
        .map(|_| {
            let consensus = nodes[0].consensus.clone();
            tokio::spawn(async move { consensus.ask(NodeId(2), Bytes::from_static(b"hold"), wait).await })
        })
        .collect();
    let count = || held.count.load(Ordering::SeqCst);
    eventually("as many as are worked on at once", || (count() >= AT_ONCE).then_some(())).await;
    // Another peer's request is answered meanwhile, and with it what the first one sent has arrived.
    let hello = Bytes::from_static(b"hello");
    nodes[2].consensus.ask(NodeId(2), hello, wait).await.unwrap();
    assert_eq!(count(), AT_ONCE);
    held.let_go.send_replace(true);
    for asked in asking {
        assert_eq!(asked.await.unwrap().unwrap(), "hold");
    }
    assert_eq!(count(), AT_ONCE + 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_of_another_cluster_are_refused() {
    let (cluster, nodes) = Cluster::three().await;
    let mut stranger = Cluster::new();
    stranger.directory = cluster.directory.clone();
    let node = stranger.start_in(&stranger.data_dir(9), 9, 90).await;
    let asked = node.consensus.ask(NodeId(1), A, Duration::from_secs(2)).await;
    let why = asked.unwrap_err().to_string();
    assert!(why.contains(&cluster.cluster.to_string()), "{why}");
    assert_eq!(nodes[0].member.replica, ReplicaId(10));
}

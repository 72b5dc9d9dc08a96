//! A run that is killed leaves nothing: not what it made on the machine, and not a process of it.
//!
//! The claim: **whatever a run was doing when it was killed, the next start puts the machine back.** A child
//! process (this same executable, told to by an environment variable) makes one of everything, is killed with
//! SIGKILL in the middle, and what it left is looked for after the next start has cleaned up.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chaos_tests::cluster::{Cluster, Setup};
use chaos_tests::disk::{DiskKind, Frozen};
use chaos_tests::guard::{self, processes};
use chaos_tests::machine::{Machine, Need};
use chaos_tests::net::{Link, Links};

/// Names the kind of cluster that the child starts.
const CHILD: &str = "CHAOS_TESTS_GUARDS_CHILD";

/// Not a test of its own: the life of the child.
#[test]
fn child_of_the_other_tests_makes_one_of_everything() {
    let Ok(kind) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut setup = Setup::plain(2);
        if kind == "bridged" {
            (setup.bridged, setup.disk) = (true, DiskKind::Image { mib: 256 });
        }
        let mut cluster = Cluster::start_with(setup).await.unwrap();
        cluster.pause(1).unwrap();
        let mut held = None;
        if kind == "bridged" {
            let cut = cluster.net().cut(&Links::from([Link { from: 0, to: 1 }])).unwrap();
            let filler = cluster.disk(0).image().unwrap().fill().unwrap();
            // The last, as whoever writes to it now can no longer be killed.
            let frozen = Frozen::new(cluster.disk(0).image().unwrap()).unwrap();
            held = Some((cut, filler, frozen));
        }
        println!("\nmade {}", guard::marker().unwrap());
        tokio::time::sleep(Duration::from_secs(120)).await;
        drop(held);
    });
}

/// Starts the child and waits until it has made everything; answers its marker.
fn started(kind: &str) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_of_the_other_tests_makes_one_of_everything", "--nocapture"])
        .env(CHILD, kind)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let marker = lines.find_map(|line| line.unwrap().strip_prefix("made ").map(str::to_owned));
    (child, marker.expect("the child ended before it had made everything"))
}

/// Everything on this machine whose name or path tells that the run made it.
fn left_of(marker: &str) -> Vec<String> {
    let pid = marker.split('-').next().unwrap();
    let mut left: Vec<String> =
        processes::of_run(marker).unwrap().into_iter().map(|pid| format!("process {pid}")).collect();
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    };
    let tag = format!("rk{pid}");
    for (what, listing) in [
        ("namespace", said("ip", &["netns", "list"])),
        ("interface", said("ip", &["-o", "link"])),
        ("table", said("nft", &["list", "tables"])),
    ] {
        left.extend(listing.lines().filter(|line| line.contains(&tag)).map(|line| format!("{what} {line}")));
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    for (what, listing) in [("mount", mounts), ("loop device", said("losetup", &["--list"]))] {
        left.extend(
            listing.lines().filter(|line| line.contains(marker)).map(|line| format!("{what} {line}")),
        );
    }
    let home = std::env::temp_dir().join(format!("roomkeeper-chaos-{}", nix::unistd::Uid::current()));
    let names = fs::read_dir(home).unwrap().map(|entry| entry.unwrap().file_name());
    left.extend(names.filter(|name| name.to_string_lossy().contains(marker)).map(|name| format!("{name:?}")));
    left
}

fn killed_run_leaves_nothing(kind: &str) {
    let (mut child, marker) = started(kind);
    let there = left_of(&marker);
    assert!(there.len() >= 3, "the child made too little to see anything: {there:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let said = guard::clean().unwrap();
    assert!(said.iter().any(|line| line.contains(&marker)), "{said:?}");
    assert_eq!(left_of(&marker), Vec::<String>::new(), "of {there:?}");
}

#[test]
fn run_on_loopback_killed_with_a_paused_node_leaves_nothing() {
    killed_run_leaves_nothing("plain");
}

#[test]
fn run_in_namespaces_killed_with_a_cut_a_filler_and_a_frozen_disk_leaves_nothing() {
    let needs = [Need::Partitions, Need::PowerCuts, Need::Freeze];
    if let Some(why) = Machine::look().refuses(&needs) {
        println!("skipped: {why}");
        return;
    }
    killed_run_leaves_nothing("bridged");
}

//! The workspace's dependency rules: arrows point one way, and each engine is named by one crate only.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the metadata fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// For each crate of ours, which of ours it may use. A crate that is not listed fails the test: decide where
/// it stands.
const MAY_USE: &[(&str, &[&str])] = &[
    ("sabotage", &[]),
    ("types", &[]),
    ("protocol", &["types"]),
    ("auth", &["types"]),
    ("ring", &["types"]),
    ("room", &["types", "sabotage"]),
    ("storage", &["types", "sabotage", "room"]),
    ("consensus", &["types", "sabotage", "room", "storage"]),
    ("cluster", &["types", "sabotage", "ring", "room", "storage", "consensus"]),
    ("gateway", &["types", "sabotage", "protocol", "auth", "room", "cluster"]),
    ("client", &["types", "protocol"]),
    ("roomkeeper", &["types", "sabotage", "protocol", "auth", "cluster", "gateway", "client"]),
    ("chaos-tests", &["types", "sabotage", "protocol", "auth", "client"]),
];

/// Crates from outside that only these of ours may name.
const ONLY: &[(&str, &[&str])] = &[
    ("rocksdb", &["storage"]),
    ("openraft", &["consensus"]),
    ("tonic", &["consensus"]),
    ("prost", &["consensus", "protocol"]),
    ("hashring", &["ring"]),
    ("jsonwebtoken", &["auth"]),
    ("ed25519-dalek", &["auth"]),
    // The binary adds the paths for operators.
    ("axum", &["gateway", "roomkeeper"]),
    ("prometheus-client", &["gateway", "roomkeeper"]),
];

/// What the pure crates must not have: a runtime, files, sockets, randomness.
const IMPURE: &[&str] = &["tokio", "futures", "rand", "rocksdb", "openraft", "tonic", "hyper", "tracing"];
const PURE: &[&str] = &["types", "protocol", "auth", "ring", "room"];

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(std::env::var("CARGO_MANIFEST_DIR").unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ours = |name: &str| name.strip_prefix("roomkeeper-").unwrap_or(name).to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let used = package["dependencies"].as_array().unwrap().iter();
            // Tests may use more; what is built may not.
            let used = used.filter(|dependency| dependency["kind"] != "dev");
            let names = used.map(|dependency| ours(dependency["name"].as_str().unwrap()));
            (ours(package["name"].as_str().unwrap()), names.collect())
        })
        .collect()
}

#[test]
fn arrows_point_one_way() {
    let dependencies = dependencies();
    for (name, used) in &dependencies {
        let (_, allowed) = MAY_USE.iter().find(|(listed, _)| listed == name).unwrap_or_else(|| {
            panic!("crate {name} is not in the dependency rules of {}", file!());
        });
        for other in used.iter().filter(|other| dependencies.contains_key(*other)) {
            assert!(allowed.contains(&other.as_str()), "{name} must not use {other}");
        }
    }
}

#[test]
fn engines_are_named_by_one_crate() {
    for (name, used) in &dependencies() {
        for (engine, owners) in ONLY {
            assert!(
                !used.contains(*engine) || owners.contains(&name.as_str()),
                "{name} must not name {engine}"
            );
        }
    }
}

#[test]
fn pure_crates_have_no_runtime() {
    let dependencies = dependencies();
    for name in PURE {
        let impure: Vec<_> = IMPURE.iter().filter(|other| dependencies[*name].contains(**other)).collect();
        assert!(impure.is_empty(), "{name} is pure and must not use {impure:?}");
    }
}

/// Files below a folder that end in `.rs`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// An iterator of RocksDB that meets an unreadable block just ends. `rocks::scan` asks for its status; whoever else made
/// one could take half of the rows for all of them.
#[test]
fn one_function_makes_iterators_of_rocksdb() {
    let makers =
        ["iterator(", "iterator_opt(", "iterator_cf(", "iterator_cf_opt(", "DBRawIterator", "DBIterator"];
    let storage = Path::new(env!("CARGO_MANIFEST_DIR")).join("../storage/src");
    let found: Vec<String> = sources(&storage)
        .iter()
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            let lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
            let path = path.strip_prefix(&storage).unwrap().display().to_string();
            lines.into_iter().zip(1..).map(move |(line, number)| (path.clone(), number, line))
        })
        .filter(|(_, _, line)| makers.iter().any(|maker| line.contains(maker)))
        .map(|(path, number, line)| format!("{path}:{number}: {}", line.trim()))
        .collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("rocks.rs:") && found[0].contains("db.raw_iterator_cf_opt("), "{found:#?}");
}

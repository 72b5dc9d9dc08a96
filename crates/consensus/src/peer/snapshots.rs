//! Snapshots in pieces: sent one at a time on the bulk lane, put together in files, installed at the last one.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use roomkeeper_storage::SnapshotFiles;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

use super::{Link, PeerError};
use crate::GroupId;
use crate::raft_types::{SnapshotMeta, Types, Vote};
use crate::registry::Local;
use crate::snapshot::{SnapshotData, TempFiles, transfer_dir};
use crate::wire::{self, Body, pb};

/// Data of one piece.
const PIECE: usize = 1 << 20;
/// A piece is written to a file: that takes milliseconds, or the disk is in trouble.
const PIECE_TIMEOUT: Duration = Duration::from_secs(10);
/// The last piece is answered when the snapshot is installed.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Sends a snapshot's files; returns the receiver's vote.
pub(crate) async fn send(
    link: &Arc<Link>,
    group: GroupId,
    to: u64,
    vote: &Vote,
    meta: &SnapshotMeta,
    files: &SnapshotFiles,
) -> Result<Vote, PeerError> {
    let broken = |error: io::Error| PeerError::Refused("the local disk".to_owned(), error.to_string());
    let transfer = link.next_call();
    let mut first = pb::Snapshot { transfer, ..Default::default() };
    wire::snapshot_head(&mut first, vote, meta).map_err(broken)?;
    ask(link, group, to, first, PIECE_TIMEOUT).await?;
    for (number, path) in (0..).zip(&files.files) {
        let mut file = File::open(path).await.map_err(broken)?;
        loop {
            let mut data = Vec::with_capacity(PIECE);
            (&mut file).take(PIECE as u64).read_to_end(&mut data).await.map_err(broken)?;
            if data.is_empty() {
                break;
            }
            let piece = pb::Snapshot { transfer, file: number, data: data.into(), ..Default::default() };
            ask(link, group, to, piece, PIECE_TIMEOUT).await?;
        }
    }
    let last = pb::Snapshot { transfer, last_piece: true, ..Default::default() };
    let vote = ask(link, group, to, last, INSTALL_TIMEOUT).await?.vote;
    wire::vote_in(vote).map_err(|error| PeerError::Refused("the receiver".to_owned(), error.to_string()))
}

async fn ask(
    link: &Arc<Link>,
    group: GroupId,
    to: u64,
    piece: pb::Snapshot,
    timeout: Duration,
) -> Result<pb::Snapshotted, PeerError> {
    match link.ask(group, to, Body::Snapshot(piece), timeout).await? {
        Body::Snapshotted(answer) => Ok(answer),
        _ => Err(PeerError::Refused("the receiver".to_owned(), "not an answer to a snapshot".to_owned())),
    }
}

/// Snapshots that arrive on one pipe. What is not finished goes with the pipe.
pub(super) struct Incoming {
    scratch: Arc<Path>,
    transfers: Mutex<HashMap<u64, Transfer>>,
}

struct Transfer {
    vote: Vote,
    meta: SnapshotMeta,
    /// Owns the folder: dropped unfinished, it takes the files along.
    files: TempFiles,
    dir: PathBuf,
    open: Option<(u32, File)>,
    paths: Vec<PathBuf>,
}

impl Incoming {
    pub(super) fn new(scratch: Arc<Path>) -> Self {
        Self { scratch, transfers: Mutex::default() }
    }

    /// Takes a piece. At the last one: the vote with which Raft answered the whole snapshot.
    pub(super) async fn take(&self, local: &Local, piece: pb::Snapshot) -> io::Result<Option<Vote>> {
        // One transfer at a time per pipe moves: the bulk lane has one snapshot per group at most, and the
        // sender waits for each answer.
        let mut transfers = self.transfers.lock().await;
        if piece.vote.is_some() {
            let (vote, meta) = wire::snapshot_head_in(&piece)?;
            let dir = transfer_dir(&self.scratch);
            tokio::fs::create_dir_all(&dir).await?;
            let files = TempFiles::new(dir.clone(), SnapshotFiles { files: Vec::new() });
            let transfer = Transfer { vote, meta, files, dir, open: None, paths: Vec::new() };
            transfers.insert(piece.transfer, transfer);
            return Ok(None);
        }
        if piece.last_piece {
            let transfer = transfers.remove(&piece.transfer).ok_or_else(unknown)?;
            drop(transfers);
            return transfer.install(local).await.map(Some);
        }
        let transfer = transfers.get_mut(&piece.transfer).ok_or_else(unknown)?;
        let written = transfer.write(piece.file, piece.data).await;
        if written.is_err() {
            // Its sender begins anew. What is there takes up room, which may be what is missing.
            transfers.remove(&piece.transfer);
        }
        written.map(|()| None)
    }
}

fn unknown() -> io::Error {
    io::Error::other("a piece of a snapshot whose beginning did not arrive")
}

impl Transfer {
    async fn write(&mut self, number: u32, data: Bytes) -> io::Result<()> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != number) {
            self.close().await?;
            let path = self.dir.join(format!("{number:06}.sst"));
            self.open = Some((number, File::create_new(&path).await?));
            self.paths.push(path);
        }
        match &mut self.open {
            Some((_, file)) => file.write_all(&data).await,
            None => Ok(()),
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        if let Some((_, mut file)) = self.open.take() {
            file.flush().await?;
            file.sync_all().await?;
        }
        Ok(())
    }

    async fn install(mut self, local: &Local) -> io::Result<Vote> {
        self.close().await?;
        self.files.set_files(std::mem::take(&mut self.paths));
        let snapshot = openraft::alias::SnapshotOf::<Types, _> {
            meta: self.meta,
            snapshot: SnapshotData::Received(self.files),
        };
        let answer = local.raft.install_full_snapshot(self.vote, snapshot).await;
        Ok(answer.map_err(io::Error::other)?.vote)
    }
}

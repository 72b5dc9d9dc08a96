//! One run, from the first line of its history to its verdict.

use std::path::{Path, PathBuf};

use anyhow::Result;
use roomkeeper_client::Client;
use roomkeeper_types::RoomName;

use crate::check::Verdict;
use crate::history::{Event, Recorder, RunInfo, node_log};
use crate::read_back::read_back;
use crate::replay::replay;

/// A run whose history is written into a folder.
#[derive(Debug)]
pub struct Run {
    recorder: Recorder,
    folder: PathBuf,
}

impl Run {
    /// Begins a history in a folder.
    ///
    /// # Errors
    /// As [`Recorder::create`].
    pub fn begin(folder: &Path, info: RunInfo) -> Result<Self> {
        Ok(Self { recorder: Recorder::create(folder, info)?, folder: folder.to_owned() })
    }

    /// Where everybody notes what happens.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Reads the rooms back, takes over what the nodes logged, and judges it all. The load has ended and all
    /// nodes run; `logs` are theirs, in the harness's order.
    ///
    /// # Errors
    /// A room or a log cannot be read, or the history not be written: then there is no verdict. It can be
    /// judged later, as far as it goes, by [`replay`].
    pub async fn judge(self, client: &Client, rooms: &[RoomName], logs: &[PathBuf]) -> Result<Verdict> {
        let read = self.observe(client, rooms, logs).await;
        // Whatever went wrong, what is known is kept.
        self.recorder.finish()?;
        read?;
        replay(&self.folder)
    }

    async fn observe(&self, client: &Client, rooms: &[RoomName], logs: &[PathBuf]) -> Result<()> {
        for (node, log) in logs.iter().enumerate() {
            node_log::take_over(&self.recorder, node, log)?;
        }
        let map = client.cluster_map().await?;
        let urls = &client.config().urls;
        for entry in &map.nodes {
            if let Some(node) = urls.iter().position(|url| *url == entry.url) {
                self.recorder.record(Event::Node { node, id: entry.node });
            }
        }
        read_back(&self.recorder, client, rooms).await
    }
}

//! One node of a development cluster: what it is started with, and its process.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::DevArgs;

/// How long a node may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What became of a node.
pub(super) enum Event {
    /// Its process ended.
    Died { node: u16, status: ExitStatus, ended_by_us: bool },
    /// The pause before it is started again is over.
    Restart { node: u16 },
}

/// What a node is started with; a restart uses the same.
pub(super) struct Plan {
    pub(super) node: u16,
    port: u16,
    data: PathBuf,
    pub(super) log: PathBuf,
}

impl Plan {
    pub(super) fn new(node: u16, args: &DevArgs, data: &Path) -> Self {
        let port = args.port + 10 * node;
        Self { node, port, data: data.join(format!("node{node}")), log: data.join(format!("node{node}.log")) }
    }

    fn address(&self, offset: u16) -> String {
        format!("127.0.0.1:{}", self.port + offset)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address(0))
    }

    pub(super) fn peer(&self) -> String {
        self.address(1)
    }

    pub(super) fn admin(&self) -> String {
        format!("http://{}", self.address(2))
    }

    /// Says at once what a node would otherwise say in its log.
    pub(super) fn check_ports(&self) -> Result<()> {
        for port in self.port..=self.port + 2 {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
                format!("port {port} of node {} is in use; choose another with --port", self.node)
            })?;
        }
        Ok(())
    }

    pub(super) fn last_log_lines(&self, count: usize) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_else(|error| format!("(no log: {error})"));
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

/// A running node.
pub(super) struct Child {
    pid: Pid,
    /// Held open: a node stops when it closes, also when this process was killed.
    input: Option<ChildStdin>,
    stopping: Option<oneshot::Sender<()>>,
    watcher: JoinHandle<()>,
}

impl Child {
    /// Starts a node; the first one founds the cluster and the others join it.
    pub(super) fn start(plan: &Plan, plans: &[Plan], tell: mpsc::Sender<Event>) -> Result<Self> {
        let log = File::options().create(true).append(true).open(&plan.log)?;
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.args(["serve", "--until-stdin-closes"]);
        command.arg("--data-dir").arg(&plan.data);
        command.args(["--listen", &plan.address(0), "--listen-peer", &plan.peer()]);
        command.args(["--listen-admin", &plan.address(2), "--zone", &format!("node{}", plan.node)]);
        if plan.node == 0 {
            command.args(["--bootstrap", "--initial-nodes", &plans.len().to_string()]);
        } else {
            let seeds: Vec<String> =
                plans.iter().filter(|other| other.node != plan.node).map(Plan::peer).collect();
            command.args(["--join", &seeds.join(",")]);
        }
        // A group of its own: Ctrl-C in the terminal reaches us alone, and we stop the nodes in order.
        command.process_group(0).stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let mut child = Command::from(command).spawn().context("cannot start a node")?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).context("the node ended at once")?;
        let input = child.stdin.take();
        let (stopping, mut stopped) = oneshot::channel();
        let node = plan.node;
        let watcher = tokio::spawn(async move {
            if let Ok(status) = child.wait().await {
                let ended_by_us = stopped.try_recv().is_ok();
                // If nobody listens, everything is stopping.
                drop(tell.send(Event::Died { node, status, ended_by_us }).await);
            }
        });
        Ok(Self { pid: Pid::from_raw(pid), input, stopping: Some(stopping), watcher })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Asks the node to stop, and kills it if it does not.
    pub(super) async fn stop(mut self) {
        if self.watcher.is_finished() {
            return;
        }
        if let Some(stopping) = self.stopping.take() {
            // The watcher is gone only when the node is.
            let _ = stopping.send(());
        }
        self.input.take();
        if tokio::time::timeout(STOP_TIMEOUT, &mut self.watcher).await.is_err() {
            println!("pid {} does not stop, killing it", self.pid);
            if let Err(error) = kill(self.pid, Signal::SIGKILL) {
                println!("cannot kill pid {}: {error}", self.pid);
            }
        }
    }
}

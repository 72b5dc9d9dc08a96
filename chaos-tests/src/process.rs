//! One `roomkeeper` process: started, killed, waited for, and never left behind.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use crate::binary;
use crate::guard::{marker, processes::MARKER};

/// How often a process is asked whether it has ended.
const POLL: Duration = Duration::from_millis(10);

/// How to start a process.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    /// Arguments of `roomkeeper`.
    pub args: Vec<String>,
    /// The network namespace to run in, if not the test's own.
    pub namespace: Option<String>,
    /// Environment variables, beside the test's own without those of `roomkeeper`.
    pub env: Vec<(String, String)>,
}

impl Launch {
    /// With these arguments, in the test's own network.
    pub fn of(args: &[impl AsRef<str>]) -> Self {
        Self { args: args.iter().map(|arg| arg.as_ref().to_owned()).collect(), ..Self::default() }
    }
}

/// A running process. Killed when dropped; should this test be killed itself, the closed standard input
/// stops a `serve --until-stdin-closes`, and the next run kills what is left by its marker.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: Pid,
    log: PathBuf,
    _input: Option<ChildStdin>,
}

impl Process {
    /// Starts `roomkeeper`; what it writes goes to the end of `log`.
    ///
    /// # Errors
    /// There is no such program, or no such folder for the log.
    pub fn start(launch: &Launch, log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let program = binary::roomkeeper()?;
        let mut command = match &launch.namespace {
            None => Command::new(program),
            // Becomes the program itself: the process id stays.
            Some(name) => {
                let mut enter = Command::new("nsenter");
                enter.arg(format!("--net=/run/netns/{name}")).arg(program);
                enter
            }
        };
        command.args(&launch.args).stdin(Stdio::piped()).stdout(out.try_clone()?).stderr(out);
        // Settings of whoever runs the tests are not what is tested, unless it is a bug on purpose.
        let is_setting =
            |name: &str| name.starts_with("ROOMKEEPER_") && name != roomkeeper_sabotage::VARIABLE;
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(is_setting) {
                command.env_remove(name);
            }
        }
        command.envs(launch.env.iter().map(|(name, value)| (name, value))).env(MARKER, marker()?);
        let mut child = command.spawn().context("cannot start roomkeeper")?;
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        let input = child.stdin.take();
        Ok(Self { child, pid, log: log.to_owned(), _input: input })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends SIGKILL without waiting for the end.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill9(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("cannot kill pid {}", self.pid))
    }

    /// Sends SIGTERM.
    ///
    /// # Errors
    /// It has ended already.
    pub fn terminate(&mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Sends SIGSTOP: it does nothing more until [`Process::resume`].
    ///
    /// # Errors
    /// It has ended already.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Sends SIGCONT.
    ///
    /// # Errors
    /// It has ended already.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        // While it is not waited for, its number is not given to another process.
        if let Some(status) = self.ended()? {
            bail!("pid {} has ended already: {status}", self.pid);
        }
        kill(self.pid, signal).with_context(|| format!("cannot send {signal} to pid {}", self.pid))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It still runs after `limit`.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() >= end {
                bail!("pid {} still runs after {limit:?}; its log ends:\n{}", self.pid, self.log_tail(20));
            }
            sleep(POLL).await;
        }
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        log_tail(&self.log, lines)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("cannot end pid {}: {error}", self.pid);
        }
    }
}

/// The last lines of a log.
#[must_use]
pub fn log_tail(log: &Path, lines: usize) -> String {
    let text = match std::fs::read(log) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return format!("(no log {}: {error})", log.display()),
    };
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

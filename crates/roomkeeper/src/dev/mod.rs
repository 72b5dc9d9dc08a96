//! `roomkeeper dev`: a cluster on this machine, every node a process of its own, so that one can be killed.

mod child;
mod screen;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use child::{Child, Event, Plan};

/// How long the cluster may take to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Flags of `dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Number of nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    /// Client port of the first node; node k listens on PORT+10k, its peers on +1, operators on +2
    #[arg(long, default_value_t = 7700, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    port: u16,
    /// Folder of the nodes' data and logs; a second run goes on where the first ended
    #[arg(long, default_value = "roomkeeper-dev", value_name = "DIR")]
    data: PathBuf,
    /// Start a node that died again, on the same data, after this long (for example 5s)
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    restart_after: Option<Duration>,
}

/// Runs the cluster until Ctrl-C.
pub(crate) async fn run(args: DevArgs) -> Result<()> {
    std::fs::create_dir_all(&args.data).with_context(|| format!("cannot create {}", args.data.display()))?;
    let data = args.data.canonicalize()?;
    let plans: Vec<Plan> = (0..args.nodes).map(|k| Plan::new(k, &args, &data)).collect();
    for plan in &plans {
        plan.check_ports()?;
    }
    let (tell, mut events) = mpsc::channel(64);
    let mut children = Vec::new();
    for plan in &plans {
        children.push(Child::start(plan, &plans, tell.clone())?);
    }
    println!("Starting {} nodes; data and logs in {}", args.nodes, data.display());

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let http = reqwest::Client::new();
    let ready = wait_ready(&http, &plans);
    tokio::pin!(ready);
    let mut is_ready = false;
    let outcome = loop {
        tokio::select! {
            _ = interrupt.recv() => break Ok(()),
            _ = terminate.recv() => break Ok(()),
            result = &mut ready, if !is_ready => {
                is_ready = true;
                if let Err(error) = result {
                    break Err(error);
                }
                let open = asks_for_no_token(&http, &plans).await;
                screen::show(&plans, &children, open, args.restart_after);
            }
            Some(event) = events.recv() => match event {
                Event::Died { node, status, ended_by_us: false } => {
                    println!("\nnode {node} died ({status})");
                    if !is_ready {
                        let plan = &plans[usize::from(node)];
                        break Err(anyhow::anyhow!("it said:\n{}", plan.last_log_lines(8)));
                    }
                    screen::after_death(&plans[usize::from(node)], args.restart_after);
                    if let Some(pause) = args.restart_after {
                        let tell = tell.clone();
                        tokio::spawn(async move {
                            tokio::time::sleep(pause).await;
                            // If nobody listens, everything is stopping.
                            drop(tell.send(Event::Restart { node }).await);
                        });
                    }
                }
                Event::Died { .. } => {}
                Event::Restart { node } => {
                    let child = Child::start(&plans[usize::from(node)], &plans, tell.clone())?;
                    println!("node {node} started again on the same data, pid {}", child.pid());
                    children[usize::from(node)] = child;
                }
            },
        }
    };
    println!("\nStopping {} nodes …", args.nodes);
    for child in children {
        child.stop().await;
    }
    outcome
}

/// Whether a stranger is answered: the nodes take their settings from the environment.
async fn asks_for_no_token(http: &reqwest::Client, plans: &[Plan]) -> bool {
    let Some(url) = plans.first().map(|plan| format!("{}/v1/cluster", plan.url())) else { return false };
    let answer = http.get(url).timeout(Duration::from_secs(1)).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

async fn wait_ready(http: &reqwest::Client, plans: &[Plan]) -> Result<()> {
    let all = async {
        for plan in plans {
            let url = format!("{}/readyz", plan.url());
            let ready = || async {
                let answer = http.get(&url).timeout(Duration::from_secs(1)).send().await;
                answer.is_ok_and(|answer| answer.status().is_success())
            };
            while !ready().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    if tokio::time::timeout(READY_TIMEOUT, all).await.is_err() {
        let logs: Vec<String> = plans.iter().map(|plan| plan.log.display().to_string()).collect();
        bail!("the cluster was not ready within {READY_TIMEOUT:?}; see {}", logs.join(", "));
    }
    Ok(())
}

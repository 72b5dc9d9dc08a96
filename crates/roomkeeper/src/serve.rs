//! `roomkeeper serve`: one node.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use roomkeeper_cluster::{Node, StartError};
use roomkeeper_gateway::{Gateway, Hub};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError, LogFormat, Overrides, default_file, load};
use crate::metrics;
use crate::stop::{Asked, leave};

/// Why a node does not serve. Each kind has an exit code of its own, so that a supervisor can tell a mistake
/// from an accident.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The configuration makes no sense.
    #[error("{0}\n`roomkeeper config check` checks a configuration without serving")]
    Config(#[from] ConfigError),
    /// A port cannot be opened.
    #[error(
        "cannot listen on {address} ({key}): {source}\nanother process may use the port; choose another one with {key}"
    )]
    Port {
        /// The address.
        address: SocketAddr,
        /// The setting that names it.
        key: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
    /// The data directory or the cluster refuses this node.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The node could not go on.
    #[error("the node stopped: {0}")]
    Failed(String),
    /// Something that the system should not refuse.
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
}

/// Reports why a node does not serve, if it does not.
pub(crate) fn exit(result: Result<(), ServeError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            error.exit_code()
        }
    }
}

impl ServeError {
    /// 3 configuration, 4 port, 5 data directory or cluster, 6 failed while serving, 1 anything else.
    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Config(_) => 3,
            Self::Port { .. } => 4,
            Self::Start(_) => 5,
            Self::Failed(_) => 6,
            Self::System(..) => 1,
        })
    }
}

/// What can be done with a configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether a node could serve with this configuration, and as what
    Check(Box<ServeArgs>),
    /// Print a configuration file with every key at its default, explained
    Default,
}

/// `roomkeeper config`.
pub(crate) fn config(command: ConfigCommand) -> Result<(), ServeError> {
    match command {
        ConfigCommand::Check(args) => {
            let config = args.config()?;
            let node = config.validate()?;
            config.access()?;
            let asked = if config.auth.is_token_needed() { "with a token" } else { "without a token" };
            let url = node.advertise.client_url;
            println!("The configuration is valid: clients reach this node at {url}, {asked}");
        }
        ConfigCommand::Default => print!("{}", default_file()),
    }
    Ok(())
}

/// Flags of `serve` and of `config check`. Each wins over the environment and the file.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// TOML file; `roomkeeper config default` prints one with every key explained
    #[arg(long, env = "ROOMKEEPER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of this node's data
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// What this node fails together with (rack, room, availability zone)
    #[arg(long)]
    zone: Option<String>,
    /// Address for clients
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Address for other nodes
    #[arg(long, value_name = "HOST:PORT")]
    listen_peer: Option<String>,
    /// Address for operators
    #[arg(long, value_name = "HOST:PORT")]
    listen_admin: Option<String>,
    /// URL that clients reach this node by
    #[arg(long, value_name = "URL")]
    advertise: Option<String>,
    /// Address that other nodes reach this node by
    #[arg(long, value_name = "HOST:PORT")]
    advertise_peer: Option<String>,
    /// Found a new cluster (a data directory that has an identity just restarts)
    #[arg(long)]
    bootstrap: bool,
    /// With --bootstrap: serve rooms as soon as so many nodes have joined
    #[arg(long, value_name = "N")]
    initial_nodes: Option<String>,
    /// Join the cluster of these peer addresses, comma-separated
    #[arg(long, value_name = "HOST:PORT,…")]
    join: Option<String>,
    /// Stop when standard input closes (for a parent process)
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

impl ServeArgs {
    /// The configuration that these flags, the environment and the file make.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let flags = [
            ("data_dir", &self.data_dir),
            ("zone", &self.zone),
            ("listen.client", &self.listen),
            ("listen.peer", &self.listen_peer),
            ("listen.admin", &self.listen_admin),
            ("advertise.client", &self.advertise),
            ("advertise.peer", &self.advertise_peer),
            ("cluster.initial_nodes", &self.initial_nodes),
            ("cluster.join", &self.join),
        ];
        let mut given: Overrides =
            flags.into_iter().filter_map(|(path, text)| Some((path, text.clone()?))).collect();
        if self.bootstrap {
            given.push(("cluster.bootstrap", "true".to_owned()));
        }
        let environment = std::env::vars_os()
            .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
        load(self.config.as_deref(), environment, given)
    }
}

/// Serves until a signal, a closed standard input (if asked for) or a failure. The first two let it leave in good
/// order; a second signal does not.
pub(crate) async fn run(args: ServeArgs) -> Result<(), ServeError> {
    let config = args.config()?;
    let node_config = config.validate()?;
    let access = config.access()?;
    start_logging(&config)?;
    if let Some(bug) = roomkeeper_sabotage::chosen() {
        tracing::error!(bug = bug.name(), "SABOTAGED: this process has a bug on purpose and will lose data");
    }

    let listen = |address: SocketAddr, key: &'static str| async move {
        TcpListener::bind(address).await.map_err(|source| ServeError::Port { address, key, source })
    };
    let client = listen(config.listen.client, "listen.client").await?;
    let peer = listen(config.listen.peer, "listen.peer").await?;
    let admin = listen(config.listen.admin, "listen.admin").await?;
    if !config.auth.is_token_needed() {
        tracing::warn!(
            address = %config.listen.client,
            "CLIENTS ARE NOT ASKED FOR A TOKEN (auth.keys): whoever reaches this port on this machine may read and write \
             every room, under any name"
        );
    }

    let asked = Asked::listen(args.until_stdin_closes)
        .map_err(|error| ServeError::System("cannot handle signals", error))?;
    let hub = Hub::new();
    let node = tokio::select! {
        node = Node::start(node_config, peer, hub.clone()) => node?,
        () = asked.stop.cancelled() => return Ok(()),
    };
    let identity = node.identity().clone();
    tracing::info!(node = %identity.node, cluster = %identity.cluster, url = identity.client_url, "serving");

    let stop = CancellationToken::new();
    let gateway = Gateway::new(node.clone(), hub, config.gateway.clone(), access);
    let mut registry = metrics::registry(node.clone());
    gateway.register_metrics(&mut registry);
    let for_operators = crate::admin::router(node.clone()).merge(metrics::router(registry));
    let serving_admin = gateway.serve_admin(admin, for_operators, stop.clone().cancelled_owned());
    let drain = gateway.drain();
    let serving = gateway.serve(client, stop.clone().cancelled_owned());
    let serving = async {
        tokio::select! {
            served = serving => served,
            () = asked.at_once.cancelled() => Ok(()),
        }
    };
    let ending = async {
        let in_good_order = async {
            asked.stop.cancelled().await;
            leave(&node, &drain, config.gateway.drain_timeout).await;
        };
        let failure = tokio::select! {
            why = node.failed() => Some(why),
            () = asked.at_once.cancelled() => None,
            () = in_good_order => None,
        };
        if failure.is_some() {
            // Clients are better off elsewhere at once: nothing can be promised here any more.
            asked.at_once.cancel();
        }
        stop.cancel();
        failure
    };
    let (served, served_admin, failure) = tokio::join!(serving, serving_admin, ending);
    tracing::info!(node = %identity.node, "stopping");
    node.shutdown().await;
    served.and(served_admin).map_err(|error| ServeError::System("the listener failed", error))?;
    match failure {
        Some(why) => Err(ServeError::Failed(why)),
        None => Ok(()),
    }
}

fn start_logging(config: &Config) -> Result<(), ConfigError> {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log.filter)
        .map_err(|error| ConfigError(format!("log.filter: {error}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => builder.json().init(),
    }
    // What the WebSocket library writes at `trace` is every frame and handshake, with the tokens in them.
    log::set_max_level(log::max_level().min(log::LevelFilter::Debug));
    Ok(())
}

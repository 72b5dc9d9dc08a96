//! What the client-side commands share: how to reach a cluster, how to report trouble, how to print.

pub(crate) mod print;
pub(crate) mod trouble;

use std::time::Duration;

use clap::Args;
use roomkeeper_client::protocol::Codec;
use roomkeeper_client::types::{Token, UserId};
use roomkeeper_client::{Client, ClientConfig, ClusterMap, Error};

/// How long a command tries before it says that the cluster is not there.
const FIRST_CONTACT: Duration = Duration::from_secs(3);

/// Flags of every command that talks to a cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConnectArgs {
    /// Client URLs of some nodes, comma-separated; the others are found through them
    #[arg(
        long = "url",
        env = "ROOMKEEPER_URL",
        global = true,
        value_delimiter = ',',
        default_value = "http://127.0.0.1:7700",
        value_name = "URL,…"
    )]
    pub(crate) urls: Vec<String>,
    /// What you prove yourself with, where the cluster asks for it; better in the environment, as a process list shows
    /// command lines
    #[arg(long, env = "ROOMKEEPER_TOKEN", hide_env_values = true, global = true)]
    pub(crate) token: Option<Token>,
}

/// The subprotocol to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CodecArg {
    /// Text frames of JSON
    Json,
    /// Binary frames of protobuf
    Proto,
}

impl From<CodecArg> for Codec {
    fn from(arg: CodecArg) -> Self {
        match arg {
            CodecArg::Json => Self::Json,
            CodecArg::Proto => Self::Proto,
        }
    }
}

impl ConnectArgs {
    /// The settings of a client that starts from these URLs.
    pub(crate) fn config(&self) -> ClientConfig {
        let urls = self.urls.iter().map(|url| url.trim_end_matches('/'));
        let token = self.token.as_ref().map(|token| token.secret().to_owned().into());
        ClientConfig { token, ..ClientConfig::new(urls) }
    }

    /// A client, after a look at whether anyone is there.
    ///
    /// # Errors
    /// Those of [`ConnectArgs::map`].
    pub(crate) async fn client(&self, user: &str) -> Result<Client, Error> {
        self.map().await?;
        let user: UserId = user
            .parse()
            .map_err(|error| Error::BadUrl { url: user.to_owned(), reason: format!("as a user: {error}") })?;
        Client::new(ClientConfig { user: Some(user), ..self.config() })
    }

    /// The cluster as the first node that answers sees it, or within three seconds why nobody does.
    ///
    /// # Errors
    /// The last node's trouble.
    pub(crate) async fn map(&self) -> Result<ClusterMap, Error> {
        let client = Client::new(ClientConfig { deadline: FIRST_CONTACT, ..self.config() })?;
        match client.cluster_map().await {
            Err(Error::Deadline { last: Some(error), .. }) => Err(*error),
            result => result,
        }
    }
}

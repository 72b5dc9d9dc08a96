//! Putting a configuration together: file, then environment, then flags.

use std::path::Path;

use roomkeeper_sabotage as sabotage;
use toml::{Table, Value};

use super::keys::{KEYS, Kind};
use super::{Config, ConfigError};

/// Settings from flags, `path` and text, as the environment would give them.
pub(crate) type Overrides = Vec<(&'static str, String)>;

/// Reads the configuration. Nothing is validated beyond its form.
pub(crate) fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: Overrides,
) -> Result<Config, ConfigError> {
    let mut table = match file {
        Some(path) => read(path)?,
        None => Table::new(),
    };
    let mut unknown_variables = Vec::new();
    for (name, text) in environment {
        // ROOMKEEPER_CONFIG names the file itself, the others are the client commands' own.
        if !name.starts_with("ROOMKEEPER_")
            || ["ROOMKEEPER_CONFIG", "ROOMKEEPER_URL", "ROOMKEEPER_TOKEN"].contains(&name.as_str())
            // A build that can have bugs on purpose knows the variable that chooses one; others refuse it.
            || (name == sabotage::VARIABLE && sabotage::chosen().is_some())
        {
            continue;
        }
        let Some(key) = KEYS.iter().find(|key| key.variable() == name) else {
            unknown_variables.push(name);
            continue;
        };
        let value = value(key.kind, &text).map_err(|why| ConfigError(format!("{name}={text}: {why}")))?;
        set(&mut table, key.path, value)?;
    }
    for (path, text) in flags {
        let kind = KEYS.iter().find(|key| key.path == path).map_or(Kind::Text, |key| key.kind);
        let value = value(kind, &text).map_err(|why| ConfigError(format!("{path} = {text}: {why}")))?;
        set(&mut table, path, value)?;
    }
    let config = Config::deserialize_table(table)?;
    // A variable may have a key of tokens.
    let holds_key = |name: &&String| config.auth.keys.iter().any(|key| key.variable() == Some(name.as_str()));
    match unknown_variables.iter().find(|name| !holds_key(name)) {
        Some(name) => Err(ConfigError(format!(
            "environment variable {name} names no setting; `roomkeeper config default` lists them all"
        ))),
        None => Ok(config),
    }
}

impl Config {
    fn deserialize_table(table: Table) -> Result<Self, ConfigError> {
        table
            .try_into()
            .map_err(|error: toml::de::Error| ConfigError(error.to_string().trim_end().to_owned()))
    }
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("cannot read {}: {error}", path.display())))?;
    // Checked as a whole first: errors then point into the file.
    let at =
        |error: toml::de::Error| ConfigError(format!("{}: {}", path.display(), error.to_string().trim_end()));
    toml::from_str::<Config>(&text).map_err(at)?;
    let table = text.parse().map_err(at)?;
    // What a section's own type lets pass (the protocol's limits ignore what they do not know).
    match unknown("", &table) {
        Some(path_of_key) => Err(ConfigError(format!("{}: unknown key {path_of_key}", path.display()))),
        None => Ok(table),
    }
}

/// The first key that names no setting.
fn unknown(section: &str, table: &Table) -> Option<String> {
    table.iter().find_map(|(name, value)| {
        let path = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
        match value {
            Value::Table(table) => unknown(&path, table),
            _ => (!KEYS.iter().any(|key| key.path == path)).then_some(path),
        }
    })
}

fn value(kind: Kind, text: &str) -> Result<Value, &'static str> {
    match kind {
        Kind::Text => Ok(Value::String(text.to_owned())),
        Kind::Number => text.parse().map(Value::Integer).map_err(|_| "expected a whole number"),
        Kind::Switch => text.parse().map(Value::Boolean).map_err(|_| "expected true or false"),
        Kind::List => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Ok(Value::Array(parts.map(|part| Value::String(part.to_owned())).collect()))
        }
    }
}

fn set(table: &mut Table, path: &'static str, value: Value) -> Result<(), ConfigError> {
    let (parents, name) = match path.rsplit_once('.') {
        Some((parents, name)) => (parents.split('.').collect(), name),
        None => (Vec::new(), path),
    };
    let mut at = table;
    for parent in parents {
        let entry = at.entry(parent).or_insert_with(|| Value::Table(Table::new()));
        at = entry.as_table_mut().ok_or_else(|| ConfigError(format!("{parent} must be a section")))?;
    }
    at.insert(name.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn flags_win_over_environment_and_environment_over_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "zone = 'file'\nweight = 2\n[cluster]\njoin = ['a:1']\n").unwrap();
        let variables = [("ROOMKEEPER_ZONE", "env"), ("ROOMKEEPER_CLUSTER_JOIN", "b:1, c:2"), ("PATH", "x")];
        let flags = vec![("zone", "flag".to_owned())];
        let config = load(Some(file.path()), environment(&variables), flags).unwrap();
        assert_eq!(config.zone.as_deref(), Some("flag"));
        assert_eq!(config.weight, 2);
        assert_eq!(config.cluster.join, ["b:1", "c:2"]);
    }

    #[test]
    fn settings_of_disk_failover_and_raft_reach_the_node() {
        let variables = [
            ("ROOMKEEPER_DISK_RESERVE", "1GiB"),
            ("ROOMKEEPER_DISK_BALLAST", "0"),
            ("ROOMKEEPER_FAILOVER_PING_INTERVAL", "50ms"),
            ("ROOMKEEPER_FAILOVER_SUSPECT_AFTER", "250ms"),
            ("ROOMKEEPER_RAFT_META_HEARTBEAT", "150ms"),
        ];
        let tuning = load(None, environment(&variables), Vec::new()).unwrap().validate().unwrap().tuning;
        assert_eq!((tuning.disk_reserve, tuning.disk_ballast), (1 << 30, 0));
        assert_eq!(tuning.ping_interval.as_millis(), 50);
        assert_eq!(tuning.ping_silence_max.as_millis(), 250);
        assert_eq!(tuning.meta.heartbeat.as_millis(), 150);
    }

    #[test]
    fn unknown_and_unreadable_settings_are_refused_by_name() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "[listen]\nclinet = '127.0.0.1:1'\n").unwrap();
        let error = load(Some(file.path()), [], Vec::new()).unwrap_err().to_string();
        assert!(error.contains("clinet"), "{error}");
        let bad = [
            ("ROOMKEEPER_ZONNE", "a", "ROOMKEEPER_ZONNE"),
            ("ROOMKEEPER_WEIGHT", "heavy", "whole number"),
            ("ROOMKEEPER_CLUSTER_BOOTSTRAP", "maybe", "true or false"),
            ("ROOMKEEPER_LISTEN_CLIENT", "nowhere", "client"),
            ("ROOMKEEPER_GATEWAY_HOLD", "soon", "hold"),
            ("ROOMKEEPER_DISK_RESERVE", "64MB", "'64MB' is no size"),
        ];
        for (name, text, expected) in bad {
            let error = load(None, environment(&[(name, text)]), Vec::new()).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}={text}: {error}");
        }
        assert!(load(Some(Path::new("/no/such/file")), [], Vec::new()).is_err());
    }

    #[test]
    fn variable_that_has_a_key_is_no_unknown_setting() {
        let keys = ("ROOMKEEPER_AUTH_KEYS", "a HS256 env:ROOMKEEPER_KEY_A, b EdDSA file:b.pub");
        let with = |variables: &[(&str, &str)]| load(None, environment(variables), Vec::new());
        let config = with(&[keys, ("ROOMKEEPER_KEY_A", "x"), ("ROOMKEEPER_TOKEN", "t")]).unwrap();
        assert_eq!(config.auth.keys.len(), 2);
        let error = with(&[keys, ("ROOMKEEPER_KEY_C", "canary")]).unwrap_err().to_string();
        assert!(error.contains("ROOMKEEPER_KEY_C") && !error.contains("canary"), "{error}");
        let error = with(&[("ROOMKEEPER_AUTH_KEYS", "a none env:K")]).unwrap_err().to_string();
        assert!(error.contains("EdDSA, RS256 or HS256"), "{error}");
    }

    #[test]
    fn one_limit_alone_can_be_set_and_an_unknown_one_is_refused() {
        let variables = environment(&[("ROOMKEEPER_GATEWAY_LIMITS_MAX_FRAME", "2097152")]);
        let limits = load(None, variables, Vec::new()).unwrap().gateway.limits;
        assert_eq!((limits.max_frame, limits.max_batch), (2_097_152, 1_000));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "[gateway.limits]\nmax_bacth = 3\n").unwrap();
        let error = load(Some(file.path()), [], Vec::new()).unwrap_err().to_string();
        assert!(error.contains("gateway.limits.max_bacth"), "{error}");
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let refused = |flags: &[(&'static str, &str)]| {
            let flags = flags.iter().map(|(path, text)| (*path, (*text).to_owned())).collect();
            load(None, [], flags).unwrap().validate().unwrap_err().to_string()
        };
        let both = refused(&[("cluster.bootstrap", "true"), ("cluster.join", "a:1")]);
        assert!(both.contains("exclude each other"), "{both}");
        let open = refused(&[("listen.peer", "0.0.0.0:7701"), ("advertise.peer", "a:7701")]);
        assert!(open.contains("cluster.secret"), "{open}");
        let public = refused(&[("listen.client", "10.0.0.1:7700")]);
        assert!(public.contains("auth.keys"), "{public}");
        let asking = [("auth.keys", "main HS256 env:KEY"), ("cluster.secret", "s")];
        let unusable = refused(&[&asking[..], &[("listen.client", "0.0.0.0:7700")]].concat());
        assert!(unusable.contains("advertise.client"), "{unusable}");
        let shards = refused(&[("cluster.shards", "5000")]);
        assert!(shards.contains("4096"), "{shards}");
        let silence = refused(&[("failover.suspect_after", "200ms")]);
        assert!(silence.contains("failover.suspect_after is 200 ms"), "{silence}");
        let raft = refused(&[("raft.shard_heartbeat", "2s")]);
        assert!(raft.contains("raft.shard_*"), "{raft}");
        let port = refused(&[("listen.admin", "127.0.0.1:0")]);
        assert!(port.contains("listen.admin"), "{port}");
    }
}

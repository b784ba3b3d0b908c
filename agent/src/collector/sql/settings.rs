//! `sql:` in the configuration: which database, and how it is reached.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use storepulse_shared::batch::Lane;
use storepulse_shared::limits::DEVICE_SERIES_MAX;

use super::super::defaults;
use super::super::secret::Secret;
use super::moment;
use super::query::Query;
use super::statement;

/// Longest name of a zone.
const ZONE_BYTES_MAX: usize = 64;
/// Most queries of a device.
const QUERIES_MAX: usize = 20;

/// `sql:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub(super) engine: Engine,
    /// Of a server: its name or address.
    #[serde(default)]
    pub(super) host: Option<String>,
    /// Of a server; each engine has its own default.
    #[serde(default)]
    pub(super) port: Option<u16>,
    #[serde(default)]
    pub(super) database: Option<String>,
    #[serde(default)]
    pub(super) user: Option<String>,
    #[serde(default)]
    pub(super) password: Option<Secret>,
    #[serde(default)]
    pub(super) tls: Tls,
    /// A certificate authority to trust beside the public ones (PEM).
    #[serde(default)]
    pub(super) ca_file: Option<PathBuf>,
    /// Of SQLite: the file.
    #[serde(default)]
    pub(super) path: Option<PathBuf>,
    /// The zone of times that do not tell theirs, and of the session.
    #[serde(default)]
    pub(super) timezone: Option<String>,
    #[serde(default = "defaults::seconds::<60>", deserialize_with = "crate::config::duration")]
    pub(super) interval: Duration,
    /// To connect and to sign in.
    #[serde(default = "defaults::seconds::<5>", deserialize_with = "crate::config::duration")]
    pub(super) timeout: Duration,
    /// For one query, at the database.
    #[serde(default = "defaults::seconds::<5>", deserialize_with = "crate::config::duration")]
    pub(super) statement_timeout: Duration,
    #[serde(default = "defaults::half_a_second", deserialize_with = "crate::config::duration")]
    pub(super) jitter: Duration,
    #[serde(default = "defaults::normal_lane")]
    pub(super) lane: Lane,
    pub(super) queries: Vec<Query>,
}

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Engine {
    Postgres,
    /// MariaDB as well.
    Mysql,
    Sqlite,
}

/// How the way to a server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tls {
    /// Not at all: whoever listens reads the figures.
    Disable,
    /// Encrypted, with whoever answers.
    Require,
    /// Encrypted, with the server that its certificate says it is.
    #[default]
    Verify,
}

impl Engine {
    const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Sqlite => "sqlite",
        }
    }
}

impl Settings {
    pub(super) fn check_all(&self) -> Result<(), String> {
        if self.engine == Engine::Sqlite {
            self.check_file()?
        } else {
            self.check_server()?
        }
        if !(1..=QUERIES_MAX).contains(&self.queries.len()) {
            return Err(format!("queries: {}, 1 to {QUERIES_MAX}", self.queries.len()));
        }
        let mut series = BTreeSet::new();
        for (at, query) in self.queries.iter().enumerate() {
            let no = at + 1;
            statement::single(&query.sql, self.engine).map_err(|why| format!("query {no}: {why}"))?;
            for name in query.series().map_err(|why| format!("query {no}: {why}"))? {
                if !series.insert(name.clone()) {
                    return Err(format!("query {no}: {name} is given twice"));
                }
            }
        }
        if series.len() > DEVICE_SERIES_MAX {
            return Err(format!("{} series; a device has at most {DEVICE_SERIES_MAX}", series.len()));
        }
        Ok(())
    }

    fn check_file(&self) -> Result<(), String> {
        if self.path.is_none() {
            return Err("sqlite needs `path`".to_owned());
        }
        let of_a_server =
            self.host.is_some() || self.port.is_some() || self.database.is_some() || self.user.is_some();
        if of_a_server || self.password.is_some() || self.ca_file.is_some() {
            return Err("sqlite is a file: `path`, and nothing of a server".to_owned());
        }
        if self.timezone.is_some() && self.east().is_none() {
            return Err("sqlite knows no zones: `timezone` is UTC or an offset such as -04:00".to_owned());
        }
        Ok(())
    }

    fn check_server(&self) -> Result<(), String> {
        let engine = self.engine.name();
        if !cfg!(feature = "till-databases") {
            return Err(format!(
                "{engine} is not in this build of the agent; it needs the cargo feature `till-databases`"
            ));
        }
        if self.path.is_some() {
            return Err(format!("{engine} is a server: `host`, and no `path`"));
        }
        let is_host = |host: &&String| !host.is_empty() && !host.contains(['/', ' ', '@']);
        if self.host.as_ref().filter(is_host).is_none() {
            return Err(format!("{engine} needs `host`, a name or an address"));
        }
        if self.database.is_none() || self.user.is_none() {
            return Err(format!("{engine} needs `database` and `user`"));
        }
        if self.ca_file.is_some() && self.tls != Tls::Verify {
            return Err("ca_file has no use without `tls: verify`".to_owned());
        }
        let is_zone = |zone: &String| {
            (1..=ZONE_BYTES_MAX).contains(&zone.len())
                && zone.bytes().all(|b| b.is_ascii_alphanumeric() || b"_/+:-".contains(&b))
        };
        if !self.timezone.as_ref().is_none_or(is_zone) {
            return Err("timezone: not a zone such as America/Caracas, UTC or -04:00".to_owned());
        }
        Ok(())
    }

    /// Seconds east of Greenwich, if the zone is told so.
    pub(super) fn east(&self) -> Option<f64> {
        let zone = self.timezone.as_ref()?;
        if zone == "UTC" {
            return Some(0.0);
        }
        let (sign, rest) = zone.split_at_checked(1)?;
        let (hours, minutes) = rest.split_once(':')?;
        let seconds = moment::clock(hours.parse().ok()?, minutes.parse().ok()?, 0.0)?;
        match sign {
            "+" => Some(seconds),
            "-" => Some(-seconds),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "queries: [{ sql: 'select 1 as n', metrics: { n: retail.pos.transactions } }]";

    fn check(text: &str) -> Result<(), String> {
        let settings: Settings = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        settings.check_all()
    }

    #[test]
    fn settings_that_do_not_go_together_are_named() {
        for (settings, why) in [
            ("engine: sqlite", "needs `path`"),
            ("engine: sqlite\npath: x\nhost: y", "nothing of a server"),
            ("engine: sqlite\npath: x\ntimezone: America/Caracas", "knows no zones"),
            ("engine: sqlite\npath: x\nqueries: []", "1 to 20"),
            ("engine: mssql\npath: x", "unknown variant"),
            ("engine: sqlite\npath: x\npasword: y", "unknown field"),
        ] {
            let more = if settings.contains("queries") { "" } else { QUERY };
            let error = check(&format!("{settings}\n{more}")).unwrap_err();
            assert!(error.contains(why), "{settings}: {error}");
        }
        check(&format!("engine: sqlite\npath: x\ntimezone: -04:00\n{QUERY}")).unwrap();
    }

    #[cfg(feature = "till-databases")]
    #[test]
    fn a_server_needs_a_host_a_database_and_a_user() {
        let server = "engine: mysql\nhost: till\ndatabase: pos\nuser: storepulse\n";
        check(&format!("{server}{QUERY}")).unwrap();
        check(&format!("{server}timezone: America/Caracas\n{QUERY}")).unwrap();
        for (from, to, why) in [
            ("host: till\n", "", "needs `host`"),
            ("host: till", "host: /run/mysql", "needs `host`"),
            ("user: storepulse", "", "`database` and `user`"),
            ("user:", "path: x\nuser:", "no `path`"),
            ("user:", "tls: require\nca_file: x\nuser:", "no use"),
            ("user:", "timezone: \"x'; drop\"\nuser:", "not a zone"),
        ] {
            let error = check(&format!("{}\n{QUERY}", server.replace(from, to))).unwrap_err();
            assert!(error.contains(why), "{to}: {error}");
        }
    }

    #[cfg(not(feature = "till-databases"))]
    #[test]
    fn a_server_is_refused_by_a_build_without_the_feature() {
        let error = check(&format!("engine: postgres\nhost: x\ndatabase: y\nuser: z\n{QUERY}")).unwrap_err();
        assert!(error.contains("till-databases"), "{error}");
    }

    #[test]
    fn queries_are_checked_where_the_configuration_is_read() {
        for (query, why) in [
            ("{ sql: 'delete from t', metrics: { n: a } }", "query 1: not a SELECT"),
            ("{ sql: 'select 1', metrics: {} }", "no metrics"),
            ("{ sql: 'select 1', metrics: { n: 'a b' } }", "not a metric name"),
            ("{ sql: 'select 1', metrics: { n: a, m: a } }", "a is given twice"),
            (
                "{ sql: 'select 1', metrics: { n: a }, label: { column: n, values: [x] } }",
                "the label and a metric",
            ),
            ("{ sql: 'select 1', metrics: { n: a }, label: { column: l, values: [] } }", "1 to 50"),
            (
                "{ sql: 'select 1', metrics: { n: a }, label: { column: l, values: ['4111111111111111'] } }",
                "13 digits",
            ),
            (
                "{ sql: 'select 1', metrics: { n: a }, label: { column: l, values: ['a b'] } }",
                "1 to 64 letters",
            ),
            ("{ sql: 'select 1', metrics: { n: a }, label: { column: 'a b', values: [x] } }", "label"),
        ] {
            let error = check(&format!("engine: sqlite\npath: x\nqueries: [{query}]")).unwrap_err();
            assert!(error.contains(why), "{query}: {error}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let text = format!("engine: sqlite\npath: x\npassword: hunter2\n{QUERY}");
        let settings: Settings = serde_yaml::from_str(&text).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}

//! `sql:` in the configuration: which database, what is asked, and what the columns mean.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use storepulse_shared::batch::Lane;
use storepulse_shared::limits::DEVICE_SERIES_MAX;
use storepulse_shared::series;

use super::super::secret::Secret;
use super::moment;
use super::statement;

/// Most queries of a device.
const QUERIES_MAX: usize = 20;
/// Most rows of a query with a label.
pub(super) const ROWS_MAX: usize = 50;
/// Longest label.
pub(super) const LABEL_BYTES_MAX: usize = 64;

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
    #[serde(default = "interval", deserialize_with = "crate::config::duration")]
    pub(super) interval: Duration,
    /// To connect and to sign in.
    #[serde(default = "seconds_5", deserialize_with = "crate::config::duration")]
    pub(super) timeout: Duration,
    /// For one query, at the database.
    #[serde(default = "seconds_5", deserialize_with = "crate::config::duration")]
    pub(super) statement_timeout: Duration,
    #[serde(default = "jitter", deserialize_with = "crate::config::duration")]
    pub(super) jitter: Duration,
    #[serde(default = "lane")]
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

/// A question, and what its answer means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    pub sql: String,
    /// By column.
    pub metrics: BTreeMap<String, Target>,
    /// Several rows, told apart by a column.
    #[serde(default)]
    pub label: Option<Label>,
}

/// What a column is a value of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    pub series: String,
    /// The column is a time, and the value how long ago that is.
    pub age: bool,
}

/// The column that tells rows apart.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Label {
    pub column: String,
    /// Name of the label; that of the column if it is not given.
    #[serde(default)]
    pub name: Option<String>,
    /// Every value that is taken.
    #[serde(deserialize_with = "label_values")]
    pub values: BTreeSet<String>,
}

const fn interval() -> Duration {
    Duration::from_secs(60)
}
const fn seconds_5() -> Duration {
    Duration::from_secs(5)
}
const fn jitter() -> Duration {
    Duration::from_millis(500)
}
const fn lane() -> Lane {
    Lane::Normal
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Series(String),
            Full(Full),
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            metric: String,
            #[serde(default)]
            age: bool,
        }
        let (series, age) = match Raw::deserialize(deserializer)? {
            Raw::Series(series) => (series, false),
            Raw::Full(Full { metric, age }) => (metric, age),
        };
        series::check(&series).map_err(D::Error::custom)?;
        Ok(Self { series, age })
    }
}

/// A label holds no free text and nothing that could be the number of a card.
fn label_values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    let values = BTreeSet::<String>::deserialize(deserializer)?;
    if values.is_empty() || values.len() > ROWS_MAX {
        return Err(D::Error::custom(format_args!("{} values, 1 to {ROWS_MAX}", values.len())));
    }
    for value in &values {
        let is_plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:/-".contains(&b));
        if !is_plain || value.is_empty() || value.len() > LABEL_BYTES_MAX || is_card_like(value) {
            return Err(D::Error::custom(
                "a value of a label is 1 to 64 letters, digits or _ . : / - and no number of 13 to 19 digits",
            ));
        }
    }
    Ok(values)
}

fn is_card_like(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit()).any(|digits| (13..=19).contains(&digits.len()))
}

impl Engine {
    /// Where its servers listen.
    pub(super) const fn port(self) -> u16 {
        match self {
            Self::Postgres => 5_432,
            Self::Mysql => 3_306,
            Self::Sqlite => 0,
        }
    }

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
            (1..=LABEL_BYTES_MAX).contains(&zone.len())
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

impl Query {
    /// Whether it is a `show`, whose columns nobody chooses and whose values are text.
    pub(super) fn is_show(&self) -> bool {
        self.sql.trim_start().get(..4).is_some_and(|first| first.eq_ignore_ascii_case("show"))
    }

    /// Every series that it can give.
    fn series(&self) -> Result<Vec<String>, String> {
        if self.metrics.is_empty() {
            return Err("no metrics".to_owned());
        }
        let Some(label) = &self.label else {
            return Ok(self.metrics.values().map(|target| target.series.clone()).collect());
        };
        if self.metrics.contains_key(&label.column) {
            return Err(format!("{:?} is the label and a metric", label.column));
        }
        let mut all = Vec::new();
        for target in self.metrics.values() {
            for value in &label.values {
                all.push(label.compose(&target.series, value)?);
            }
        }
        Ok(all)
    }
}

impl Label {
    /// The series of a row.
    pub(super) fn compose(&self, series: &str, value: &str) -> Result<String, String> {
        let parsed = series::parse(series).map_err(|error| error.to_string())?;
        let name = self.name.as_ref().unwrap_or(&self.column);
        let mut labels: Vec<(&str, &str)> =
            parsed.labels.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        labels.push((name, value));
        series::compose(parsed.metric, &labels).map_err(|error| error.to_string())
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
                "13 to 19",
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
        let label = Label { column: "till".into(), name: None, values: BTreeSet::new() };
        assert_eq!(label.compose("a{z=\"1\"}", "7").unwrap(), "a{till=\"7\",z=\"1\"}");
    }

    #[test]
    fn a_password_is_not_shown() {
        let text = format!("engine: sqlite\npath: x\npassword: hunter2\n{QUERY}");
        let settings: Settings = serde_yaml::from_str(&text).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}

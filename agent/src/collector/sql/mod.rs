//! `sql`: figures out of the till's own database, by queries that stand in the configuration.
//!
//! Three engines: PostgreSQL and MySQL (also MariaDB) through sqlx, SQLite through rusqlite. A query gives one row, or a row
//! for each value of a label from a closed list; its columns become values of series. Nothing else leaves the database.
//!
//! That nothing is written is held by the database: a read-only transaction, or a file that is opened for reading.
//! [`statement`] checks before that a query is one statement that reads. The time of a statement is limited by the database
//! as well, so that what we gave up does not go on working there. [`answer`] is what all engines have in common, [`moment`]
//! what a time is, [`wire`] how the servers' binary values are read.

mod answer;
mod moment;
#[cfg(feature = "till-databases")]
mod mysql;
#[cfg(feature = "till-databases")]
mod postgres;
mod query;
#[cfg(feature = "till-databases")]
mod server;
mod settings;
mod sqlite;
mod statement;
#[cfg(test)]
mod tests;
mod wire;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use storepulse_shared::batch::Lane;

use self::answer::Answer;
use self::query::Query;
use self::settings::Engine;
pub(super) use self::settings::Settings;
use super::fault::{Fault, FaultKind};
use super::parse::{Subject, outcome};
use super::poll::{self, Probe, Reading, Schedule};
use super::{About, Collector, Context, Sink};

/// What a reading may take beyond its queries.
const GRACE: Duration = Duration::from_secs(2);

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "Figures out of the till's own database (PostgreSQL, MySQL, MariaDB, SQLite), by queries that you write. Nothing is ever written: a server is asked in read-only transactions, a file is opened for reading.",
        example: include_str!("example.yaml"),
        metrics: &[
            "retail.pos.database.duration",
            "retail.pos.last_transaction.age",
            "retail.pos.sales",
            "retail.pos.transactions",
        ],
        events: &[],
        limits: &[
            "A query is one SELECT, WITH, SHOW or VALUES. It gives one row, or up to 50 with a `label`, whose values are a closed list. At most 20 queries.",
            "Every column must be named in `metrics` or be the label; a query with other columns is refused before a row is read. Columns are numbers or booleans; with `age: true` also times, and numbers that count seconds or milliseconds since 1970. NULL is no value.",
            "Ages are by the clock of the server (SQLite: of the box). A time without a zone needs `timezone`; MySQL takes its own zone if there is none.",
            "Give it a user of its own that may read these tables and nothing else: a function on a server can do more than write rows.",
            "`tls: require` encrypts, and does not prove who answers; such a server could ask for the password. `verify` proves it.",
            "MySQL's `caching_sha2_password` needs TLS.",
            "SQLite in WAL mode is read only while the till has the file open, since reading it otherwise would make files. Without WAL the till cannot commit while a query runs: keep it short.",
            "What a database says of an error is not shown, as it can quote what stands in it; its code is.",
            "Microsoft SQL Server is not read.",
        ],
        untested: &["MySQL (MariaDB was), and servers behind a connection pool"],
    };
    const SUBJECTS: &'static [Subject] = &[wire::NUMERIC, wire::DATETIME, MOMENT];

    fn lane(&self) -> Lane {
        self.lane
    }

    fn target(&self) -> Option<String> {
        match &self.path {
            Some(file) => Some(file.display().to_string()),
            None => {
                let (host, port) = server::target(self);
                Some(format!("{host}:{port}"))
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        self.check_all()
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        let password = self.password.as_mut().and_then(super::secret::Secret::path_mut);
        [password, self.ca_file.as_mut(), self.path.as_mut()].into_iter().flatten().collect()
    }

    async fn run(&self, ctx: &Context) {
        let queries = u32::try_from(self.queries.len()).unwrap_or(u32::MAX);
        let schedule = Schedule {
            interval: self.interval,
            timeout: self.timeout + self.statement_timeout.saturating_mul(queries) + GRACE,
            jitter: self.jitter,
        };
        match Till::new(self.clone(), ctx.sink.clone()) {
            Ok(mut till) => poll::run(schedule, ctx, &mut till).await,
            Err(why) => ctx.sink.error(FaultKind::Internal, why),
        }
    }
}

const MOMENT: Subject = Subject {
    name: "sql/moment",
    vectors: &[
        b"2026-11-21",
        b"2026-11-21 10:30:00",
        b"2026-11-21T10:30:00.250Z",
        b"2026-11-21 10:30:00-04:00",
        b"yesterday",
    ],
    outcomes: &["instant", "local", "need", "parse"],
    outcome: |bytes| {
        outcome(moment::parse(bytes), |moment| match moment {
            moment::Moment::Instant(_) => "instant",
            moment::Moment::Local(_) => "local",
        })
    },
};

/// The database, and what it is asked.
struct Till {
    way: Way,
    /// As it is sent, and what it means.
    queries: Vec<(String, Query)>,
    sink: Sink,
}

enum Way {
    File(sqlite::File),
    #[cfg(feature = "till-databases")]
    Server(Box<server::Server>),
}

impl Till {
    fn new(settings: Settings, sink: Sink) -> Result<Self, String> {
        let one = |query: &Query| Ok((statement::single(&query.sql, settings.engine)?, query.clone()));
        let queries = settings.queries.iter().map(one).collect::<Result<_, String>>()?;
        let way = match settings.engine {
            Engine::Sqlite => {
                let path = settings.path.clone().ok_or("sqlite needs `path`")?;
                Way::File(sqlite::File::new(path, settings.statement_timeout, settings.east()))
            }
            #[cfg(feature = "till-databases")]
            Engine::Postgres | Engine::Mysql => Way::Server(Box::new(server::Server::new(settings))),
            #[cfg(not(feature = "till-databases"))]
            Engine::Postgres | Engine::Mysql => return Err("not in this build".to_owned()),
        };
        Ok(Self { way, queries, sink })
    }

    /// An answer for each query, up to the first after which no other can be asked.
    async fn ask(&mut self) -> Result<Vec<Result<Answer, Fault>>, Fault> {
        match &mut self.way {
            Way::File(file) => file.ask(&self.queries).await,
            #[cfg(feature = "till-databases")]
            Way::Server(server) => server.ask(&self.queries).await,
        }
    }
}

impl Probe for Till {
    async fn read(&mut self) -> Result<Reading, Fault> {
        let begun = Instant::now();
        let answers = self.ask().await?;
        let took = begun.elapsed().as_secs_f64();
        let (mut reading, mut faults, mut answered) = (Reading::default(), Vec::new(), 0);
        for (at, (answer, (_, query))) in answers.into_iter().zip(&self.queries).enumerate() {
            let of_query = |fault: Fault| Fault::new(fault.kind, format!("query {}: {}", at + 1, fault.text));
            match answer {
                Ok(answer) => {
                    let (values, unread) = answer::values(query, &answer);
                    answered += usize::from(unread.is_empty() || !values.is_empty());
                    reading.values.extend(values);
                    faults.extend(unread.into_iter().map(of_query));
                }
                Err(fault) => faults.push(of_query(fault)),
            }
        }
        if answered == 0 {
            let first = faults.into_iter().next();
            return Err(first.unwrap_or_else(|| Fault::new(FaultKind::Internal, "nothing was asked")));
        }
        // One query that fails does not take the others with it.
        for fault in faults {
            self.sink.error(fault.kind, fault.text);
        }
        reading.value("retail.pos.database.duration", (took * 1_000.0).round() / 1_000.0);
        Ok(reading)
    }
}

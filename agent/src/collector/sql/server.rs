//! What PostgreSQL and MySQL have in common: one connection, kept while all goes well and closed on any error, every query in
//! a transaction of its own that the server holds to reading, and every error told by its code alone.
//!
//! A server's own message can quote what stands in its tables, so it is dropped here. sqlx trusts a server's framing and
//! panics on some of what is none; that is caught, and is an error of this device like any other.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use sqlx::mysql::{MySqlConnection, MySqlDatabaseError};
use sqlx::postgres::PgConnection;

use super::super::fault::{Fault, FaultKind};
use super::answer::Answer;
use super::query::Query;
use super::settings::{Engine, Settings};
use super::{mysql, postgres};

/// How long after its own limit a query may still answer.
const GRACE: Duration = Duration::from_secs(1);

/// A till's server.
pub(super) struct Server {
    settings: Settings,
    /// It is taken out to be used, so that whoever is told to stop in the middle closes it.
    kept: Option<Session>,
}

enum Session {
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

type Answers = Vec<Result<Answer, Fault>>;

impl Server {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, kept: None }
    }

    /// Asks all queries.
    pub(super) async fn ask(&mut self, queries: &[(String, Query)]) -> Result<Answers, Fault> {
        let asked = AssertUnwindSafe(self.ask_within(queries)).catch_unwind().await;
        asked.unwrap_or_else(|_| {
            Err(Fault::new(FaultKind::Framing, "the server's answer is not of its protocol"))
        })
    }

    async fn ask_within(&mut self, queries: &[(String, Query)]) -> Result<Answers, Fault> {
        if let Some(session) = self.kept.take() {
            match self.ask_all(session, queries).await {
                // It was closed since the last reading: a server that has been started again is there.
                Err(fault) if fault.kind == FaultKind::Refused => {}
                told => return told,
            }
        }
        let session = self.connect().await?;
        self.ask_all(session, queries).await
    }

    async fn connect(&self) -> Result<Session, Fault> {
        let (settings, timeout) = (&self.settings, self.settings.timeout);
        let connected = async {
            Ok(match settings.engine {
                Engine::Postgres => Session::Postgres(postgres::connect(settings).await?),
                _ => Session::Mysql(mysql::connect(settings).await?),
            })
        };
        let late = |_| {
            let timeout = humantime::format_duration(timeout);
            Err(Fault::new(FaultKind::Timeout, format!("not connected and signed in within {timeout}")))
        };
        tokio::time::timeout(timeout, connected).await.unwrap_or_else(late)
    }

    async fn ask_all(&mut self, mut session: Session, queries: &[(String, Query)]) -> Result<Answers, Fault> {
        let mut answers = Answers::new();
        for (sql, query) in queries {
            let limit = self.settings.statement_timeout;
            let asked = tokio::time::timeout(limit + GRACE, session.ask(sql, query, &self.settings)).await;
            let late = |_| Err(Fault::new(FaultKind::Timeout, "the server does not answer any more"));
            let answer = asked.unwrap_or_else(late);
            match answer {
                // Nothing is wrong with the server: the others are asked.
                Err(fault) if is_of_the_query(fault.kind) => {
                    session.rollback().await?;
                    answers.push(Err(fault));
                }
                Err(fault) => return Err(fault),
                Ok(answer) => answers.push(Ok(answer)),
            }
        }
        if answers.iter().all(Result::is_ok) {
            self.kept = Some(session);
        }
        Ok(answers)
    }
}

impl Session {
    async fn ask(&mut self, sql: &str, query: &Query, settings: &Settings) -> Result<Answer, Fault> {
        match self {
            Self::Postgres(connection) => postgres::ask(connection, sql, query, settings).await,
            Self::Mysql(connection) => mysql::ask(connection, sql, query).await,
        }
    }

    async fn rollback(&mut self) -> Result<(), Fault> {
        let rolled_back = async {
            match self {
                Self::Postgres(connection) => sqlx::raw_sql("rollback").execute(connection).await.map(drop),
                Self::Mysql(connection) => sqlx::raw_sql("rollback").execute(connection).await.map(drop),
            }
        };
        match tokio::time::timeout(GRACE, rolled_back).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(fault(&error)),
            Err(_) => Err(Fault::new(FaultKind::Timeout, "the server does not answer any more")),
        }
    }
}

const fn is_of_the_query(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Exception | FaultKind::Parse | FaultKind::TooLarge | FaultKind::Denied)
}

/// Where the server listens.
pub(super) fn target(settings: &Settings) -> (&str, u16) {
    let usual = match settings.engine {
        Engine::Postgres => 5_432,
        _ => 3_306,
    };
    (settings.host.as_deref().unwrap_or_default(), settings.port.unwrap_or(usual))
}

/// Whether its name is one: sqlx does not tell that apart from a server that is not there.
pub(super) async fn resolve(settings: &Settings) -> Result<(), Fault> {
    let target = target(settings);
    let unknown = |why: String| Fault::new(FaultKind::Dns, format!("{}: {why}", target.0));
    let mut found = tokio::net::lookup_host(target).await.map_err(|error| unknown(error.to_string()))?;
    found.next().map(drop).ok_or_else(|| unknown("no address".to_owned()))
}

/// The password as it is needed now.
pub(super) fn password(settings: &Settings) -> Result<String, Fault> {
    settings.password.as_ref().map_or_else(|| Ok(String::new()), |secret| secret.read())
}

const NO_TLS: &str = "no TLS with this server: its certificate must be of a known authority (`ca_file`) and of this name; one without TLS needs `tls: disable`";

/// What an error of sqlx means.
pub(super) fn fault(error: &sqlx::Error) -> Fault {
    match error {
        sqlx::Error::Database(told) => {
            let number = told.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number);
            refusal(told.code().as_deref().unwrap_or_default(), number)
        }
        sqlx::Error::Tls(_) => Fault::new(FaultKind::Tls, NO_TLS),
        // The handshake is done within reads and writes.
        sqlx::Error::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            Fault::new(FaultKind::Tls, NO_TLS)
        }
        sqlx::Error::Io(error) => {
            Fault::new(FaultKind::Refused, format!("the connection failed: {}", error.kind()))
        }
        sqlx::Error::Protocol(_) => Fault::new(
            FaultKind::Framing,
            "the server's answer is not of its protocol, or it wants TLS to sign in",
        ),
        sqlx::Error::Configuration(_) => {
            Fault::new(FaultKind::Unsupported, "sqlx cannot do what is configured")
        }
        _ => Fault::new(FaultKind::Parse, "the server's answer is not understood"),
    }
}

/// The codes: SQLSTATE (PostgreSQL's manual, appendix A), and MySQL's and MariaDB's own numbers.
fn refusal(state: &str, number: Option<u16>) -> Fault {
    let kind = match number {
        Some(1_044 | 1_045 | 1_142 | 1_143 | 1_227 | 1_370 | 1_698) => FaultKind::Denied,
        Some(1_040 | 1_053 | 1_129 | 1_130 | 1_203 | 1_226) => FaultKind::Refused,
        Some(1_205 | 1_317 | 1_969 | 3_024) => FaultKind::Timeout,
        Some(_) => FaultKind::Exception,
        None => match state {
            "28000" | "28P01" | "42501" => FaultKind::Denied,
            "55P03" | "57014" => FaultKind::Timeout,
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => FaultKind::Refused,
            _ if state.starts_with("53") || state.starts_with("08") => FaultKind::Refused,
            _ => FaultKind::Exception,
        },
    };
    let what = match (kind, state, number) {
        (FaultKind::Denied, ..) => "this user may not, or the password is wrong",
        (FaultKind::Timeout, ..) => "ended by the server: it took too long",
        (FaultKind::Refused, ..) => "the server takes no connection now",
        (_, "25006", _) | (_, _, Some(1_792)) => "refused: it would write",
        (_, "42P01" | "42S02", _) => "there is no such table",
        (_, "42703" | "42S22", _) => "there is no such column",
        (_, "3D000", _) | (_, _, Some(1_049)) => "there is no such database",
        (_, "42601" | "42000", _) => "it is not SQL to this server",
        _ => "the server refuses it",
    };
    let number = number.map(|number| format!(", error {number}")).unwrap_or_default();
    // Five letters and digits by its definition; whatever else a server sends is not repeated.
    let is_code = state.len() == 5 && state.bytes().all(|b| b.is_ascii_alphanumeric());
    Fault::new(kind, format!("{what} (SQLSTATE {}{number})", if is_code { state } else { "?" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_by_their_code() {
        for (state, number, kind, text) in [
            ("28P01", None, FaultKind::Denied, "password"),
            ("57014", None, FaultKind::Timeout, "too long"),
            ("57P01", None, FaultKind::Refused, "SQLSTATE 57P01"),
            ("25006", None, FaultKind::Exception, "would write"),
            ("42P01", None, FaultKind::Exception, "no such table"),
            ("28000", Some(1_045), FaultKind::Denied, "error 1045"),
            ("70100", Some(1_969), FaultKind::Timeout, "too long"),
            ("25006", Some(1_792), FaultKind::Exception, "would write"),
            ("41111111", None, FaultKind::Exception, "SQLSTATE ?"),
        ] {
            let fault = refusal(state, number);
            assert_eq!(fault.kind, kind, "{state}");
            assert!(fault.text.contains(text), "{}", fault.text);
        }
    }
}

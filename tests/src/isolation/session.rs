//! A login at the database, and statements of any text on it: what somebody could do who has the role's password.
//!
//! Statements here are put together from text on purpose: they are attacks, and their tables come from the catalogue.
//! They go over the simple protocol, so that every value comes back as text and can be searched.

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError};
use sqlx::{AssertSqlSafe, Connection as _, Either, Executor as _, Row as _};

/// What the server answered to a statement.
#[derive(Debug, Default)]
pub struct Reply {
    /// Rows of columns, as text.
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows written, or read.
    pub affected: u64,
    /// Why it did nothing.
    pub refusal: Option<Refusal>,
}

/// An error of the server.
#[derive(Debug)]
pub struct Refusal {
    /// SQLSTATE.
    pub code: String,
    /// All that it says: message, detail, hint and context.
    pub text: String,
}

impl Reply {
    /// The SQLSTATE, or an empty text.
    pub(super) fn code(&self) -> &str {
        self.refusal.as_ref().map_or("", |refusal| &refusal.code)
    }

    /// Everything that it shows, on as many lines as it has rows.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for value in self.rows.iter().flatten().flatten() {
            text.push_str(value);
            text.push('\n');
        }
        if let Some(refusal) = &self.refusal {
            text.push_str(&refusal.text);
        }
        text
    }

    /// The first column of every row.
    pub(super) fn column(self) -> Vec<String> {
        self.rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
    }
}

/// A connection as one role.
#[derive(Debug)]
pub struct Session {
    connection: PgConnection,
}

impl Session {
    /// Logs in.
    ///
    /// # Errors
    /// The server refused.
    pub async fn open(login: &PgConnectOptions) -> anyhow::Result<Self> {
        Ok(Self { connection: PgConnection::connect_with(login).await? })
    }

    /// Runs what must succeed.
    ///
    /// # Errors
    /// The server refused.
    pub async fn run(&mut self, statement: &str) -> anyhow::Result<Reply> {
        let reply = self.send(statement).await?;
        match reply.refusal {
            Some(refusal) => anyhow::bail!("{} {}: {statement}", refusal.code, refusal.text),
            None => Ok(reply),
        }
    }

    /// Runs whatever it is; a refusal of the server is an answer too.
    pub(super) async fn send(&mut self, statement: &str) -> anyhow::Result<Reply> {
        let mut reply = Reply::default();
        let mut answers = self.connection.fetch_many(sqlx::raw_sql(AssertSqlSafe(statement)));
        loop {
            match answers.try_next().await {
                Ok(None) => return Ok(reply),
                Ok(Some(Either::Left(done))) => reply.affected += done.rows_affected(),
                Ok(Some(Either::Right(row))) => {
                    let text = |at| anyhow::Ok(row.try_get_raw(at)?.as_str().ok().map(str::to_owned));
                    reply.rows.push((0..row.len()).map(text).collect::<Result<_, _>>()?);
                }
                Err(error) => {
                    reply.refusal = Some(refusal(error).with_context(|| statement.to_owned())?);
                    return Ok(reply);
                }
            }
        }
    }

    /// Runs it in a transaction bound to a tenant, or to none, and takes everything back.
    pub(super) async fn attempt(&mut self, tenant: Option<&str>, statement: &str) -> anyhow::Result<Reply> {
        self.run("begin").await?;
        if let Some(tenant) = tenant {
            self.run(&format!("select set_config('app.tenant_id', {}, true)", quote(tenant))).await?;
        }
        let reply = self.send(statement).await?;
        self.run("rollback").await?;
        Ok(reply)
    }

    /// `COPY … FROM STDIN`, with nothing to copy: does the server let it begin?
    pub(super) async fn copy_in(&mut self, table: &str) -> anyhow::Result<Reply> {
        let refusal = match self.connection.copy_in_raw(&format!("copy {table} from stdin")).await {
            Ok(copy) => {
                copy.abort("only tried").await?;
                None
            }
            Err(error) => Some(refusal(error)?),
        };
        Ok(Reply { refusal, ..Reply::default() })
    }

    /// What `COPY … TO STDOUT` gives in a transaction bound to a tenant. The connection ends with it: sqlx loses its place
    /// in the protocol when the server refuses.
    pub(super) async fn copy_out(mut self, tenant: &str, what: &str) -> anyhow::Result<Reply> {
        self.run("begin").await?;
        self.run(&format!("select set_config('app.tenant_id', {}, true)", quote(tenant))).await?;
        let refusal = match self.connection.copy_out_raw(&format!("copy {what} to stdout")).await {
            Ok(chunks) => {
                let chunks: Vec<_> = chunks.try_collect().await?;
                let text = String::from_utf8_lossy(&chunks.concat()).into_owned();
                return Ok(Reply { rows: vec![vec![Some(text)]], ..Reply::default() });
            }
            Err(error) => Some(refusal(error)?),
        };
        Ok(Reply { refusal, ..Reply::default() })
    }

    /// Says goodbye.
    ///
    /// # Errors
    /// The connection was broken.
    pub async fn close(self) -> anyhow::Result<()> {
        Ok(self.connection.close().await?)
    }
}

/// What the server said; any other error ends the suite.
fn refusal(error: sqlx::Error) -> anyhow::Result<Refusal> {
    let sqlx::Error::Database(error) = error else { return Err(error.into()) };
    let error = error.downcast_ref::<PgDatabaseError>();
    let parts = [Some(error.message()), error.detail(), error.hint(), error.r#where()];
    Ok(Refusal {
        code: error.code().to_owned(),
        text: parts.into_iter().flatten().collect::<Vec<_>>().join("; "),
    })
}

/// A literal.
#[must_use]
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

//! Keys that are not remembered are looked up together: who asks while a look-up is under way comes with the next one.
//!
//! When a fleet returns, ten thousand keys are asked for within seconds. One at a time they would wait for a connection of the
//! database longer than anybody waits for an answer; together they are a few dozen statements on one connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::KeyRow;
use super::cache::AsOf;
use super::sql::{self, Found, Sought};
use crate::app::App;
use crate::problem::ApiError;

/// Keys in one statement.
const CHUNK: usize = 256;
/// How long a statement may take: as long as one waits for a connection.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// Who may wait to be taken up; beyond it, one waits to wait.
const WAITING_MAX: usize = 1_024;

/// Where keys are asked for.
#[derive(Debug)]
pub(crate) struct Lookups(mpsc::Sender<Waiting>);

/// Who has asked for a key.
#[derive(Debug)]
pub(crate) struct Waiting {
    sought: Sought,
    answer: oneshot::Sender<Answer>,
}

/// The row, or none; the error is everybody's who asked in the same statement.
type Answer = Result<Option<Arc<KeyRow>>, Arc<sqlx::Error>>;

impl Lookups {
    /// And what is asked there, for [`answer`].
    pub(crate) fn new() -> (Self, mpsc::Receiver<Waiting>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), receiver)
    }

    /// The row of an active key, as the database has it after this was asked.
    pub(super) async fn find(&self, sought: Sought) -> Result<Option<Arc<KeyRow>>, ApiError> {
        let ended = || ApiError::Internal(anyhow::anyhow!("nobody looks keys up any more"));
        let (answer, answered) = oneshot::channel();
        self.0.send(Waiting { sought, answer }).await.map_err(|_| ended())?;
        match answered.await.map_err(|_| ended())? {
            Ok(row) => Ok(row),
            Err(error) if matches!(*error, sqlx::Error::PoolTimedOut) => {
                Err(sqlx::Error::PoolTimedOut.into())
            }
            Err(error) => {
                Err(ApiError::Internal(anyhow::Error::new(error).context("keys cannot be looked up")))
            }
        }
    }
}

/// Until nothing is served any more.
pub(crate) async fn answer(app: Arc<App>, mut asked: mpsc::Receiver<Waiting>, served: CancellationToken) {
    let mut chunk = Vec::with_capacity(CHUNK);
    loop {
        tokio::select! {
            () = served.cancelled() => return,
            count = asked.recv_many(&mut chunk, CHUNK) => if count == 0 { return },
        }
        let (sought, answers): (Vec<_>, Vec<_>) =
            chunk.drain(..).map(|Waiting { sought, answer }| (sought, answer)).unzip();
        let as_of = app.keys.as_of();
        let found: Vec<Answer> = match look_up(&app, &sought).await {
            Ok(found) => {
                let rows = sought.iter().zip(found).map(|(key, found)| remember(&app, key, found, as_of));
                rows.map(Ok).collect()
            }
            Err(error) => {
                let error = Arc::new(error);
                sought.iter().map(|_| Err(Arc::clone(&error))).collect()
            }
        };
        for (answer, found) in answers.into_iter().zip(found) {
            // Who has gone away needs no answer.
            drop(answer.send(found));
        }
    }
}

async fn look_up(app: &App, sought: &[Sought]) -> Result<Vec<Option<Found>>, sqlx::Error> {
    let mut look = app.db.look().await?;
    if let Ok(found) = tokio::time::timeout(LOOK_MAX, sql::find_keys(&mut look, sought)).await {
        return found;
    }
    // The others who ask need another connection than one that does not answer.
    look.give_up();
    Err(sqlx::Error::PoolTimedOut)
}

fn remember(app: &App, key: &Sought, found: Option<Found>, as_of: AsOf) -> Option<Arc<KeyRow>> {
    let Some(found) = found else {
        app.keys.remove(&key.hash);
        return None;
    };
    let row = KeyRow::of(found, key.hash, app);
    if row.closed.is_none() {
        app.key_uses.note(&row.auth.tenant, key.hash);
    }
    Some(app.keys.put(key.hash, row, as_of))
}

//! What this process remembers of tenants, stores, keys, plans and operators is not believed any more once the database tells of
//! a change; nor are series and streams of a tenant that was erased or restored. While nobody can tell, keys are as old as their
//! own time to live allows, and series are looked up anew every second.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::db::{Changed, Changes};

/// How long until it is tried again to listen.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Until shutdown.
pub(crate) async fn follow(app: Arc<App>, shutdown: CancellationToken) {
    let mut was_told = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            opened = app.db.changes() => match opened {
                Ok(mut changes) => {
                    was_told = false;
                    app.metrics.listening.set(1);
                    let ended = tokio::select! {
                        () = shutdown.cancelled() => None,
                        error = listen(&app, &mut changes) => Some(error),
                    };
                    app.metrics.listening.set(0);
                    changes.close().await;
                    let Some(error) = ended else { return };
                    tracing::warn!(%error, "the database does not tell of changes any more; listening again");
                }
                Err(error) => {
                    if !was_told {
                        tracing::error!(%error, "cannot listen for changes; revocations take two seconds longer");
                    }
                    was_told = true;
                }
            }
        }
        forget(&app, &Changed::Everything).await;
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(RETRY_EVERY) => {}
        }
    }
}

async fn listen(app: &App, changes: &mut Changes) -> sqlx::Error {
    // What was told before we listened is lost.
    forget(app, &Changed::Everything).await;
    loop {
        match changes.next().await {
            Ok(changed) => forget(app, &changed).await,
            Err(error) => return error,
        }
    }
}

async fn forget(app: &App, changed: &Changed) {
    match changed {
        Changed::Everything => {
            app.keys.doubt(|_| true);
            app.operators.doubt(|_| true);
            app.people.doubt(|_| true);
            app.db.doubt_all_rows();
        }
        Changed::Tenants { about, data } => {
            app.keys.doubt(|row| about.contains(row.tenant()));
            app.people.doubt(|person| about.contains(person.tenant.as_str()));
            for tenant in data.iter().filter_map(|id| id.parse().ok()) {
                app.db.doubt_rows_of(tenant);
            }
        }
    }
    if matches!(changed, Changed::Everything)
        && let Err(error) = app.signing.load(&app.db).await
    {
        tracing::warn!(%error, "the keys that sign access tokens could not be read; the known ones stay");
    }
    if let Err(error) = app.resolution.load(&app.db).await {
        tracing::warn!(%error, "the tenants' own domains could not be read; the known ones stay");
    }
}

//! Asking the database what tenants with daily quotas have sent today, in the background.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::allowance::unix_s;
use super::quota::READ_EVERY;
use super::sql;
use crate::app::App;

/// How long after the first charge: what is under way then has mostly been stored.
const SOON: Duration = Duration::from_secs(1);

/// Until shutdown: when somebody is charged whose day counts, but not more often than [`READ_EVERY`].
pub(crate) async fn read_now_and_then(app: Arc<App>, shutdown: CancellationToken) {
    let mut not_before = Instant::now();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = async {
                app.limiter.asked.notified().await;
                sleep_until(not_before.max(Instant::now() + SOON)).await;
            } => {}
        }
        not_before = Instant::now() + READ_EVERY;
        if let Err(error) = read(&app).await {
            tracing::warn!(%error, "what tenants have sent today could not be read; it is tried again");
        }
    }
}

async fn read(app: &App) -> Result<(), sqlx::Error> {
    for (tenant, quota) in app.limiter.quotas() {
        let began = unix_s();
        let Some(own) = quota.before_reading(began) else { continue };
        let read = async {
            let mut tx = app.db.tenant(&tenant).await?;
            let sent = sql::sent_today(&mut tx).await?;
            tx.rollback().await?;
            Ok(sent)
        };
        match read.await {
            Ok(stored) => quota.has_read(own, stored, began),
            Err(error) => {
                quota.was_not_read(began);
                return Err(error);
            }
        }
    }
    Ok(())
}

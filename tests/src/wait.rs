//! Waiting for a condition, with a deadline; nothing here sleeps and hopes.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until `condition` gives something, and returns that.
///
/// # Errors
/// It did not within `limit`; the error says what was waited for, and the last failure of the condition, if any.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let last = match condition().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if Instant::now() > deadline {
            let last = last.map(|e| format!(": {e:#}")).unwrap_or_default();
            anyhow::bail!("waited {limit:?} in vain for {what}{last}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

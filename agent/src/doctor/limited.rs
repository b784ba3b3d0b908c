//! Whatever is looked at has a limit in time; what does not come back within it has failed.
//!
//! What waits in the kernel, for a disk or a name server, cannot be given up: it has a thread of its own, which is left behind
//! and ends with the process.

use std::time::Duration;

use tokio::sync::oneshot;

/// Runs what blocks on a thread of its own; `None` if it takes longer than this.
pub(super) async fn blocking<T: Send + 'static>(
    limit: Duration,
    look: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, result) = oneshot::channel();
    let name = "doctor".to_owned();
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        // Nobody waits for it any more if that fails.
        let _ = done.send(look());
    });
    thread.ok()?;
    tokio::time::timeout(limit, result).await.ok()?.ok()
}

/// The addresses of a name; the resolver's own patience may be half a minute.
///
/// # Errors
/// What the resolver says, or that it says nothing.
pub(super) async fn resolve(
    host: &str,
    port: u16,
    limit: Duration,
) -> Result<Vec<std::net::SocketAddr>, String> {
    use std::net::ToSocketAddrs as _;
    let target = (host.trim_matches(['[', ']']).to_owned(), port);
    let looked = move || target.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    match blocking(limit, looked).await {
        None => Err(format!("no name server answers within {}", humantime::format_duration(limit))),
        Some(Err(error)) => Err(error.to_string()),
        Some(Ok(found)) if found.is_empty() => Err("the name has no address".to_owned()),
        Some(Ok(found)) => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_hangs_is_left_behind() {
        let hangs = || std::thread::sleep(Duration::from_secs(3));
        let began = std::time::Instant::now();
        assert_eq!(blocking(Duration::from_millis(50), hangs).await, None);
        assert!(began.elapsed() < Duration::from_secs(2));
        assert_eq!(blocking(Duration::from_secs(10), || 7).await, Some(7));
    }

    #[tokio::test]
    async fn addresses_need_no_name_server() {
        let found = resolve("[::1]", 443, Duration::from_secs(10)).await.unwrap();
        assert_eq!(found, ["[::1]:443".parse().unwrap()]);
    }
}

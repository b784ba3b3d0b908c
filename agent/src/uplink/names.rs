//! The names of the cloud and of its proxy: resolved as always, with an error that says that it was the name.
//!
//! A resolver whose servers are out of reach takes longer than a connection may; it is given up before that, so that a dead
//! name is told apart from an address at which nobody answers.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves as the system does.
#[derive(Debug)]
pub(super) struct Names {
    /// How long a name may take.
    pub timeout: Duration,
}

/// A name that has no address, as far as can be known.
#[derive(Debug, thiserror::Error)]
#[error("the name {name} does not resolve: {why}")]
pub(super) struct NameError {
    name: String,
    why: String,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (name, timeout) = (name.as_str().to_owned(), self.timeout);
        Box::pin(async move {
            let found = found_within(timeout, addresses(&name)).await;
            let addresses = found.map_err(|why| NameError { name: name.clone(), why })?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The port is put in by who connects.
async fn addresses(name: &str) -> std::io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.collect())
}

async fn found_within<T>(
    timeout: Duration,
    found: impl Future<Output = std::io::Result<T>>,
) -> Result<T, String> {
    match tokio::time::timeout(timeout, found).await {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {}", humantime::format_duration(timeout))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_given_up_before_the_connection_is() {
        let names = Names { timeout: Duration::from_secs(5) };
        let found = names.resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(found.map(|address| address.ip()).all(|ip| ip.is_loopback()));
        let silent = found_within(Duration::from_millis(5), std::future::pending::<std::io::Result<()>>());
        assert_eq!(silent.await, Err("no answer within 5ms".to_owned()));
    }
}

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
            let why = match tokio::time::timeout(timeout, addresses(&name)).await {
                Ok(Ok(addresses)) => return Ok(Box::new(addresses.into_iter()) as Addrs),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {}", humantime::format_duration(timeout)),
            };
            Err(NameError { name, why }.into())
        })
    }
}

/// The port is put in by who connects.
async fn addresses(name: &str) -> std::io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.collect())
}

//! What exactly is broken on the way to the cloud.

use serde::Serialize;

/// The first thing on the way that does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The name does not resolve.
    Dns,
    /// Nobody answers at the address, or the connection broke.
    Address,
    /// The proxy does not answer, or refuses.
    Proxy,
    /// The certificate has expired.
    TlsExpired,
    /// The certificate is not trusted, or is for another name.
    TlsUntrusted,
    /// The dates of good certificates look bad: the clock.
    TlsClock,
    /// The handshake fails for another reason.
    Tls,
    /// Something else answers in the cloud's place.
    Portal,
    /// The agent's own key cannot be used.
    OwnKey,
    /// The cloud refuses the key (401).
    Key,
    /// The cloud has suspended tenant or store (403).
    Suspended,
    /// There is nothing for this agent (404).
    Place,
    /// The cloud is overloaded or limits us.
    Busy,
    /// The cloud answers with an error.
    Server,
}

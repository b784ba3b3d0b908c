//! What the environment of the doctor says of proxies. The agent itself takes nothing of it: a proxy is configured. That others
//! on this box use one is a hint, if the cloud cannot be reached without.

/// Variables that programs take a proxy for HTTPS from.
const NAMES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// Proxies of the environment, each once.
#[expect(
    clippy::disallowed_methods,
    reason = "it is looked at as a part of the box, and changes nothing of what the agent does"
)]
pub(super) fn proxies() -> Vec<String> {
    let set =
        NAMES.iter().filter_map(|name| std::env::var(name).ok()).filter(|value| !value.trim().is_empty());
    let mut proxies: Vec<String> = set.collect();
    proxies.dedup();
    proxies
}

//! Where things are by the configuration, as far as findings name it.

use std::collections::BTreeMap;

use serde::Serialize;
use storepulse_shared::ids::DeviceId;

use crate::config::Config;

/// Where the cloud and the devices are.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Places {
    /// The cloud: `host` or `host:port`.
    pub cloud: Option<String>,
    /// The proxy on the way to it, the same; never its user and password.
    pub proxy: Option<String>,
    /// The serial ports of devices, as the configuration names them.
    pub ports: BTreeMap<DeviceId, String>,
}

impl Places {
    pub(crate) fn of(config: &Config) -> Self {
        let port = |kind: &crate::collector::Kind| kind.port().map(|port| port.name.to_string());
        Self {
            cloud: authority(&config.cloud.url),
            proxy: config.cloud.proxy.as_deref().and_then(authority),
            ports: config.devices.iter().filter_map(|(id, kind)| Some((id.clone(), port(kind)?))).collect(),
        }
    }
}

/// Host and port of a URL.
fn authority(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    let port = authority.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}{port}", authority.host()))
}

/// The host without its port and without the brackets of an IPv6 address.
pub(super) fn host(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_without_secrets() {
        let key =
            storepulse_shared::key::StoreKey::issue(&"la-villa".parse().unwrap(), &"T01".parse().unwrap());
        let text = format!(
            "cloud:\n  url: https://cloud.example:8443\n  key: {}\n  proxy: http://ana:s3cret@proxy.local:3128\n\
             state_dir: s\ndevices:\n  scale-1:\n    scale: {{ port: /dev/ttyUSB0, protocol: toledo_8217 }}\n  box:\n    host: {{}}\n",
            key.expose()
        );
        let config = Config::parse(&text, std::path::Path::new("agent.yaml")).unwrap();
        let places = Places::of(&config);
        assert_eq!(places.cloud.as_deref(), Some("cloud.example:8443"));
        assert_eq!(places.proxy.as_deref(), Some("proxy.local:3128"));
        let ports: Vec<_> = places.ports.iter().map(|(id, port)| (id.as_str(), port.as_str())).collect();
        assert_eq!(ports, [("scale-1", "/dev/ttyUSB0")]);
        assert!(!serde_json::json!(places).to_string().contains("s3cret"));
    }

    #[test]
    fn a_host_is_without_its_port() {
        for (authority, name) in [
            ("cloud.example", "cloud.example"),
            ("127.0.0.1:8443", "127.0.0.1"),
            ("[::1]:443", "::1"),
            ("[fe80::1]", "fe80::1"),
        ] {
            assert_eq!(host(authority), name);
        }
    }
}

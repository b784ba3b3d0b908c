//! Which tenant a request says it is for: by the sub-domain of the service's own domain, by the tenant's own domain, by
//! `X-Tenant-ID`, or in development by `?tenant=`.
//!
//! It is a claim and grants nothing (design.md, invariant 7). Where a credential is present, every claim must name the
//! credential's tenant, otherwise the answer is 403. A host that is neither, and a sub-domain that cannot be a tenant (the
//! reserved ones: www, api, …), claim nothing.
//!
//! Own domains are few and read as a whole when the database tells of a change; between that and the reading a host may claim
//! what it claimed before.

mod development;
mod sql;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::header::HOST;
use axum::http::request::Parts;
use storepulse_shared::ids::TenantId;

pub(crate) use self::development::take_query;
use crate::db::Db;

/// The header by which a client may say which tenant it believes to be.
pub(crate) const TENANT_HEADER: &str = "x-tenant-id";

/// How hosts name tenants.
#[derive(Debug, Clone, Default)]
pub struct ResolutionConfig {
    /// `<tenant>.<base domain>` names a tenant. In lower case, without a dot at its ends.
    pub base_domain: Option<String>,
    /// `?tenant=` names one, too.
    pub development: bool,
}

/// The same, with the tenants' own domains.
#[derive(Debug)]
pub(crate) struct Resolution {
    config: ResolutionConfig,
    domains: RwLock<Arc<Domains>>,
}

/// Tenants by their own domains.
type Domains = HashMap<String, TenantId>;

/// By what a request claims a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Sub-domain or own domain.
    Host,
    /// `X-Tenant-ID`, or `?tenant=` in its place.
    Header,
}

impl Source {
    /// For people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Host => "the host name",
            Self::Header => "X-Tenant-ID",
        }
    }
}

impl Resolution {
    pub(crate) fn new(config: ResolutionConfig) -> Self {
        Self { config, domains: RwLock::default() }
    }

    /// Whether `?tenant=` is understood.
    pub(crate) const fn is_development(&self) -> bool {
        self.config.development
    }

    /// Reads the tenants' own domains.
    pub(crate) async fn load(&self, db: &Db) -> Result<(), sqlx::Error> {
        let mut tx = db.control().await?;
        let read = Arc::new(sql::domains(&mut tx).await?);
        *self.domains.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// The first claim that is not of this tenant.
    pub(crate) fn contradiction(&self, parts: &Parts, tenant: &TenantId) -> Option<Source> {
        for claimed in parts.headers.get_all(TENANT_HEADER) {
            if claimed.as_bytes() != tenant.as_str().as_bytes() {
                return Some(Source::Header);
            }
        }
        let domains = Arc::clone(&self.domains.read().unwrap_or_else(PoisonError::into_inner));
        if self.config.base_domain.is_none() && domains.is_empty() {
            return None;
        }
        let of_header = parts.headers.get_all(HOST).iter().filter_map(|host| host.to_str().ok());
        // HTTP/2 has it there, HTTP/1 in the header; whoever sends both claims both.
        let mut hosts =
            parts.uri.authority().map(axum::http::uri::Authority::as_str).into_iter().chain(of_header);
        let base = self.config.base_domain.as_deref();
        let contradicts =
            |host: &str| claimed_by(host, base, &domains).is_some_and(|claimed| claimed != *tenant);
        hosts.any(contradicts).then_some(Source::Host)
    }
}

/// The tenant that a host names, as it stands in `Host`: with a port perhaps, in any case, with a dot at its end perhaps.
fn claimed_by(host: &str, base_domain: Option<&str>, domains: &Domains) -> Option<TenantId> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if let Some(tenant) = domains.get(&name) {
        return Some(tenant.clone());
    }
    name.strip_suffix(base_domain?)?.strip_suffix('.')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn resolution() -> Resolution {
        let config = ResolutionConfig { base_domain: Some("pulse.example".to_owned()), development: false };
        let resolution = Resolution::new(config);
        let domains = HashMap::from([("metrics.acme.test".to_owned(), "acme".parse().unwrap())]);
        *resolution.domains.write().unwrap() = Arc::new(domains);
        resolution
    }

    fn claimed(host: &str) -> Option<String> {
        let domains = Arc::clone(&resolution().domains.read().unwrap());
        claimed_by(host, Some("pulse.example"), &domains).map(|tenant| tenant.to_string())
    }

    #[test]
    fn a_host_names_a_tenant_by_sub_domain_or_by_its_own_domain() {
        for host in
            ["acme.pulse.example", "ACME.Pulse.Example:8443", "acme.pulse.example.", "metrics.acme.test:443"]
        {
            assert_eq!(claimed(host).as_deref(), Some("acme"), "{host}");
        }
        for host in [
            "pulse.example",
            "www.pulse.example",
            "api.pulse.example",
            "etl.pulse.example",
            "xn--a.pulse.example",
            "a.acme.pulse.example",
            "acmepulse.example",
            "acme.pulse.example.evil.test",
            ".pulse.example",
            "a_b.pulse.example",
            "127.0.0.1:8443",
            "[::1]:8443",
            "",
        ] {
            assert_eq!(claimed(host), None, "{host}");
        }
    }

    #[test]
    fn every_claim_must_be_of_the_credentials_tenant() {
        let of = |uri: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().uri(uri);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let parts = request.body(()).unwrap().into_parts().0;
            resolution().contradiction(&parts, &"acme".parse().unwrap())
        };
        assert_eq!(of("/", &[("host", "acme.pulse.example"), ("x-tenant-id", "acme")]), None);
        assert_eq!(of("/", &[("host", "unknown.test")]), None);
        assert_eq!(of("/", &[("host", "other.pulse.example")]), Some(Source::Host));
        assert_eq!(of("https://other.pulse.example/", &[]), Some(Source::Host));
        assert_eq!(of("https://acme.pulse.example/", &[("host", "other.pulse.example")]), Some(Source::Host));
        assert_eq!(of("/", &[("x-tenant-id", "acme"), ("x-tenant-id", "other")]), Some(Source::Header));
        assert_eq!(of("/?tenant=other", &[]), None, "not understood but in development");
    }
}

//! What a caller can claim beside its credential: header lines and parameters that name the victim. They choose what to
//! look up or show, and never grant; `X-Tenant-ID` that disagrees with the credential is refused.

use crate::isolation::world::{STRANGER, VICTIM};

/// Claims that go with any request.
#[derive(Debug, Default)]
pub(super) struct Forgery {
    pub name: &'static str,
    pub headers: Vec<(&'static str, String)>,
    /// Every value of `X-Tenant-ID`.
    pub claims: Vec<&'static str>,
    /// Appended to the query.
    pub query: &'static str,
}

/// None first.
pub(super) fn all() -> Vec<Forgery> {
    let host = || format!("{VICTIM}.storepulse.example");
    let mut all = vec![Forgery { name: "nothing forged", ..Forgery::default() }];
    for (name, claims) in [
        ("X-Tenant-ID of the victim", vec![VICTIM]),
        ("X-Tenant-ID twice, the victim last", vec![STRANGER, VICTIM]),
        ("X-Tenant-ID twice, the victim first", vec![VICTIM, STRANGER]),
        ("X-Tenant-ID in capitals", vec!["LA-VILLA"]),
        ("X-Tenant-ID of both on one line", vec!["el-prado, la-villa"]),
        ("X-Tenant-ID of nobody", vec!["nobody"]),
        ("an empty X-Tenant-ID", vec![""]),
    ] {
        let headers = claims.iter().map(|claim| ("x-tenant-id", (*claim).to_owned())).collect();
        all.push(Forgery { name, headers, claims, query: "" });
    }
    let forwarded = vec![
        ("x-forwarded-host", host()),
        ("forwarded", format!("for=127.0.0.1;host={}", host())),
        ("x-original-host", host()),
    ];
    let proxy = vec![
        ("x-forwarded-for", "127.0.0.1".to_owned()),
        ("x-real-ip", "127.0.0.1".to_owned()),
        ("x-forwarded-user", VICTIM.to_owned()),
        ("x-client-cert", format!("CN={VICTIM}")),
    ];
    let elsewhere = vec![
        ("x-original-url", "/v1/stores/T01/status".to_owned()),
        ("x-rewrite-url", "/v1/stores/T01/status".to_owned()),
        ("x-http-method-override", "GET".to_owned()),
    ];
    let names = vec![
        ("x-store-id", "T01".to_owned()),
        ("x-tenant", VICTIM.to_owned()),
        ("tenant-id", VICTIM.to_owned()),
        ("cookie", format!("tenant={VICTIM}; tenant_id={VICTIM}; store=T01")),
    ];
    let headers = [
        ("Host of the victim", vec![("host", host())]),
        ("two Hosts", vec![("host", "storepulse.example".to_owned()), ("host", host())]),
        ("X-Forwarded-Host of the victim", forwarded),
        ("a proxy's word", proxy),
        ("another URL in a header", elsewhere),
        ("names in other headers", names),
    ];
    all.extend(headers.map(|(name, headers)| Forgery { name, headers, ..Forgery::default() }));
    let query = "tenant_id=la-villa&tenant=la-villa&store_id=T01&store=T01&app.tenant_id=la-villa";
    all.push(Forgery { name: "names in the query", query, ..Forgery::default() });
    all
}

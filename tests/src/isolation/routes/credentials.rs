//! Everything that a caller can show instead of the right key, and whom the cloud must take them for.

use storepulse_shared::ids::StoreId;
use storepulse_shared::key::{OperatorKey, PushToken, StoreKey};

use crate::isolation::keys::{bearer, hex};
use crate::isolation::people::Somebody;
use crate::isolation::place::Place;
use crate::isolation::world::{NOBODYS_STORE, World};

/// Whom a credential proves its bearer to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Standing<'a> {
    /// Nobody: 401, always the same one.
    Nobody,
    /// A tenant that is suspended: 403, always the same one.
    OfSuspendedTenant,
    /// A store that is suspended: 403, always the same one.
    OfSuspendedStore,
    /// The agent of this store, and no other.
    Agent(&'a Place),
    /// Two credentials, of which one is this store's: that store, or nobody.
    AgentOrNobody(&'a Place),
    /// An operator, who is nobody to a store's routes.
    Operator,
    /// Somebody who is signed in, to an active tenant.
    Person(&'a Somebody),
    /// The same with the cookie of her page, and without what the page repeats: she reads, and changes nothing.
    OtherSitesPage(&'a Somebody),
    /// The same, of the tenant that is suspended.
    PersonOfSuspendedTenant,
}

/// What is shown.
#[derive(Debug)]
pub(super) struct Credential<'a> {
    pub name: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub standing: Standing<'a>,
    /// One of many ways to make a token: not every forgery is tried with it.
    pub is_variant: bool,
}

const AUTHORIZATION: &str = "authorization";

/// Without the victim's own key, which is the one credential that opens the victim's data.
pub(super) fn all(world: &World) -> Vec<Credential<'_>> {
    let mut all = nobodys(world);
    let mut standing = |name, key: &StoreKey, standing| {
        all.push(Credential {
            name,
            headers: vec![(AUTHORIZATION, bearer(key))],
            standing,
            is_variant: false,
        });
    };
    let (stranger, sibling) = (Standing::Agent(&world.stranger), Standing::Agent(&world.sibling));
    standing("another tenant's key", &world.stranger.key, stranger);
    standing("another store's key", &world.sibling.key, sibling);
    standing("a key that names the victim in a sibling's row", &world.odd_keys.in_the_siblings_row, sibling);
    standing("a suspended tenant's key", &world.suspended_tenant.key, Standing::OfSuspendedTenant);
    standing("a suspended store's key", &world.suspended_store.key, Standing::OfSuspendedStore);
    let people = &world.people;
    for (name, who) in [
        ("the victim's manager of another store", &people.victims_manager),
        ("the victim's viewer", &people.victims_viewer),
        ("another tenant's admin", &people.strangers_admin),
        ("another tenant's manager", &people.strangers_manager),
        ("another tenant's viewer", &people.strangers_viewer),
        ("a program of the victim's manager of another store", &people.victims_program),
        ("an operator inside another tenant", &people.inside_stranger),
    ] {
        let headers = vec![(AUTHORIZATION, who.bearer.clone())];
        all.push(Credential { name, headers, standing: Standing::Person(who), is_variant: false });
    }
    let page = &people.victims_page;
    all.push(Credential {
        name: "the page of the victim's viewer",
        headers: page.headers(),
        standing: Standing::Person(&page.who),
        is_variant: true,
    });
    all.push(Credential {
        name: "another site's page, of the victim's viewer",
        headers: vec![("cookie", page.cookie.clone()), ("x-csrf-token", "0".repeat(32))],
        standing: Standing::OtherSitesPage(&page.who),
        is_variant: true,
    });
    all.push(Credential {
        name: "a suspended tenant's user",
        headers: vec![(AUTHORIZATION, people.suspended.bearer.clone())],
        standing: Standing::PersonOfSuspendedTenant,
        is_variant: false,
    });
    let operator = vec![(AUTHORIZATION, world.operator.clone())];
    all.push(Credential {
        name: "an operator's key",
        headers: operator,
        standing: Standing::Operator,
        is_variant: false,
    });
    let (key, rubbish) = (world.stranger.bearer(), "Bearer rubbish".to_owned());
    let ambiguous = Standing::AgentOrNobody(&world.stranger);
    for (name, first, second) in [
        ("another tenant's key, then rubbish", key.clone(), rubbish.clone()),
        ("rubbish, then another tenant's key", rubbish, key.clone()),
        ("another tenant's key, then the victim's revoked one", key, bearer(&world.odd_keys.revoked)),
    ] {
        let headers = vec![(AUTHORIZATION, first), (AUTHORIZATION, second)];
        all.push(Credential { name, headers, standing: ambiguous, is_variant: false });
    }
    all
}

/// What opens nothing.
fn nobodys(world: &World) -> Vec<Credential<'_>> {
    let victim = &world.victim;
    let unknown = |tenant: &str, store: &StoreId| match tenant.parse() {
        Ok(tenant) => bearer(&StoreKey::issue(&tenant, store)),
        Err(_) => String::new(),
    };
    let nobodys_store = NOBODYS_STORE.parse().unwrap_or_else(|_| victim.store.clone());
    let key = victim.key.expose();
    let values = [
        ("an empty credential", String::new()),
        ("a scheme without a credential", "Bearer".to_owned()),
        ("rubbish", "Bearer rubbish".to_owned()),
        ("bytes that are no text", "Bearer store_la-villa_T01_\u{e9}\u{ff}".to_owned()),
        ("SQL", format!("Bearer store_{}'or'1'='1_{}_x", victim.tenant, victim.store)),
        ("a key that was never issued", unknown(victim.tenant.as_str(), &victim.store)),
        ("a key of a store that nobody has", unknown(victim.tenant.as_str(), &nobodys_store)),
        ("a key of a tenant that nobody is", unknown("nobody", &victim.store)),
        ("a key with the victim's id and another secret", bearer(&world.odd_keys.with_the_victims_id)),
        ("a mistyped key", format!("Bearer {}", mistyped(key))),
        ("a key without its end", format!("Bearer {}", &key[..key.len() - 1])),
        ("a key with more behind it", format!("Bearer {key}0")),
        ("a key in capitals", format!("Bearer {}", key.to_uppercase())),
        ("a key's hash", format!("Bearer store_{}_{}_{}", victim.tenant, victim.store, hex(&victim.key))),
        ("a key of another shape", format!("Bearer store_{}_{}_abc123", victim.tenant, victim.store)),
        ("an imported key where none are accepted", bearer(&world.odd_keys.imported)),
        ("a revoked key", bearer(&world.odd_keys.revoked)),
        ("an operator's key that was revoked", world.revoked_operator.clone()),
        ("an operator's key that was never issued", format!("Bearer {}", OperatorKey::issue().expose())),
        ("a key in another tenant's row", bearer(&world.odd_keys.in_another_tenants_row)),
        ("a push token", format!("Bearer {}", PushToken::issue().expose())),
        ("a good key as Basic", format!("Basic {key}")),
        ("a good key without a scheme", key.to_owned()),
        ("two keys in one credential", format!("Bearer {key}, Bearer {key}")),
        ("a very long credential", format!("Bearer {}", "x".repeat(4_000))),
    ];
    let nobody = |name, headers| Credential { name, headers, standing: Standing::Nobody, is_variant: false };
    let mut all: Vec<_> =
        values.into_iter().map(|(name, value)| nobody(name, vec![(AUTHORIZATION, value)])).collect();
    let tokens = world.people.nobodys.iter();
    all.extend(tokens.map(|(name, bearer)| {
        let headers = vec![(AUTHORIZATION, bearer.clone())];
        Credential { is_variant: true, ..nobody(name, headers) }
    }));
    all.push(nobody("no credential", Vec::new()));
    for (name, header) in [
        ("a good key as X-API-Key", "x-api-key"),
        ("a good key as Proxy-Authorization", "proxy-authorization"),
        ("a good key as a cookie", "cookie"),
    ] {
        all.push(nobody(name, vec![(header, key.to_owned())]));
    }
    let people = &world.people;
    let cookie = |text: &str| vec![("cookie", format!("__Host-storepulse={text}"))];
    let token = |bearer: &str| bearer.trim_start_matches("Bearer ").to_owned();
    for (name, headers) in [
        ("a good key as the cookie of a page", cookie(key)),
        ("an access token as the cookie of a page", cookie(&token(&people.victims_admin.bearer))),
        ("a program's token as the cookie of a page", cookie(&token(&people.victims_program.bearer))),
        ("two pages' cookies", vec![("cookie", format!("{0}; {0}", people.victims_page.cookie))]),
    ] {
        all.push(Credential { is_variant: true, ..nobody(name, headers) });
    }
    all
}

/// One letter of the secret is another one.
fn mistyped(key: &str) -> String {
    let at = key.len() - 10;
    let other = if key[at..].starts_with('a') { 'b' } else { 'a' };
    format!("{}{other}{}", &key[..at], &key[at + 1..])
}

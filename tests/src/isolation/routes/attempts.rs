//! What is asked of a route: targets and bodies that aim at the victim, beside honest ones.

use storepulse_cloud::app::now_ms;
use storepulse_shared::ids::Epoch;
use storepulse_shared::key::StoreKey;
use storepulse_shared::rotation::{NewKey, PATH as ROTATION_PATH};
use storepulse_shared::settings::REPORT_PATH as SETTINGS_REPORT_PATH;

use crate::foreign::{OTLP_PATH, WRITE_PATH};
use crate::isolation::content::{self, DEVICE, METRIC, batch_of};
use crate::isolation::place::{BATCH_PATH, number};
use crate::isolation::wire::Request;
use crate::isolation::world::{NOBODYS_STORE, World};

/// Whose thing is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Aim {
    /// The caller's own, whoever that is.
    Callers,
    /// The same, unless one of the callers has taken it away meanwhile.
    CallersOrGone,
    /// The store of this name: the caller's own, or not there at all.
    Store(&'static str),
    /// A user of this tenant: hers to see for its people, and not there for others.
    User(&'static str),
    /// A tenant that the caller is not joined to.
    NotJoined,
    /// What nobody of the callers has.
    NotThere,
    /// A text that is no name: not there, or not understood.
    Nonsense,
}

/// A request without credentials.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub name: String,
    pub request: Request,
    pub aim: Aim,
    /// A spelling of what is asked for by name elsewhere: not every forgery is tried with it.
    pub is_spelling: bool,
}

fn attempt(name: &str, request: Request, aim: Aim) -> Attempt {
    Attempt { name: name.to_owned(), request, aim, is_spelling: false }
}

/// A path without parameters.
pub(super) fn plain(path: &str) -> Vec<Attempt> {
    vec![attempt("as it is", Request::new("GET", path), Aim::Callers)]
}

/// A path with a store in it.
pub(super) fn of_every_store(path: &str) -> Vec<Attempt> {
    /// Names before the spellings.
    const PLAIN: usize = 5;
    let long = "T".repeat(4_000);
    let names = [
        ("T01", Aim::Store("T01")),
        ("T02", Aim::Store("T02")),
        ("T03", Aim::Store("T03")),
        ("V77", Aim::Store("V77")),
        (NOBODYS_STORE, Aim::Store(NOBODYS_STORE)),
        // The same name in other letters is another name, and percent-encoded it is the same one.
        ("t01", Aim::Store("t01")),
        ("%54%30%31", Aim::Store("T01")),
        ("V%377", Aim::Store("V77")),
        ("T01%00", Aim::Store("T01\0")),
        ("T01%20", Aim::Store("T01 ")),
        ("T01.", Aim::Store("T01.")),
        ("T01;V77", Aim::Store("T01;V77")),
        ("T01%2FV77", Aim::Store("T01/V77")),
        ("X99%2F..%2FT01", Aim::Store("X99/../T01")),
        ("..%2F..%2Fla-villa%2FT01", Aim::Store("../../la-villa/T01")),
        ("la-villa:T01", Aim::Store("la-villa:T01")),
        ("T01'%20or%20'1'='1", Aim::Store("T01' or '1'='1")),
        ("%D0%A201", Aim::Store("Т01")),
        ("", Aim::Store("")),
        ("*", Aim::Store("*")),
        ("%25", Aim::Store("%")),
        ("%FF%FE", Aim::Nonsense),
        (&long, Aim::Store("TTTT")),
    ];
    let of = |((name, aim), place): ((&str, Aim), usize)| {
        let request = Request::new("GET", &path.replace("{store_id}", name));
        Attempt { is_spelling: place >= PLAIN, ..attempt(&format!("store {name:.40}"), request, aim) }
    };
    names.into_iter().zip(0..).map(of).collect()
}

/// Bodies in both forms; what they store is the caller's. What aims at the victim's epochs is in [`super::epochs`].
pub(super) fn of_post_batch(world: &World) -> Vec<Attempt> {
    let row = format!(
        r#"{{"device_id":"{DEVICE}","metric":"{METRIC}","value":1,"timestamp":{}}}"#,
        now_ms() - 1_000
    );
    let flat = |name: &str, body: String| {
        let mut request = Request::new("POST", BATCH_PATH);
        request.body = body.into_bytes();
        attempt(name, request, Aim::Callers)
    };
    // A real batch without its samples and texts, so that it leaves nothing of the victim's in the caller's rows.
    let mut empty = batch_of(&world.victim, 1);
    empty.frames[0].columns.truncate(1);
    empty.frames[0].columns[0].values.fill(1.0);
    (empty.events, empty.losses) = (Vec::new(), Vec::new());
    let mut agent = world.victim.post(number(Epoch::random(), 1), &empty, |_| {});
    agent.headers.retain(|(name, _)| matches!(&**name, "storepulse-batch" | "content-encoding"));
    vec![
        flat("a flat body", format!(r#"{{"metrics":[{row}]}}"#)),
        flat(
            "a flat body that names the victim",
            format!(r#"{{"tenant_id":"la-villa","store_id":"T01","metrics":[{row}]}}"#),
        ),
        flat(
            "a flat row that names the victim",
            format!(r#"{{"metrics":[{{"tenant_id":"la-villa","store_id":"T01",{}]}}"#, &row[1..]),
        ),
        flat("no body", String::new()),
        attempt("a batch", agent, Aim::Callers),
    ]
}

/// Series that every store has. Names in them are their writer's own and grant nothing.
pub(super) fn of_remote_write() -> Vec<Attempt> {
    let empty = Request::new("POST", WRITE_PATH);
    let sample = content::remote_write(now_ms() - 1_000, 1.0);
    let sample = sample.ok().map(|request| attempt("a sample", request, Aim::Callers));
    sample.into_iter().chain([attempt("no body", empty, Aim::Callers)]).collect()
}

/// The same, in the other protocol.
pub(super) fn of_otlp() -> Vec<Attempt> {
    let empty = Request::new("POST", OTLP_PATH).with("content-type", "application/json");
    vec![
        attempt("a data point", content::otlp(now_ms() - 1_000, 1.0), Aim::Callers),
        attempt("no body", empty, Aim::Callers),
    ]
}

/// Numbers of the caller's own.
pub(super) fn of_delete_batch(world: &World) -> Vec<Attempt> {
    let mut known = world.victim.delete(number(Epoch::random(), 1));
    known.headers.retain(|(name, _)| name == "storepulse-batch");
    vec![
        attempt("a number", known, Aim::Callers),
        attempt("without a number", Request::new("DELETE", BATCH_PATH), Aim::Callers),
    ]
}

/// A key of the caller's own making, and one that the victim has already. No window is open for anybody.
pub(super) fn of_post_rotation(world: &World) -> Vec<Attempt> {
    let post = |name: &str, body: String| {
        let mut request = Request::new("POST", ROTATION_PATH).with("content-type", "application/json");
        request.body = body.into_bytes();
        attempt(name, request, Aim::Callers)
    };
    let new_key = |key: &StoreKey| {
        let NewKey { key_id, sha256 } = NewKey::of(key);
        serde_json::json!({ "key_id": key_id, "sha256": sha256 }).to_string()
    };
    let victim = &world.victim;
    vec![
        post("a key that names the victim", new_key(&StoreKey::issue(&victim.tenant, &victim.store))),
        post("the victim's own key", new_key(&victim.key)),
        post("no body", String::new()),
    ]
}

/// A report about the caller's own settings, and one that names the victim.
pub(super) fn of_put_settings_report() -> Vec<Attempt> {
    let put = |name: &str, body: &str| {
        let mut request = Request::new("PUT", SETTINGS_REPORT_PATH).with("content-type", "application/json");
        request.body = body.as_bytes().to_vec();
        attempt(name, request, Aim::Callers)
    };
    vec![
        put("a version", r#"{"version":1,"state":"confirmed"}"#),
        put(
            "one that names the victim",
            r#"{"tenant_id":"la-villa","store_id":"T01","version":1,"state":"refused"}"#,
        ),
        put("no version", r#"{"version":0,"state":"trying"}"#),
        put("no body", ""),
    ]
}

/// The key before the caller's.
pub(super) fn of_delete_rotation() -> Vec<Attempt> {
    vec![attempt("as it is", Request::new("DELETE", ROTATION_PATH), Aim::Callers)]
}

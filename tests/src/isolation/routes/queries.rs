//! What is asked of the query API of Prometheus: everything, and what is the victim's by name.

use super::attempts::{Aim, Attempt};
use crate::isolation::content::METRIC;
use crate::isolation::wire::Request;
use crate::isolation::world::World;

/// Selectors, as they stand in a URL.
fn selectors(world: &World) -> Vec<(&'static str, String)> {
    let victim = &world.victim;
    vec![
        ("everything", "{__name__=~\".%2B\"}".to_owned()),
        ("the victim's store", format!("{{store=\"{}\"}}", victim.store)),
        ("the victim's word", format!("{{__name__=\"{METRIC}\",origin=\"{}\"}}", victim.word)),
        ("SQL", "{store=\"T01'%20or%20'1'='1\"}".to_owned()),
    ]
}

/// A path whose parameters are before and behind a selector; with POST they stand in a form.
pub(super) fn of(world: &World, method: &str, path: &str, before: &str, behind: &str) -> Vec<Attempt> {
    let of = |((name, selector), place): ((&str, String), usize)| {
        let parameters =
            format!("{before}{selector}{behind}").replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
        let request = if method == "POST" {
            let mut request =
                Request::new(method, path).with("content-type", "application/x-www-form-urlencoded");
            request.body = parameters.into_bytes();
            request
        } else {
            Request::new(method, &format!("{path}?{parameters}"))
        };
        Attempt { name: name.to_owned(), request, aim: Aim::Callers, is_spelling: place > 0 }
    };
    selectors(world).into_iter().zip(0..).map(of).collect()
}

/// An hour up to now, every minute.
pub(super) fn hour() -> String {
    let now = storepulse_cloud::app::now_ms() / 1_000;
    format!("&start={}&end={now}&step=60", now - 3_600)
}

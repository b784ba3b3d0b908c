//! Whether two answers say the same: values to nine digits, everything else to the letter.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Reply;

/// How far two values may lie apart, as a share of the larger one.
const TOLERANCE: f64 = 1e-9;
/// Below this, a difference is what remains of numbers that cancel.
const NOTHING: f64 = 1e-12;

/// What is different, if anything is.
pub(super) fn difference(theirs: &Reply, ours: &Reply, in_order: bool) -> Option<String> {
    let kind = |reply: &Reply| (reply.status, reply.json["status"].clone(), reply.json["errorType"].clone());
    if kind(theirs) != kind(ours) {
        return Some(format!("theirs {}\n    ours   {}", short(theirs), short(ours)));
    }
    if theirs.status != 200 {
        return None;
    }
    let (theirs, ours) = (&theirs.json["data"], &ours.json["data"]);
    if theirs["resultType"] != ours["resultType"] {
        return Some(format!("theirs is {}, ours {}", theirs["resultType"], ours["resultType"]));
    }
    match theirs["resultType"].as_str() {
        Some("vector" | "matrix") => series(&list(&theirs["result"]), &list(&ours["result"]), in_order),
        Some("scalar") => pair(&theirs["result"], &ours["result"]),
        _ => (theirs != ours).then(|| format!("theirs {theirs:.400}\n    ours   {ours:.400}")),
    }
}

fn short(reply: &Reply) -> String {
    format!("{} {:.300}", reply.status, reply.json.to_string())
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn series(theirs: &[Value], ours: &[Value], in_order: bool) -> Option<String> {
    let labels = |one: &Value| one["metric"].to_string();
    if in_order {
        let (theirs, ours): (Vec<_>, Vec<_>) =
            (theirs.iter().map(labels).collect(), ours.iter().map(labels).collect());
        if theirs != ours {
            return Some(format!("theirs {:.500}\n    ours   {:.500}", theirs.join(" "), ours.join(" ")));
        }
    }
    let by_labels = |all: &[Value]| -> BTreeMap<String, Value> {
        all.iter().map(|one| (labels(one), one.clone())).collect()
    };
    let (theirs, ours) = (by_labels(theirs), by_labels(ours));
    if !theirs.keys().eq(ours.keys()) {
        let (theirs, ours): (Vec<_>, Vec<_>) = (theirs.into_keys().collect(), ours.into_keys().collect());
        return Some(format!("theirs {:.500}\n    ours   {:.500}", theirs.join(" "), ours.join(" ")));
    }
    theirs.iter().find_map(|(labels, one)| {
        let other = &ours[labels];
        let samples = |one: &Value| match &one["value"] {
            Value::Null => list(&one["values"]),
            value => vec![value.clone()],
        };
        let (theirs, ours) = (samples(one), samples(other));
        if theirs.len() != ours.len() {
            return Some(format!("{labels}: theirs has {} samples, ours {}", theirs.len(), ours.len()));
        }
        let differs = theirs.iter().zip(&ours).find_map(|(theirs, ours)| pair(theirs, ours));
        differs.map(|differs| format!("{labels}: {differs}"))
    })
}

/// `[time, "value"]`
fn pair(theirs: &Value, ours: &Value) -> Option<String> {
    let same_time = theirs[0] == ours[0];
    let same_value = match (number(&theirs[1]), number(&ours[1])) {
        (Some(a), Some(b)) => {
            a == b || (a.is_nan() && b.is_nan()) || {
                let apart = (a - b).abs();
                apart <= TOLERANCE * a.abs().max(b.abs()) || apart < NOTHING
            }
        }
        _ => false,
    };
    (!same_time || !same_value).then(|| format!("theirs {theirs}, ours {ours}"))
}

/// A value from its text.
fn number(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}

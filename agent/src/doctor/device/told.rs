//! What the running agent says of a device: its state, its last error, and what its verdict makes of that.

use serde_json::Value;
use storepulse_shared::ids::DeviceId;

use super::ANSWER;
use crate::doctor::check::Check;
use crate::finding::{self, Finding, Problem};
use crate::status::units::duration;

/// Values that are shown.
const VALUES_SHOWN: usize = 4;

/// Judges a device by the status of the agent.
pub(super) fn judge(id: &DeviceId, port: Option<&str>, status: &Value) -> Check {
    let told = &status["devices"][id.as_str()];
    let now_ms = status["now_ms"].as_i64().unwrap_or_default();
    let good = told["last_good_ms"].as_i64().map_or_else(
        || "no good reading yet".to_owned(),
        |good_ms| format!("last good {} ago", duration(now_ms.saturating_sub(good_ms))),
    );
    let error = told["last_error"]["text"].as_str().unwrap_or_default();
    let said = exchange(&told["exchange"]);
    let evidence = |what: &str| {
        let mut all = vec![what, &good, error, &said];
        all.retain(|text| !text.is_empty());
        all.join("; ")
    };
    if let Some(finding) = of_verdict(id, &status["verdict"]) {
        return Check::found(ANSWER, finding, evidence(""));
    }
    match told["state"].as_str() {
        Some("ok") => Check::pass(ANSWER, format!("{good}; {}", values(&told["values"]))),
        None => Check::skipped(ANSWER, "the agent has not read it yet"),
        Some(state) => {
            let kind = told["last_error"]["kind"].as_str();
            let finding = match (state, kind) {
                ("stale", _) | (_, None) => Finding::new(Problem::DeviceStale),
                (_, Some(kind)) => finding::of_fault(kind, id, &finding::Place::on(port), error),
            };
            Check::found(ANSWER, finding, evidence(state))
        }
    }
}

/// The first thing that the agent's own verdict has about it.
fn of_verdict(id: &DeviceId, verdict: &Value) -> Option<Finding> {
    let mut all = verdict["findings"].as_array()?.iter();
    let first = all.find(|finding| finding["device"] == id.as_str())?;
    let problem = Problem::ALL.iter().find(|problem| first["problem"] == problem.name())?;
    let finding = Finding::new(*problem).of(id).since(first["since_ms"].as_i64());
    let with = problem.particulars().iter().filter_map(|name| Some((*name, first["with"][name].as_str()?)));
    Some(with.fold(finding, |finding, (name, value)| finding.with(name, value)))
}

/// The last question and answer, where the agent keeps them.
pub(super) fn exchange(told: &Value) -> String {
    match (told["asked"].as_str(), told["answered"].as_str()) {
        (Some(asked), Some("")) => format!("asked {asked}, no answer"),
        (Some(asked), Some(answered)) => format!("asked {asked}, answered {answered}"),
        _ => String::new(),
    }
}

/// The first of its values.
pub(super) fn values(told: &Value) -> String {
    let Some(all) = told.as_object() else { return "no values".to_owned() };
    let shown =
        all.iter().take(VALUES_SHOWN).map(|(series, reading)| format!("{series} {}", reading["value"]));
    let more = if all.len() > VALUES_SHOWN {
        format!(" and {} more", all.len() - VALUES_SHOWN)
    } else {
        String::new()
    };
    format!("{}{more}", shown.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::check::Outcome;

    fn judged(device: &Value, findings: &Value) -> Check {
        let status = json!({ "now_ms": 60_000, "devices": { "printer-1": device }, "verdict": { "findings": findings } });
        judge(&"printer-1".parse().unwrap(), Some("/dev/ttyUSB0"), &status)
    }

    #[test]
    fn the_state_and_the_last_error_say_what_is_wrong() {
        let good = json!({ "state": "ok", "last_good_ms": 58_000, "values": { "hw.status": { "t": 1, "value": 0.0 } } });
        let check = judged(&good, &json!([]));
        assert!(check.outcome == Outcome::Pass && check.evidence.contains("2 s ago"), "{check:?}");
        for (state, kind, problem) in [
            ("unreachable", "timeout", Problem::DeviceSilent),
            ("fault", "framing", Problem::LineWrong),
            ("unreachable", "busy_port", Problem::PortHeld),
            ("stale", "timeout", Problem::DeviceStale),
        ] {
            let bad = json!({
                "state": state, "last_error": { "at_ms": 1, "kind": kind, "text": "no answer" },
                "exchange": { "asked": "10 04 01", "answered": "" },
            });
            let check = judged(&bad, &json!([]));
            assert_eq!(check.finding.unwrap().problem, problem, "{kind}");
            assert!(check.evidence.contains("asked 10 04 01, no answer"), "{}", check.evidence);
        }
        assert_eq!(judged(&json!({ "state": null }), &json!([])).outcome, Outcome::Skipped);
    }

    #[test]
    fn the_verdict_of_the_agent_counts() {
        let good = json!({ "state": "ok", "last_good_ms": 58_000 });
        let paper = json!([{ "problem": "paper_out", "device": "printer-1", "with": {}, "since_ms": 7 }]);
        let finding = judged(&good, &paper).finding.unwrap();
        assert_eq!((finding.problem, finding.since_ms), (Problem::PaperOut, Some(7)));
        let other = json!([{ "problem": "paper_out", "device": "printer-2" }]);
        assert_eq!(judged(&good, &other).finding, None);
    }
}

//! Settings that cannot work.

use std::path::Path;

use super::yaml;
use crate::collector::Collector as _;
use crate::collector::Kind;
use crate::collector::rig::Rig;

#[test]
fn settings_that_cannot_work_are_refused() {
    for (more, why) in [
        ("format: csv", "needs columns"),
        ("patterns: []", "needs patterns"),
        ("poll: 10ms, patterns: [{ match: a, counters: [c] }]", "at least 100ms"),
        ("format: json, fields: { counters: [c], metrics: { a: b } }", "is not a JSON pointer"),
        ("format: csv, delimiter: '\"', columns: { counters: [c] }", "delimiter"),
        ("patterns: [{ match: '(?<a>.)', counters: [c], metrics: { a: c } }]", "would be one series"),
        (
            "patterns: [{ match: '(?<a>.)(?<b>.)', counters: [c], labels: { a: [A, B, C, D, E, F, G, H, I, J, K, L, M, O, P], b: [A, B, C, D, E, F, G, H, I, J, K, L, M, O, P] } }]",
            "more than 200 series",
        ),
    ] {
        let Kind::LogFile(settings) = Rig::kind(&yaml(Path::new("/x"), more)) else { panic!() };
        let error = settings.check().unwrap_err();
        assert!(error.contains(why), "{more}\n{error}");
    }
    for (more, why) in [
        ("patterns: [{ match: a }]", "does nothing"),
        ("patterns: [{ match: '(?<a>.)', counters: [c], labels: { b: [x] } }]", "no group"),
        (
            "patterns: [{ match: '(?<a>.)', counters: [c], labels: { a: ['4111111111111111'] } }]",
            "needs values",
        ),
        ("patterns: [{ match: '(?<a>.)', counters: [c], labels: { a: [1, 2] } }]", "in quotes"),
        ("patterns: [{ match: '(?<a>.)', counters: [c], labels: { a: ['x y'] } }]", "needs values"),
        ("patterns: [{ match: '(', counters: [c] }]", "regular expression"),
    ] {
        let text = yaml(Path::new("/x"), more);
        let error = serde_yaml::from_str::<Kind>(&text).unwrap_err().to_string();
        assert!(error.contains(why), "{more}\n{error}");
    }
    let glob = settings_error("/var/*/pos.log");
    assert!(glob.contains("in its last part only"), "{glob}");
}

fn settings_error(path: &str) -> String {
    let Kind::LogFile(settings) =
        Rig::kind(&yaml(Path::new(path), "patterns: [{ match: a, counters: [c] }]"))
    else {
        panic!()
    };
    settings.check().unwrap_err()
}

//! JSON as people read it: names with blanks, times as dates, nothing as a dash.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use storepulse_shared::limits::TIME_MAX_MS;

/// From here on a number of milliseconds is a time, below it a duration.
const TIMES_FROM_MS: i64 = 100_000_000_000;
/// What is not there.
pub(super) const NOTHING: &str = "–";

/// Unix milliseconds UTC, as a date.
pub(super) fn time(ms: i64) -> String {
    let ms = ms.clamp(0, TIME_MAX_MS);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs())).to_string()
}

/// A value under its name.
pub(super) fn cell(name: &str, value: &Value) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_i64() {
            Some(ms) if name.ends_with("_ms") && ms >= TIMES_FROM_MS => time(ms),
            Some(ms) if name.ends_with("_ms") => format!("{ms} ms"),
            Some(bytes) if name.ends_with("bytes") && bytes >= 10 << 20 => {
                format!("{bytes} ({} MiB)", bytes >> 20)
            }
            Some(whole) => whole.to_string(),
            // Values are such numbers, also where they have no fraction.
            None => number.as_f64().map_or_else(|| number.to_string(), |value| value.to_string()),
        },
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Array(items) if items.is_empty() => NOTHING.to_owned(),
        Value::Array(items) => items.iter().map(|item| cell(name, item)).collect::<Vec<_>>().join(", "),
        Value::Object(entries) if entries.is_empty() => NOTHING.to_owned(),
        Value::Object(entries) => {
            let told = entries.iter().map(|(name, value)| format!("{} {}", words(name), cell(name, value)));
            told.collect::<Vec<_>>().join(", ")
        }
    }
}

/// A name as words.
fn words(name: &str) -> String {
    name.strip_suffix("_ms").unwrap_or(name).replace('_', " ")
}

/// The fields of an object but those that are lists of others.
pub(super) fn fields(value: &Value) -> Vec<(String, String)> {
    let of_one = |value: &Value| !matches!(value, Value::Array(items) if items.iter().any(Value::is_object));
    let entries = value.as_object().into_iter().flatten();
    entries.filter(|(_, value)| of_one(value)).map(|(name, value)| (words(name), cell(name, value))).collect()
}

/// The rows of a list of objects, with these columns.
pub(super) fn rows(list: &Value, columns: &[&str]) -> Vec<Vec<String>> {
    let row = |item: &Value| columns.iter().map(|name| cell(name, &item[*name])).collect();
    list.as_array().into_iter().flatten().map(row).collect()
}

/// A device's last 24 hours, a sign for each slot; `None` if that is not known.
pub(super) fn strip(history: &Value) -> Option<String> {
    let slots = history["slots"].as_array()?;
    let sign = |slot: &Value| match (slot["worst"].as_str(), slot["ok"].as_f64()) {
        (None, _) | (_, None) => '·',
        (Some("ok"), _) => '=',
        (Some("unreachable"), _) => 'U',
        (Some("fault"), _) => 'F',
        (Some(_), _) => 'S',
    };
    Some(slots.iter().map(sign).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_told_in_words() {
        let value = json!({"last_ack_ms": 1_763_700_000_123_i64, "window_ms": 250, "list": [{"a": 1}], "tags": ["x", "y"],
            "reason": null, "on": true, "disk_bytes": 64 << 20});
        let told: Vec<String> =
            fields(&value).into_iter().map(|(name, text)| format!("{name}: {text}")).collect();
        assert_eq!(
            told,
            [
                "disk bytes: 67108864 (64 MiB)",
                "last ack: 2025-11-21T04:40:00Z",
                "on: yes",
                "reason: –",
                "tags: x, y",
                "window: 250 ms"
            ]
        );
        assert_eq!(
            (cell("", &json!(30_343_168.0)).as_str(), cell("", &json!({})).as_str()),
            ("30343168", NOTHING)
        );
        assert_eq!(rows(&json!([{"a": 1}, {"b": 2}]), &["a"]), [["1"], ["–"]]);
    }

    #[test]
    fn a_strip_has_a_sign_for_each_slot() {
        let slot = |ok: Option<f64>, worst: Option<&str>| json!({"ok": ok, "worst": worst});
        let slots = [
            slot(None, None),
            slot(Some(1.0), Some("ok")),
            slot(Some(0.5), Some("unreachable")),
            slot(Some(0.0), Some("fault")),
        ];
        assert_eq!(strip(&json!({"slots": slots})).unwrap(), "·=UF");
        assert_eq!(strip(&json!({})), None);
    }
}

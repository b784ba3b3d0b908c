//! Whether a device or its bridge is there, as they say it themselves or as the broker says it for them (their last will):
//! zigbee2mqtt `{"state":"online"}` or the bare word, Tasmota `Online` and `Offline`, Shelly `true` and `false`.

use serde_json::Value;

use super::super::fault::FaultKind;
use super::super::parse::{Parsed, Subject, Unread, outcome};

pub(super) const SUBJECT: Subject = Subject {
    name: "mqtt/availability",
    vectors: &[
        br#"{"state":"online"}"#,
        br#"{"state":"offline"}"#,
        b"online",
        b"Offline",
        b"true",
        b"false",
        b"0",
        b"1",
    ],
    outcomes: &["online", "offline", "parse"],
    outcome: |bytes| outcome(parse(bytes), |online| if *online { "online" } else { "offline" }),
};

pub(super) fn parse(payload: &[u8]) -> Parsed<bool> {
    let bad = Unread::Bad(FaultKind::Parse);
    let text = std::str::from_utf8(payload).map_err(|_| bad)?.trim();
    let said = if text.starts_with('{') {
        let message: Value = serde_json::from_str(text).map_err(|_| bad)?;
        message["state"].as_str().ok_or(bad)?.to_ascii_lowercase()
    } else {
        text.to_ascii_lowercase()
    };
    match said.as_str() {
        "online" | "true" | "1" => Ok((true, payload.len())),
        "offline" | "false" | "0" => Ok((false, payload.len())),
        _ => Err(bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_all_formats_are_known() {
        for online in ["online", r#"{"state":"online"}"#, "Online", "true", "1", " online\n"] {
            assert_eq!(parse(online.as_bytes()), Ok((true, online.len())), "{online}");
        }
        for offline in ["offline", r#"{"state":"offline","x":1}"#, "Offline", "false", "0"] {
            assert_eq!(parse(offline.as_bytes()), Ok((false, offline.len())), "{offline}");
        }
        for bad in ["", "on line", "{}", "{\"state\":1}", "\u{ff}", "null"] {
            assert_eq!(parse(bad.as_bytes()), Err(Unread::Bad(FaultKind::Parse)), "{bad}");
        }
    }
}

//! The device of a foreign series: a valid id made of what its writer calls itself.
//!
//! Two names may become one id. Nothing is mixed up by that: the name as written stays among the labels of the series.

use storepulse_shared::ids::{AGENT_DEVICE, DEVICE_BYTES_MAX};

/// The device id for `name`, or `nameless` if there is none or nothing of it can stay. What an id cannot have becomes
/// `_`, what cannot begin one is left out, and it is cut at [`DEVICE_BYTES_MAX`]. The agent's own id is not given away.
pub(super) fn device_id(name: Option<&str>, nameless: &str) -> String {
    let name = name.unwrap_or_default().trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-');
    let id: String = name.chars().take(DEVICE_BYTES_MAX).map(|c| if allowed(c) { c } else { '_' }).collect();
    match id.as_str() {
        "" => nameless.to_owned(),
        AGENT_DEVICE => format!("{nameless}-{AGENT_DEVICE}"),
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use storepulse_shared::ids::check_device;

    use super::*;

    #[test]
    fn every_name_becomes_a_valid_id() {
        for (name, id) in [
            (Some("pos-01:9100"), "pos-01:9100"),
            (Some("[::1]:9100"), "1_:9100"),
            (Some("https://la-villa.example/check?x=1"), "https:__la-villa.example_check_x_1"),
            (Some("кассa"), "a"),
            (Some("agent"), "prometheus-agent"),
            (Some("***"), "prometheus"),
            (Some(""), "prometheus"),
            (None, "prometheus"),
        ] {
            assert_eq!(device_id(name, "prometheus"), id);
            assert_eq!(check_device(&device_id(name, "prometheus")), Ok(()));
        }
        assert_eq!(check_device(&device_id(Some(&"x".repeat(1_000)), "otlp")), Ok(()));
    }
}

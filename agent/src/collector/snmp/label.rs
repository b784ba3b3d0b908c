//! Names of interfaces and the like as labels.

use crate::collector::label::is_taken;

/// The value, if it may be one. Bytes of zero at the end, with which some devices fill up, are left out.
pub(super) fn label(bytes: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bytes).ok()?.trim_end_matches('\0');
    is_taken(text).then_some(text)
}

/// An index of a table: numbers, with dots between them.
pub(super) fn index(arcs: &[u32]) -> Option<String> {
    let text = arcs.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    label(text.as_bytes()).is_some().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_interfaces_are_labels_and_free_text_is_not() {
        for name in ["eth0", "GigabitEthernet1/0/24", "Gi0/1.100", "ge-0/0/0:2"] {
            assert_eq!(label(name.as_bytes()), Some(name));
        }
        assert_eq!(label(b"lan1\0\0"), Some("lan1"));
        for name in [
            "",
            "to the till",
            "a\"b",
            "4111111111111111",
            "x4111111111111111y",
            "caf\u{e9}",
            &"x".repeat(65),
        ] {
            assert_eq!(label(name.as_bytes()), None, "{name}");
        }
        assert_eq!(index(&[1, 24]).as_deref(), Some("1.24"));
    }
}

//! Durations and sizes as people read them, the same in every language.

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A duration in its two largest units: `45 s`, `12 min`, `3 h 20 min`, `5 d 4 h`. Its sign is left out.
pub(crate) fn duration(ms: i64) -> String {
    let ms = ms.checked_abs().unwrap_or(i64::MAX);
    let two = |large: i64, large_name: &str, small: i64, small_name: &str| match ms % large / small {
        0 => format!("{} {large_name}", ms / large),
        rest => format!("{} {large_name} {rest} {small_name}", ms / large),
    };
    match ms {
        DAY_MS.. => two(DAY_MS, "d", HOUR_MS, "h"),
        HOUR_MS.. => two(HOUR_MS, "h", MINUTE_MS, "min"),
        MINUTE_MS.. => format!("{} min", ms / MINUTE_MS),
        _ => format!("{} s", ms / SECOND_MS),
    }
}

/// A size in decimal units: `512 B`, `12 kB`, `1.4 GB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut unit, mut tenths) = (0, n.saturating_mul(10));
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1_000;
        unit += 1;
    }
    match (tenths / 10, tenths % 10) {
        (whole, rest) if whole < 10 && rest > 0 && unit > 0 => format!("{whole}.{rest} {}", UNITS[unit]),
        (whole, _) => format!("{whole} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_say_how_long() {
        for (ms, said) in [
            (0, "0 s"),
            (999, "0 s"),
            (45_000, "45 s"),
            (-61_000, "1 min"),
            (3 * HOUR_MS, "3 h"),
            (3 * HOUR_MS + 20 * MINUTE_MS, "3 h 20 min"),
            (5 * DAY_MS + 4 * HOUR_MS + MINUTE_MS, "5 d 4 h"),
            (i64::MIN, "106751991167 d 7 h"),
        ] {
            assert_eq!(duration(ms), said, "{ms}");
        }
    }

    #[test]
    fn sizes_are_short() {
        for (n, said) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1 kB"),
            (1_440_000_000, "1.4 GB"),
            (312_900_000, "312 MB"),
            (u64::MAX, "1844674 TB"),
        ] {
            assert_eq!(bytes(n), said, "{n}");
        }
    }
}

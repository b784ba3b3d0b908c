//! Numbers and times in the spelling of Prometheus' JSON and texts.

/// A value as in Prometheus' JSON: `1`, `0.1`, `1e+21`, `+Inf`, `NaN`.
pub(super) fn value(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && size.is_finite() && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    value_in_label(value)
}

/// A value as a label says it, always without an exponent.
pub(super) fn value_in_label(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value == f64::INFINITY {
        "+Inf".to_owned()
    } else if value == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else {
        value.to_string()
    }
}

/// A time, Unix milliseconds, in seconds: `1435781451`, `1435781451.781`.
pub(super) fn time(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let (seconds, rest) = (ms.unsigned_abs() / 1_000, ms.unsigned_abs() % 1_000);
    if rest == 0 { format!("{sign}{seconds}") } else { format!("{sign}{seconds}.{rest:03}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_spelled_as_prometheus_spells_them() {
        for (number, text) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (-0.0, "-0"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-2.5e-7, "-2.5e-07"),
            (1e-6, "0.000001"),
            (1e300, "1e+300"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(value(number), text);
        }
        assert_eq!(value_in_label(1e21), "1000000000000000000000");
    }

    #[test]
    fn times_have_milliseconds_where_they_need_them() {
        for (ms, text) in [
            (0, "0"),
            (1_000, "1"),
            (1_435_781_451_781, "1435781451.781"),
            (1_005, "1.005"),
            (-1_500, "-1.500"),
        ] {
            assert_eq!(time(ms), text);
        }
    }
}

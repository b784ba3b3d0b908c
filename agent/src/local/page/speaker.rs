//! Words, numbers, spans and times as people of a language write them.
//!
//! Times are UTC and say so: the box is often a container that knows no other zone. Where there is a script, it writes them in
//! the zone of the telephone that shows the page.

use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::words;
use crate::language::Language;

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;
/// Numbers above are not written out; they are no readings.
const WRITTEN_MAX: f64 = 1e15;
/// Between a number and its unit, so that no line ends there.
const JOINED: char = '\u{a0}';

/// Somebody who speaks a language.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speaker {
    language: Language,
}

impl Speaker {
    /// Of this language.
    #[must_use]
    pub(crate) const fn new(language: Language) -> Self {
        Self { language }
    }

    /// Which.
    #[must_use]
    pub(crate) const fn language(self) -> Language {
        self.language
    }

    /// The words under this key.
    #[must_use]
    pub(crate) fn say(self, key: &str) -> &'static str {
        words::say(self.language, key)
    }

    /// The words of something that has its name elsewhere: `kind` and `escpos`.
    #[must_use]
    pub(crate) fn call(self, family: &str, name: &str) -> Option<&'static str> {
        words::find(self.language, &format!("{family}.{name}"))
    }

    /// The words under this key, filled in.
    #[must_use]
    pub(crate) fn fill(self, key: &str, with: &[(&str, &str)]) -> String {
        words::fill(self.language, key, with)
    }

    /// The form for so many, which stand for `{n}`.
    #[must_use]
    pub(crate) fn count(self, key: &str, n: u64) -> String {
        words::count(self.language, key, n, &[("n", &self.whole(n))])
    }

    /// A number with so many decimals at most, none of them an idle zero unless `fixed`.
    #[must_use]
    pub(crate) fn number(self, value: f64, decimals: usize) -> String {
        if !value.is_finite() || value.abs() > WRITTEN_MAX {
            return format!("{value:e}");
        }
        let plain = format!("{value:.decimals$}");
        let (sign, digits) =
            plain.strip_prefix('-').map_or(("", plain.as_str()), |digits| ("\u{2212}", digits));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let nothing = whole == "0" && part.bytes().all(|digit| digit == b'0');
        let point = if self.language == Language::En { "." } else { "," };
        let part = if part.is_empty() { String::new() } else { format!("{point}{part}") };
        format!("{}{}{part}", if nothing { "" } else { sign }, self.grouped(whole))
    }

    /// A count.
    #[must_use]
    pub(crate) fn whole(self, n: u64) -> String {
        self.grouped(&n.to_string())
    }

    /// Thousands apart; in Spanish from five digits on, by a blank.
    fn grouped(self, digits: &str) -> String {
        let (gap, from) = match self.language {
            Language::En => (',', 4),
            Language::Es => (JOINED, 5),
            Language::Pt => ('.', 4),
        };
        if digits.len() < from {
            return digits.to_owned();
        }
        let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                grouped.push(gap);
            }
            grouped.push(digit);
        }
        grouped
    }

    /// A number and its unit.
    #[must_use]
    pub(crate) fn with_unit(self, value: f64, decimals: usize, unit: &str) -> String {
        format!("{}{JOINED}{unit}", self.number(value, decimals))
    }

    /// Bytes, in steps of a thousand.
    #[must_use]
    pub(crate) fn bytes(self, bytes: f64) -> String {
        let steps = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
        match steps.into_iter().find(|(step, _)| bytes.abs() >= *step) {
            Some((step, unit)) => {
                let value = bytes / step;
                self.with_unit(value, usize::from(value.abs() < 10.0), unit)
            }
            None => self.with_unit(bytes, 0, "B"),
        }
    }

    /// How long, in its largest unit: `850 ms`, `3 min`, `5 d`.
    #[must_use]
    pub(crate) fn span(self, seconds: f64) -> String {
        let size = seconds.abs();
        let (value, decimals, unit) = if size < 1.0 && size > 0.0 {
            let ms = seconds * 1e3;
            (ms, usize::from(ms.abs() < 10.0), "ms")
        } else if size < 2.0 * MINUTE {
            (seconds.trunc(), 0, "s")
        } else if size < 2.0 * HOUR {
            ((seconds / MINUTE).trunc(), 0, "min")
        } else if size < 2.0 * DAY {
            ((seconds / HOUR).trunc(), 0, "h")
        } else {
            ((seconds / DAY).trunc(), 0, self.say("days"))
        };
        self.with_unit(value, decimals, unit)
    }

    /// How long between two times; nothing is older than now.
    #[must_use]
    pub(crate) fn between(self, from_ms: i64, to_ms: i64) -> String {
        self.span(whole_seconds(from_ms, to_ms))
    }

    /// `3 min ago`.
    #[must_use]
    pub(crate) fn ago(self, then_ms: i64, now_ms: i64) -> String {
        self.fill("ago", &[("span", &self.between(then_ms, now_ms))])
    }

    /// A time: of today its hour, else its day as well.
    #[must_use]
    pub(crate) fn time(self, ms: i64, now_ms: i64) -> Markup {
        let Some((time, now)) = date(ms).zip(date(now_ms)) else { return html! { "\u{2013}" } };
        let written = if time.date() == now.date() {
            time.format(format_description!("[hour]:[minute] UTC"))
        } else if self.language == Language::En {
            time.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC"))
        } else {
            time.format(format_description!("[day]/[month]/[year] [hour]:[minute] UTC"))
        };
        let (Ok(written), Ok(exact)) = (written, time.format(&Rfc3339)) else { return html! { "\u{2013}" } };
        html! { time datetime=(exact) { (written) } }
    }
}

fn date(ms: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).ok()
}

#[expect(clippy::cast_precision_loss, reason = "an age for people")]
fn whole_seconds(from_ms: i64, to_ms: i64) -> f64 {
    (to_ms.saturating_sub(from_ms).max(0) / 1_000) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const EN: Speaker = Speaker::new(Language::En);
    const ES: Speaker = Speaker::new(Language::Es);
    const PT: Speaker = Speaker::new(Language::Pt);

    /// With plain blanks.
    fn plain(text: &str) -> String {
        text.replace(JOINED, " ")
    }

    #[test]
    fn numbers_are_written_as_in_the_language() {
        assert_eq!(EN.number(1234.56, 1), "1,234.6");
        assert_eq!(ES.number(1234.56, 1), "1234,6");
        assert_eq!(plain(&ES.number(-1_234_567.0, 0)), "\u{2212}1 234 567");
        assert_eq!(PT.number(1234.56, 2), "1.234,56");
        assert_eq!(EN.number(-0.04, 1), "0.0", "there is no negative nothing");
        assert_eq!(EN.number(f64::NAN, 1), "NaN");
        assert_eq!(EN.number(1e300, 1), "1e300");
        assert_eq!(EN.whole(999), "999");
        assert_eq!(EN.whole(1_000), "1,000");
    }

    #[test]
    fn spans_and_bytes_have_the_unit_that_fits() {
        for (seconds, written) in [
            (0.0, "0 s"),
            (0.0042, "4.2 ms"),
            (0.85, "850 ms"),
            (59.9, "59 s"),
            (180.0, "3 min"),
            (7_200.0, "2 h"),
            (5.0 * DAY, "5 d"),
            (-3.0 * DAY, "\u{2212}3 d"),
        ] {
            assert_eq!(plain(&EN.span(seconds)), written);
        }
        assert_eq!(plain(&ES.bytes(1_500_000_000.0)), "1,5 GB");
        assert_eq!(plain(&EN.bytes(64_000_000_000.0)), "64 GB");
        assert_eq!(plain(&EN.bytes(12.0)), "12 B");
    }

    #[test]
    fn ages_are_told_and_never_negative() {
        assert_eq!(plain(&ES.ago(0, 180_000)), "hace 3 min");
        assert_eq!(plain(&PT.ago(0, 180_000)), "há 3 min");
        assert_eq!(plain(&EN.ago(0, 180_000)), "3 min ago");
        assert_eq!(plain(&EN.ago(5_000, 0)), "0 s ago", "a clock that was set back");
    }

    #[test]
    fn times_say_their_zone_and_the_day_if_it_is_another() {
        let at = 1_763_721_000_000;
        let today = EN.time(at, at + 60_000).into_string();
        assert_eq!(today, r#"<time datetime="2025-11-21T10:30:00Z">10:30 UTC</time>"#);
        assert!(EN.time(at, at + 86_400_000).into_string().contains(">2025-11-21 10:30 UTC<"));
        assert!(PT.time(at, at + 86_400_000).into_string().contains(">21/11/2025 10:30 UTC<"));
        assert_eq!(EN.time(i64::MAX, 0).into_string(), "\u{2013}");
    }
}

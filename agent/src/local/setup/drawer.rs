//! Which level of the printer's pin means that the drawer is open. A printer tells the level only; what it means depends on
//! the drawer, so somebody closes it and opens it, and both levels are compared.

use std::fmt;
use std::str::FromStr;

/// What is seen of a printer's pin: 1 is high.
pub(super) const PIN: &str = "drawer_pin";

/// A level of the pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    High,
    Low,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::High => "high",
            Self::Low => "low",
        })
    }
}

/// What comes back from a form is one of two words, or nothing.
impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "high" => Ok(Self::High),
            "low" => Ok(Self::Low),
            _ => Err(()),
        }
    }
}

impl Level {
    /// As it was just seen, if the printer tells it.
    pub(super) fn seen(pin: Option<f64>) -> Option<Self> {
        pin.map(|level| if level > 0.5 { Self::High } else { Self::Low })
    }
}

/// What both levels say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Polarity {
    /// Open is this level.
    OpenWhen(Level),
    /// The level stayed as it was: no drawer, its cable, another pin, or it was not moved.
    Unchanged(Level),
}

impl Polarity {
    pub(super) fn of(closed: Level, open: Level) -> Self {
        if closed == open { Self::Unchanged(open) } else { Self::OpenWhen(open) }
    }

    /// The line for the block of the printer in the configuration.
    pub(super) fn configuration(self) -> Option<String> {
        match self {
            Self::OpenWhen(level) => Some(format!("drawer: {{ open_when: {level} }}")),
            Self::Unchanged(_) => None,
        }
    }

    /// For the record, in English as all events.
    pub(super) fn record(self) -> String {
        match self {
            Self::OpenWhen(level) => {
                format!("the drawer was closed and opened: its pin is {level} when it is open")
            }
            Self::Unchanged(level) => {
                format!("the drawer was closed and opened, and its pin stayed {level}: no drawer is seen")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Level::{High, Low};
    use super::*;
    use crate::collector::Kind;

    #[test]
    fn the_level_at_the_open_drawer_is_the_one_that_counts() {
        assert_eq!(Polarity::of(Low, High), Polarity::OpenWhen(High));
        assert_eq!(Polarity::of(High, Low), Polarity::OpenWhen(Low));
        assert_eq!(Polarity::of(High, High), Polarity::Unchanged(High));
        assert_eq!(Polarity::of(Low, Low).configuration(), None);
    }

    #[test]
    fn the_line_for_the_configuration_is_one_that_it_takes() {
        for (closed, open) in [(Low, High), (High, Low)] {
            let line = Polarity::of(closed, open).configuration().unwrap();
            let block = format!("escpos:\n  tcp: 192.0.2.1:9100\n  {line}\n");
            serde_yaml::from_str::<Kind>(&block).unwrap_or_else(|error| panic!("{block}{error}"));
        }
    }

    #[test]
    fn only_the_two_words_come_back_from_a_form() {
        for level in [High, Low] {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        for forged in ["", "High", "1", "high\n", "<b>high</b>"] {
            assert_eq!(forged.parse::<Level>(), Err(()), "{forged:?}");
        }
    }

    #[test]
    fn a_printer_that_tells_no_level_has_none() {
        assert_eq!(Level::seen(None), None);
        assert_eq!(Level::seen(Some(1.0)), Some(High));
        assert_eq!(Level::seen(Some(0.0)), Some(Low));
    }
}

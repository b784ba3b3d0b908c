//! The languages that mail is written in, and times in their words.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A language of mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Language {
    /// English.
    En,
    /// Spanish, with *usted*.
    Es,
    /// Portuguese, as it is written in Brazil.
    Pt,
}

impl Language {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::En, Self::Es, Self::Pt];

    /// As it is written everywhere (BCP 47).
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Es => "es",
            Self::Pt => "pt",
        }
    }

    /// A time in words, never more than it is: days from two on or where it is exactly one, hours below, and minutes where it is
    /// not even one hour.
    pub(super) fn words_of(self, time: Duration) -> String {
        let minutes = time.as_secs() / 60;
        let hours = minutes / 60;
        let (count, one, more) = if hours >= 48 || minutes == 24 * 60 {
            (hours / 24, ["day", "día", "dia"], ["days", "días", "dias"])
        } else if hours >= 1 {
            (hours, ["hour", "hora", "hora"], ["hours", "horas", "horas"])
        } else {
            (minutes.max(1), ["minute", "minuto", "minuto"], ["minutes", "minutos", "minutos"])
        };
        let [en, es, pt] = if count == 1 { one } else { more };
        let unit = match self {
            Self::En => en,
            Self::Es => es,
            Self::Pt => pt,
        };
        format!("{count} {unit}")
    }
}

impl FromStr for Language {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|language| language.as_str() == text).ok_or(())
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_read_as_it_is_written() {
        for language in Language::ALL {
            assert_eq!(language.to_string().parse(), Ok(language));
            let json = serde_json::to_string(&language).unwrap();
            assert_eq!(json, format!("\"{language}\""));
            assert_eq!(serde_json::from_str::<Language>(&json).unwrap(), language);
        }
        assert_eq!("EN".parse::<Language>(), Err(()));
    }

    #[test]
    fn a_time_is_told_in_the_words_of_each_language() {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        for (seconds, words) in [
            (0, ["1 minute", "1 minuto", "1 minuto"]),
            (30 * MINUTE, ["30 minutes", "30 minutos", "30 minutos"]),
            (HOUR, ["1 hour", "1 hora", "1 hora"]),
            (2 * HOUR, ["2 hours", "2 horas", "2 horas"]),
            (DAY, ["1 day", "1 día", "1 dia"]),
            (DAY + 59, ["1 day", "1 día", "1 dia"]),
            (DAY + HOUR, ["25 hours", "25 horas", "25 horas"]),
            (2 * DAY, ["2 days", "2 días", "2 dias"]),
            (7 * DAY, ["7 days", "7 días", "7 dias"]),
        ] {
            assert_eq!(Language::ALL.map(|of| of.words_of(Duration::from_secs(seconds))), words);
        }
    }

    #[test]
    fn a_time_is_never_told_longer_than_it_is() {
        for (seconds, words) in [(3_599, "59 minutes"), (7_199, "1 hour"), (3 * 24 * 3_600 - 1, "2 days")] {
            assert_eq!(Language::En.words_of(Duration::from_secs(seconds)), words);
        }
    }
}

//! The languages that people in shops read.

use serde::Serialize;

/// A language of the local page and of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// Spanish.
    Es,
    /// Portuguese.
    Pt,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::En, Self::Es, Self::Pt];

    /// Its code, as in `lang="es"`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Es => "es",
            Self::Pt => "pt",
        }
    }

    /// What it calls itself.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Es => "Español",
            Self::Pt => "Português",
        }
    }

    /// The language of a tag such as `pt-BR` or `es_MX.UTF-8`, if it is one of ours.
    #[must_use]
    pub fn of_tag(tag: &str) -> Option<Self> {
        let code = tag.trim().split(['-', '_', '.', ';']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| language.code().eq_ignore_ascii_case(code))
    }

    /// The first of ours in an `Accept-Language` header; its order is taken for the reader's, as browsers write it.
    #[must_use]
    pub fn of_header(accepted: &str) -> Option<Self> {
        accepted.split(',').find_map(Self::of_tag)
    }

    /// What the environment of a command says: `STOREPULSE_LANG`, then `LC_ALL`, `LC_MESSAGES`, `LANG`; English otherwise.
    #[must_use]
    pub fn of_environment() -> Self {
        let names = ["STOREPULSE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"];
        #[expect(clippy::disallowed_methods, reason = "it tells how people want to read, not what is done")]
        let set = names.iter().filter_map(|name| std::env::var(name).ok()).find(|tag| !tag.is_empty());
        set.and_then(|tag| Self::of_tag(&tag)).unwrap_or(Self::En)
    }
}

#[cfg(test)]
mod tests {
    use super::Language::{En, Es, Pt};
    use super::*;

    #[test]
    fn tags_and_headers_name_languages() {
        for (tag, language) in [
            ("es", Some(Es)),
            ("ES-mx", Some(Es)),
            ("pt_BR.UTF-8", Some(Pt)),
            ("en;q=0.5", Some(En)),
            ("fr", None),
            ("", None),
            ("C.UTF-8", None),
        ] {
            assert_eq!(Language::of_tag(tag), language, "{tag}");
        }
        assert_eq!(Language::of_header("fr-CH, pt;q=0.9, es;q=0.8"), Some(Pt));
        assert_eq!(Language::of_header("fr, *;q=0.1"), None);
    }
}

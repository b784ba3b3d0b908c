//! Mail to people: what it says, in their language, and how it leaves.
//!
//! ```text
//! (kind, language, brand, fields, own words?) ─► render ─► subject, plain text, HTML ─► Mailer::send ─► a mail server
//! ```
//!
//! The words stand in `templates/`, one file for each kind and language. A tenant may put its own in their place, which
//! [`check_own`] has looked at before they are kept; words that it would refuse today are passed over for ours, so that nobody
//! waits for a link that does not come.
//!
//! What people typed (names, own words) never gets further than its place: it is one line in a subject, text in the HTML, and is
//! not searched for blanks again. A link holds the token that it is good for, so what holds a link has no `Debug`.
//!
//! Who gets which mail, and when one is tried again, is not decided here.

mod blanks;
mod html;
pub(crate) mod language;
mod message;
mod own;
pub mod smtp;
mod templates;
mod url;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub(crate) use self::language::Language;
pub(crate) use self::message::render;
pub(crate) use self::own::check_own;

/// What a mail is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Somebody may become a user.
    Invitation,
    /// Somebody asked for a new password.
    PasswordReset,
    /// A password is another one now; there is nothing to open.
    PasswordChanged,
    /// Somebody signed up, and says so with the link.
    SignUp,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 4] =
        [Self::Invitation, Self::PasswordReset, Self::PasswordChanged, Self::SignUp];

    /// As it is written everywhere.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::PasswordReset => "password_reset",
            Self::PasswordChanged => "password_changed",
            Self::SignUp => "sign_up",
        }
    }

    /// Whether such a mail is of no use without its link.
    const fn has_link(self) -> bool {
        !matches!(self, Self::PasswordChanged)
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a mail says of the tenant.
#[derive(Debug, Clone)]
pub(crate) struct Brand {
    /// As people read it, in any script.
    pub name: String,
    /// `#1f6feb`; anything else is our own colour.
    pub colour: String,
}

/// What goes into the blanks.
#[derive(Clone)]
pub(crate) struct Fields {
    /// What the tenant is called where one signs in.
    pub tenant_id: String,
    /// Who is addressed; empty where nobody knows it yet.
    pub name: String,
    /// An absolute https URL with its token; none where there is nothing to open.
    pub link: Option<String>,
    /// How long the link is good.
    pub good_for: Duration,
}

/// A tenant's own words, with blanks as in `templates/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Own {
    /// One line.
    pub subject: String,
    /// Paragraphs, with an empty line between them.
    pub text: String,
}

/// A mail that only lacks whom it is for.
#[derive(Clone)]
pub(crate) struct Rendered {
    /// One line.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The same as a page.
    pub html: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_as_it_is_written() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!("Invitation".parse::<Kind>(), Err(()));
    }
}

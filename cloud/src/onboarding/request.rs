//! What is to be onboarded, checked before anything is made.
//!
//! Names may be in every script, as everywhere ([`text`]); whatever they hold, the templates escape it
//! ([`super::template`]).

use axum::http::Uri;
use storepulse_shared::ids::{StoreId, TenantId};

use super::OnboardError;
use crate::operator::text;

/// Stores that one call makes at most.
pub const STORES_MAX: usize = 5_000;
/// Characters of an e-mail address at most (RFC 5321).
const EMAIL_CHARS_MAX: usize = 254;
/// Numbers for WhatsApp at most.
const WHATSAPP_MAX: usize = 10;

/// What to make.
#[derive(Debug, Clone)]
pub struct Request {
    /// The tenant.
    pub tenant: TenantId,
    /// Its company; of a tenant that exists, the one it has stays.
    pub company: String,
    /// Its plan; of a tenant that exists, the one it has stays.
    pub plan: String,
    /// Whom to ask; what a tenant that exists has stays.
    pub contacts: Contacts,
    /// Its stores; those that exist stay.
    pub stores: Vec<StoreId>,
    /// Where the agents reach the cloud: `https://host[:port]`.
    pub cloud_url: String,
    /// PEM of an authority for the agents.
    pub ca: Option<String>,
}

/// Whom to ask about a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contacts {
    /// For bills and notices.
    pub email: Option<String>,
    /// A person.
    pub admin: Option<String>,
    /// Telephone numbers, with the country's, digits only.
    pub whatsapp: Vec<String>,
}

impl Contacts {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The names that stores get which were asked for by their number: T01, T02, …
///
/// # Errors
/// Too many, or none.
pub fn numbered_stores(count: usize) -> Result<Vec<StoreId>, OnboardError> {
    if !(1..=STORES_MAX).contains(&count) {
        return Err(bad(format!("stores: {count}, 1 to {STORES_MAX}")));
    }
    let names = (1..=count).map(|n| format!("T{n:02}").parse());
    names.collect::<Result<_, _>>().map_err(|e| bad(format!("stores: {e}")))
}

impl Request {
    /// # Errors
    /// Names what is wrong and what is allowed.
    pub(crate) fn check(&self) -> Result<(), OnboardError> {
        check_name("company", &self.company)?;
        self.contacts.admin.as_deref().map_or(Ok(()), |admin| check_name("admin", admin))?;
        self.contacts.email.as_deref().map_or(Ok(()), check_email)?;
        if self.contacts.whatsapp.len() > WHATSAPP_MAX {
            return Err(bad(format!(
                "whatsapp: {} numbers, at most {WHATSAPP_MAX}",
                self.contacts.whatsapp.len()
            )));
        }
        self.contacts.whatsapp.iter().try_for_each(|number| check_number(number))?;
        if !(1..=STORES_MAX).contains(&self.stores.len()) {
            return Err(bad(format!("stores: {}, 1 to {STORES_MAX}", self.stores.len())));
        }
        let mut names: Vec<_> = self.stores.iter().map(|store| store.as_str().to_ascii_lowercase()).collect();
        names.sort_unstable();
        if let Some([twice, _]) = names.array_windows().find(|[a, b]| a == b) {
            return Err(bad(format!("stores: {twice:?} is there twice (A and a are the same)")));
        }
        if self.ca.as_ref().is_some_and(|pem| !pem.contains("-----BEGIN CERTIFICATE-----")) {
            return Err(bad("ca: holds no certificate in PEM".to_owned()));
        }
        check_url(&self.cloud_url)
    }
}

fn bad(why: String) -> OnboardError {
    OnboardError::BadRequest(why)
}

/// Whether it would end a line, in a file of some kind.
pub(super) fn ends_lines(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn check_name(what: &str, name: &str) -> Result<(), OnboardError> {
    text::check_name(what, name).map_err(|refusal| bad(refusal.to_string()))
}

fn check_email(email: &str) -> Result<(), OnboardError> {
    let plain = |text: &str| !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || ends_lines(c));
    let is_address =
        email.split_once('@').is_some_and(|(who, at)| plain(who) && plain(at) && !at.contains('@'));
    if is_address && email.chars().count() <= EMAIL_CHARS_MAX {
        return Ok(());
    }
    Err(bad(format!("email: {email:.80?} is not name@domain of at most {EMAIL_CHARS_MAX} characters")))
}

fn check_number(number: &str) -> Result<(), OnboardError> {
    let digits = number.strip_prefix('+').unwrap_or(number);
    if (6..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(());
    }
    Err(bad(format!(
        "whatsapp: {number:.40?} is not a number of 6 to 15 digits, with or without + before it"
    )))
}

/// As the agent checks it: a key over plain HTTP would be read by whoever listens.
fn check_url(url: &str) -> Result<(), OnboardError> {
    let refused = || {
        Err(bad(format!(
            "cloud_url: {url:.200?} is not https://host[:port] (http only to this machine itself), without a path"
        )))
    };
    let Ok(parsed) = url.parse::<Uri>() else { return refused() };
    let (host, has_user) = (parsed.host().unwrap_or_default(), url.contains('@'));
    let loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let scheme_fits = match parsed.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => loopback,
        _ => false,
    };
    if scheme_fits && !has_user && parsed.path().len() <= 1 && parsed.query().is_none() {
        return Ok(());
    }
    refused()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            tenant: "cliente3".parse().unwrap(),
            company: "Retail Corp".to_owned(),
            plan: "basic".to_owned(),
            contacts: Contacts::default(),
            stores: numbered_stores(5).unwrap(),
            cloud_url: "https://cloud.example".to_owned(),
            ca: None,
        }
    }

    #[test]
    fn names_of_every_script_are_taken_and_those_that_end_lines_are_not() {
        for company in ["Panadería Núñez", "株式会社", "متجر", "магазин", "A&B \"C\" $(x) `y` {{z}}", "🛒"]
        {
            assert!(Request { company: company.to_owned(), ..request() }.check().is_ok(), "{company}");
        }
        for company in ["", "  ", "a\nb", "a\rb", "a\0b", "a\u{85}b", "a\u{2028}b", &"x".repeat(201)] {
            let error = Request { company: company.to_owned(), ..request() }.check().unwrap_err().to_string();
            assert!(error.contains("company") && error.contains("200") && error.len() < 600, "{error}");
        }
    }

    #[test]
    fn mistakes_say_what_is_allowed() {
        let contact = |contacts| Request { contacts, ..request() };
        let email = |e: &str| contact(Contacts { email: Some(e.to_owned()), ..Contacts::default() });
        let number = |n: &str| contact(Contacts { whatsapp: vec![n.to_owned()], ..Contacts::default() });
        let url = |u: &str| Request { cloud_url: u.to_owned(), ..request() };
        for good in
            [email("a@b.example"), number("1234567890"), number("+34600000000"), url("http://127.0.0.1:1")]
        {
            good.check().unwrap();
        }
        for (wrong, why) in [
            (email("a b@c"), "name@domain"),
            (email("a@b\r\nBcc: x"), "name@domain"),
            (number("12-34"), "digits"),
            (url("http://cloud.example"), "https://"),
            (url("https://cloud.example/v1"), "path"),
            (url("https://user:secret@cloud.example"), "https://"),
            (url("https://cloud.example\n"), "https://"),
            (Request { ca: Some("x".to_owned()), ..request() }, "PEM"),
            (Request { stores: vec!["T1".parse().unwrap(), "t1".parse().unwrap()], ..request() }, "twice"),
        ] {
            let error = wrong.check().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(numbered_stores(0).is_err() && numbered_stores(STORES_MAX + 1).is_err());
    }
}

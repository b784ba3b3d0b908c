//! The pages for whoever stands in the shop with a telephone: no internet, no account, three languages, with or without script.
//!
//! Everything is HTML that is made here, by maud, which escapes whatever comes from outside; a file of style and one of script
//! are compiled in. The script only brings the same HTML again. Nothing here changes anything: what a form asks for is done by
//! [`super::action`], and who may ask is decided elsewhere.
//!
//! ```text
//! handlers ─► home    = verdict, devices, uplink, spool, machine, actions   ─► shell ─► Response
//!          ├► device, job, sign_in                                          ─┘
//!          └► files   = style.css, page.js, icon.svg
//! speaker = words in a language, numbers, ages, times       values = what a series says       strip = 24 hours
//! ```
//!
//! The contract with its tests in a browser: `main[data-verdict]`, `[data-finding]` with `.text` and `.next`,
//! `[data-device][data-state]` with `.value`, `.age`, `.error`, `.strip`, `section#uplink[data-cause][data-broken]` with
//! `[data-step][data-is]`, `section#spool`, `section#box`, `nav.languages a[hreflang]`, `form[data-action]`, `form#sign-in`.

mod actions;
mod device;
mod devices;
#[cfg(test)]
mod example;
mod files;
mod handlers;
mod home;
mod job;
mod machine;
mod shell;
mod sign_in;
mod speaker;
mod spool;
mod strip;
#[cfg(test)]
mod tests;
mod uplink;
mod values;
mod verdict;
mod words;

pub(crate) use self::files::{show_icon, show_script, show_style};
pub(crate) use self::handlers::{show_device, show_fragment, show_home};
pub(crate) use self::job::job;
pub(crate) use self::shell::shell;
pub(crate) use self::sign_in::sign_in;
use self::speaker::Speaker;
use crate::language::Language;

/// What a kind of device is called.
pub(crate) fn kind(language: Language, name: &str) -> Option<&'static str> {
    Speaker::new(language).call("kind", name)
}

//! The file around the parts: its head, the list of what is in it, its style; and a last look for secrets.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::gather::Gathered;
use super::redact::Redactor;
use super::section::{Section, size};
use super::{BYTES_MAX, Bundle, report, told};

/// Characters of the store's name in the name of the file.
const STORE_CHARS_MAX: usize = 50;

/// Writes all of it down.
pub(super) fn write(of: &Gathered) -> Bundle {
    let mut sections = report::sections(of);
    let redactor = &of.configuration.redactor;
    let identity = of.agent.status.as_ref().map_or(&Value::Null, |status| &status["identity"]);
    let name = |field: &str| identity[field].as_str().unwrap_or("unknown").to_owned();
    let (tenant, store) = (name("tenant"), name("store"));
    let file_name = redactor.clean(&file_name(&store, of.made_ms));
    loop {
        let html = clean_page(&page(&tenant, &store, of.made_ms, &sections).into_string(), redactor);
        // The limits of its parts keep it below; marks could be longer than what they stand for.
        if html.len() <= BYTES_MAX || sections.pop().is_none() {
            return Bundle { file_name, html };
        }
    }
}

fn page(tenant: &str, store: &str, made_ms: i64, sections: &[Section<'_>]) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { "StorePulse support: " (store) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                h1 { "StorePulse support bundle" }
                p { "Store " b { (store) } " of " b { (tenant) } ", " (told::time(made_ms)) }
                p class="note" {
                    "Keys, passwords and card numbers were taken out. What matters most is at the top; what a program can read is at the end."
                }
                (contents(sections))
                main { @for section in sections { (section.render()) } }
            }
        }
    }
}

/// What is in it, with sizes.
fn contents(sections: &[Section<'_>]) -> Markup {
    html! {
        nav { ul {
            @for section in sections {
                li {
                    a href={ "#" (section.id) } { (section.title) }
                    " " span class="size" { (size(section.bytes())) }
                    @if !section.cuts().is_empty() { " " span class="cut" { "cut" } }
                }
            }
        } }
    }
}

/// `storepulse-support-<store>-<UTC time>.html`
fn file_name(store: &str, made_ms: i64) -> String {
    let plain = store.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-');
    let store: String = plain.take(STORE_CHARS_MAX).collect();
    let time = told::time(made_ms).replace(['-', ':'], "");
    format!("storepulse-support-{}-{time}.html", if store.is_empty() { "unknown" } else { &store })
}

/// A last look at the finished text, between tags: what was put together on the way could have become a secret again.
fn clean_page(page: &str, redactor: &Redactor) -> String {
    let (head, body) = page.split_at(page.find("</style>").unwrap_or_default());
    let mut clean = String::with_capacity(page.len());
    clean.push_str(head);
    let mut rest = body;
    while let Some(at) = rest.find('>') {
        let (tag, behind) = rest.split_at(at + 1);
        clean.push_str(tag);
        let end = behind.find('<').unwrap_or(behind.len());
        let (text, next) = behind.split_at(end);
        clean.push_str(&clean_text(text, redactor));
        rest = next;
    }
    clean.push_str(rest);
    clean
}

fn clean_text(text: &str, redactor: &Redactor) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    let plain = entities.iter().fold(text.to_owned(), |text, (entity, sign)| text.replace(entity, sign));
    let clean = redactor.clean(&plain);
    if clean == plain { text.to_owned() } else { html! { (clean) }.into_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_named_after_store_and_time() {
        assert_eq!(file_name("S-042", 1_763_700_000_123), "storepulse-support-S-042-20251121T044000Z.html");
        assert_eq!(file_name("../x y", 0), "storepulse-support-xy-19700101T000000Z.html");
        assert_eq!(file_name("", 0), "storepulse-support-unknown-19700101T000000Z.html");
    }

    #[test]
    fn the_last_look_finds_secrets_behind_entities_and_leaves_the_page_alone() {
        let mut redactor = Redactor::default();
        redactor.add("a<\"&b>c");
        redactor.add("section");
        let text = html! { "x" section id="section" { p { "say a<\"&b>c & <b> section" } } }.into_string();
        let page = format!("<style>section{{}}</style>{text}");
        let clean = clean_page(&page, &redactor);
        assert!(clean.contains("<style>section{}</style>x<section id=\"section\"><p>say [redacted] &amp; &lt;b&gt; [redacted]</p>"), "{clean}");
    }
}

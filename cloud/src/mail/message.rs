//! From words with blanks to a mail: the subject, the plain text, and the HTML of the same paragraphs.

use super::blanks::{self, Blank, Piece};
use super::{Brand, Fields, Kind, Language, Own, Rendered, check_own, html, templates};

/// Fills the words of a kind, the tenant's own or ours.
pub(crate) fn render(
    kind: Kind,
    language: Language,
    brand: &Brand,
    fields: &Fields,
    own: Option<&Own>,
) -> Rendered {
    let ours = templates::words(kind, language);
    // What was kept by an older rule is looked at again, since a mail without its link helps nobody.
    let (subject, text) = match own.filter(|own| check_own(kind, own).is_ok()) {
        Some(own) => (own.subject.as_str(), own.text.as_str()),
        None => (ours.subject, ours.text),
    };
    let values = Values::new(language, brand, fields);
    let subject = one_line(&values.fill(&pieces(subject), as_it_is));
    let paragraphs = blanks::paragraphs(text);
    let mut plain = Vec::with_capacity(paragraphs.len());
    let mut page = html::Page::new(language, brand, &subject);
    for paragraph in &paragraphs {
        let pieces = pieces(paragraph);
        plain.push(values.fill(&pieces, as_it_is));
        if pieces == [Piece::Blank(Blank::Link)] {
            page.button(&values.link, templates::button(kind, language), templates::without_button(language));
        } else {
            page.paragraph(&values.fill(&pieces, html::show));
        }
    }
    Rendered { subject, text: plain.join("\n\n") + "\n", html: page.end() }
}

/// All of these words have been checked: a tenant's by [`check_own`], ours by a test.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    blanks::parse(text).unwrap_or_default()
}

fn as_it_is(_: Option<Blank>, text: &str) -> String {
    text.to_owned()
}

/// What can end a line, turn the direction of a text, or hide what it says.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A text in one line, whatever it was: no head of a mail can be left with it.
pub(super) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || is_hidden(c)).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// What goes into the blanks, each in one line.
struct Values {
    tenant: String,
    name: String,
    link: String,
    good_for: String,
    tenant_id: String,
}

impl Values {
    fn new(language: Language, brand: &Brand, fields: &Fields) -> Self {
        Self {
            tenant: one_line(&brand.name),
            name: one_line(&fields.name),
            link: one_line(fields.link.as_deref().unwrap_or_default()),
            good_for: language.words_of(fields.good_for),
            tenant_id: one_line(&fields.tenant_id),
        }
    }

    /// Puts words and values together, each as `show` says. Where nobody knows the name, the blank and the comma that lead to it go
    /// with it: "Hola, {name}:" becomes "Hola:".
    fn fill(&self, pieces: &[Piece<'_>], show: impl Fn(Option<Blank>, &str) -> String) -> String {
        let mut filled = String::new();
        for piece in pieces {
            match piece {
                Piece::Blank(Blank::Name) if self.name.is_empty() => {
                    filled.truncate(filled.trim_end_matches([' ', ',']).len());
                }
                Piece::Words(words) if filled.is_empty() => {
                    filled = show(None, words.trim_start_matches([' ', ',']));
                }
                Piece::Words(words) => filled.push_str(&show(None, words)),
                Piece::Blank(blank) => filled.push_str(&show(Some(*blank), self.of(*blank))),
            }
        }
        filled
    }

    fn of(&self, blank: Blank) -> &str {
        match blank {
            Blank::Tenant => &self.tenant,
            Blank::Name => &self.name,
            Blank::Link => &self.link,
            Blank::GoodFor => &self.good_for,
            Blank::TenantId => &self.tenant_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LINK: &str = "https://cloud.example/accept?tenant=la-villa&token=sp_1";

    fn brand(name: &str) -> Brand {
        Brand { name: name.to_owned(), colour: "#0a7d33".to_owned() }
    }

    fn fields(name: &str) -> Fields {
        Fields {
            tenant_id: "la-villa".to_owned(),
            name: name.to_owned(),
            link: Some(LINK.to_owned()),
            good_for: Duration::from_secs(7 * 24 * 3_600),
        }
    }

    fn own(subject: &str, text: &str) -> Own {
        Own { subject: subject.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn every_mail_is_whole_in_every_language() {
        for kind in Kind::ALL {
            for (language, greets, ends) in [
                (Language::En, "Hello Ana Ruiz,\n", "Kind regards,\nLa Villa\n"),
                (Language::Es, "Hola, Ana Ruiz:\n", "Saludos cordiales,\nLa Villa\n"),
                (Language::Pt, "Olá, Ana Ruiz!\n", "Atenciosamente,\nLa Villa\n"),
            ] {
                let mail = render(kind, language, &brand("La Villa"), &fields("Ana Ruiz"), None);
                let at = format!("{kind} {language}: {}\n{}\n{}", mail.subject, mail.text, mail.html);
                assert!(mail.subject.contains("La Villa") && !mail.subject.contains(['{', '}']), "{at}");
                assert!(mail.text.starts_with(greets) && mail.text.ends_with(ends), "{at}");
                assert!(mail.text.contains("la-villa") && !mail.text.contains(['{', '}']), "{at}");
                assert!(mail.html.contains("la-villa") && !mail.html.contains(['{', '}']), "{at}");
                assert!(mail.html.contains(&format!("<html lang=\"{language}\">")), "{at}");
                let days = mail.text.contains("7 d");
                let link = mail.text.contains(&format!("\n\n{LINK}\n\n"));
                let clear = mail.html.matches(&LINK.replace('&', "&amp;")).count();
                assert_eq!(
                    (days, link, clear),
                    if kind.has_link() { (true, true, 3) } else { (false, false, 0) },
                    "{at}"
                );
            }
        }
    }

    #[test]
    fn each_mail_says_what_to_do_if_it_was_not_asked_for() {
        for (kind, says) in [
            (Kind::Invitation, ["do nothing: it ends", "caducará por sí sola", "perde a validade"]),
            (
                Kind::PasswordReset,
                ["your password stays as it is", "sigue siendo la misma", "continua a mesma"],
            ),
            (
                Kind::PasswordChanged,
                ["whoever manages the users", "quien administra los usuarios", "quem administra os usuários"],
            ),
            (Kind::SignUp, ["no access is opened", "no se abre ningún acceso", "nenhum acesso é aberto"]),
        ] {
            for (language, says) in Language::ALL.into_iter().zip(says) {
                let mail = render(kind, language, &brand("La Villa"), &fields("Ana"), None);
                assert!(mail.text.contains(says) && mail.html.contains(says), "{}", mail.text);
            }
        }
    }

    #[test]
    fn whoever_has_no_name_yet_is_greeted_without() {
        for (language, greets) in [(Language::En, "Hello,"), (Language::Es, "Hola:"), (Language::Pt, "Olá!")]
        {
            let mail = render(Kind::Invitation, language, &brand("La Villa"), &fields(" "), None);
            assert!(mail.text.starts_with(&format!("{greets}\n\n")), "{}", mail.text);
            assert!(mail.html.contains(&format!(">{greets}</p>")), "{}", mail.html);
        }
        let own = own("{name}, welcome", "{name}, welcome to {tenant}: {link}");
        let mail = render(Kind::Invitation, Language::En, &brand("La Villa"), &fields(""), Some(&own));
        assert_eq!(
            (mail.subject.as_str(), mail.text.lines().next()),
            ("welcome", Some(&*format!("welcome to La Villa: {LINK}")))
        );
    }

    #[test]
    fn no_name_leaves_its_line() {
        let bad = "La\r\nBcc: x@y\u{0}\u{85}\u{2028}\u{202e}Villa";
        let own = own(" {tenant},  {name}, {tenant_id} ", "{name}, {tenant}, {tenant_id}\n\n{link}");
        let mut fields = fields(bad);
        fields.tenant_id = bad.to_owned();
        let mail = render(Kind::Invitation, Language::En, &brand(bad), &fields, Some(&own));
        let names = "La Bcc: x@y Villa, La Bcc: x@y Villa, La Bcc: x@y Villa";
        assert_eq!((mail.subject.as_str(), mail.text), (names, format!("{names}\n\n{LINK}\n")));
    }

    #[test]
    fn a_name_is_text_and_neither_html_nor_a_blank() {
        let name = "<script>alert(\"1\")</script> & 'O {link} {{";
        let mail = render(Kind::SignUp, Language::Pt, &brand(name), &fields(name), None);
        assert!(mail.text.contains(name) && mail.subject.contains(name), "{}", mail.text);
        assert!(!mail.html.contains("<script"), "{}", mail.html);
        let shown = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;O {link} {{";
        assert!(mail.html.contains(&format!("Olá, {shown}!")), "{}", mail.html);
        let clear = mail.html.matches(&LINK.replace('&', "&amp;")).count();
        assert_eq!(clear, 3, "{}", mail.html);
    }

    #[test]
    fn a_tenants_own_words_take_the_place_of_ours() {
        let own = own("Hi {name}", "Open {link} <now>\nor {{never}}.\n\n{link}");
        let mail = render(Kind::PasswordReset, Language::En, &brand("La Villa"), &fields("Ana"), Some(&own));
        assert_eq!(mail.subject, "Hi Ana");
        assert_eq!(mail.text, format!("Open {LINK} <now>\nor {{never}}.\n\n{LINK}\n"));
        let escaped = LINK.replace('&', "&amp;");
        assert!(
            mail.html.contains(&format!("\">{escaped}</a> &lt;now&gt;<br>\nor {{never}}.</p>")),
            "{}",
            mail.html
        );
        assert!(mail.html.contains("Choose a new password</a>"), "{}", mail.html);
    }

    #[test]
    fn own_words_that_would_be_refused_today_are_passed_over() {
        let own = own("Hi", "There is no link here");
        let mail = render(Kind::Invitation, Language::Es, &brand("La Villa"), &fields("Ana"), Some(&own));
        assert_eq!(mail.subject, "Su invitación a La Villa");
        assert!(mail.text.contains(LINK));
    }
}

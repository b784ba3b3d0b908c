//! Our own words: for each kind and language a file of `templates/`, whose first line is the subject, and the text follows after
//! an empty line. What the HTML says beyond that stands here.
//!
//! Each says what to do if the mail was not asked for, and names the account, since the same address may be somebody's in several.

use super::{Kind, Language};

/// What a mail says, with blanks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Words {
    pub(super) subject: &'static str,
    pub(super) text: &'static str,
}

/// Of a kind, in a language.
pub(super) fn words(kind: Kind, language: Language) -> Words {
    let [en, es, pt] = match kind {
        Kind::Invitation => [
            include_str!("templates/invitation.en.txt"),
            include_str!("templates/invitation.es.txt"),
            include_str!("templates/invitation.pt.txt"),
        ],
        Kind::PasswordReset => [
            include_str!("templates/password_reset.en.txt"),
            include_str!("templates/password_reset.es.txt"),
            include_str!("templates/password_reset.pt.txt"),
        ],
        Kind::PasswordChanged => [
            include_str!("templates/password_changed.en.txt"),
            include_str!("templates/password_changed.es.txt"),
            include_str!("templates/password_changed.pt.txt"),
        ],
        Kind::SignUp => [
            include_str!("templates/sign_up.en.txt"),
            include_str!("templates/sign_up.es.txt"),
            include_str!("templates/sign_up.pt.txt"),
        ],
    };
    let file = of(language, [en, es, pt]);
    // A test holds each file to it.
    file.split_once("\n\n").map(|(subject, text)| Words { subject, text }).unwrap_or_default()
}

/// What stands on the button that opens the link.
pub(super) fn button(kind: Kind, language: Language) -> &'static str {
    let words = match kind {
        Kind::Invitation => ["Accept the invitation", "Aceptar la invitación", "Aceitar o convite"],
        Kind::PasswordReset => {
            ["Choose a new password", "Elegir una nueva contraseña", "Escolher uma nova senha"]
        }
        Kind::SignUp => ["Confirm my address", "Confirmar mi dirección", "Confirmar meu endereço"],
        // There is nothing to open; whoever gives it a link gets a button all the same.
        Kind::PasswordChanged => ["Open", "Abrir", "Abrir"],
    };
    of(language, words)
}

/// What stands between the button and the link in clear.
pub(super) fn without_button(language: Language) -> &'static str {
    of(
        language,
        [
            "If the button does not work, open this address:",
            "Si el botón no funciona, abra esta dirección:",
            "Se o botão não funcionar, abra este endereço:",
        ],
    )
}

fn of(language: Language, [en, es, pt]: [&'static str; 3]) -> &'static str {
    match language {
        Language::En => en,
        Language::Es => es,
        Language::Pt => pt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Own, check_own};

    #[test]
    fn our_own_words_keep_the_rules_for_those_of_tenants() {
        for kind in Kind::ALL {
            for language in Language::ALL {
                let words = words(kind, language);
                let own = Own { subject: words.subject.to_owned(), text: words.text.to_owned() };
                assert_eq!(check_own(kind, &own), Ok(()), "{kind} {language}");
            }
        }
    }

    #[test]
    fn every_mail_names_whom_what_and_how_long() {
        for kind in Kind::ALL {
            for language in Language::ALL {
                let words = words(kind, language);
                assert!(words.subject.contains("{tenant}"), "{kind} {language}");
                let only_with_link: &[&str] =
                    if kind.has_link() { &["\n{link}\n", "{good_for}"] } else { &[] };
                for blank in ["{tenant}", "{tenant_id}", "{name}"].iter().chain(only_with_link) {
                    assert!(words.text.contains(blank), "{kind} {language}: {blank}");
                }
            }
        }
    }

    #[test]
    fn no_two_languages_say_the_same() {
        for kind in Kind::ALL {
            let texts = Language::ALL.map(|language| words(kind, language).text);
            let [en, es, pt] = texts;
            assert!(en != es && es != pt && pt != en, "{kind}");
        }
    }
}

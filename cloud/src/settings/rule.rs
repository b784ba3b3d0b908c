//! What the value of a setting may be. A refusal says what is allowed, never more than that.

use serde_json::Value;
use storepulse_shared::series;

use crate::operator::text::check_text;

/// Contacts of a tenant, at most.
const CONTACTS_MAX: usize = 20;
/// Thresholds of a store, at most.
const THRESHOLDS_MAX: usize = 200;
/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 500;
/// Longest address for mail (RFC 5321), in bytes.
const EMAIL_BYTES_MAX: usize = 254;

/// ISO 4217, the currencies in circulation.
const CURRENCIES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD \
     CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL \
     HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD \
     MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR \
     SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES \
     VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

/// A form that values have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Bool,
    Integer {
        min: i64,
        max: i64,
    },
    OneOf(&'static [&'static str]),
    Text {
        chars_max: usize,
    },
    /// Here only the form; whether it is there is asked of the database.
    TimeZone,
    Currency,
    Language,
    Colour,
    Email,
    Phone,
    HttpsUrl,
    Contacts,
    Percents,
    Thresholds,
}

impl Rule {
    /// Says what is allowed if the value is not.
    pub(super) fn check(self, value: &Value) -> Result<(), String> {
        if self.holds(value) { Ok(()) } else { Err(self.allowed()) }
    }

    fn holds(self, value: &Value) -> bool {
        let text = |is: fn(&str) -> bool| value.as_str().is_some_and(is);
        match self {
            Self::Bool => value.is_boolean(),
            Self::Integer { min, max } => value.as_i64().is_some_and(|n| (min..=max).contains(&n)),
            Self::OneOf(words) => value.as_str().is_some_and(|text| words.contains(&text)),
            Self::Text { chars_max } => value.as_str().is_some_and(|t| check_text("", t, chars_max).is_ok()),
            Self::TimeZone => text(is_time_zone),
            Self::Currency => {
                text(|text| text.len() == 3 && CURRENCIES.split(' ').any(|known| known == text))
            }
            Self::Language => text(is_language),
            Self::Colour => text(is_colour),
            Self::Email => text(is_email),
            Self::Phone => text(is_phone),
            Self::HttpsUrl => text(is_https_url),
            Self::Contacts => {
                value.as_array().is_some_and(|all| all.len() <= CONTACTS_MAX && all.iter().all(is_contact))
            }
            Self::Percents => value.as_array().is_some_and(|all| {
                let percents: Vec<i64> = all.iter().filter_map(Value::as_i64).collect();
                let rise = percents.windows(2).all(|two| two[0] < two[1]);
                percents.len() == all.len()
                    && all.len() <= 10
                    && rise
                    && percents.iter().all(|p| (1..=1_000).contains(p))
            }),
            Self::Thresholds => value.as_object().is_some_and(|all| {
                all.len() <= THRESHOLDS_MAX
                    && all.iter().all(|(metric, range)| series::check(metric).is_ok() && is_range(range))
            }),
        }
    }

    fn allowed(self) -> String {
        let words = match self {
            Self::Bool => "true or false",
            Self::Integer { min, max } => return format!("a whole number from {min} to {max}"),
            Self::OneOf(words) => return words.join(" or "),
            Self::Text { chars_max } => {
                return format!(
                    "a text of 1 to {chars_max} characters of any script, without control characters, < and >"
                );
            }
            Self::TimeZone => "a name of the IANA database, like America/Santo_Domingo",
            Self::Currency => "a code of ISO 4217, like DOP",
            Self::Language => "a tag of BCP 47, like es or es-DO",
            Self::Colour => "# and six hex digits in lower case, like #1f6feb",
            Self::Email => "one address for mail, like ops@la-villa.do",
            Self::Phone => "a number with its country, like +18095550123",
            Self::HttpsUrl => {
                "an https:// address with a host name, of at most 500 letters, digits and -._~/?&=%+:, without user, port below 1, .. and fragment"
            }
            Self::Contacts => {
                "a list of at most 20 of {\"name\", \"role\", \"email\", \"phone\"}, each with a name and an email or a phone"
            }
            Self::Percents => "a rising list of at most 10 whole numbers from 1 to 1000",
            Self::Thresholds => {
                "an object of at most 200 series names, each with {\"min\", \"max\"}: numbers of a size that is measured, one of them or both, min not above max"
            }
        };
        words.to_owned()
    }
}

fn is_time_zone(text: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+'))
    };
    text.len() <= 64 && text.split('/').all(is_part)
}

fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    let is_language = matches!(language.len(), 2 | 3) && language.bytes().all(|b| b.is_ascii_lowercase());
    let is_more =
        |part: &str| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    is_language && text.len() <= 35 && parts.all(is_more)
}

fn is_colour(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    digits.len() == 6 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else { return false };
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b);
    text.len() <= EMAIL_BYTES_MAX
        && !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(is_name)
        && is_host(host)
}

fn is_phone(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
}

/// With a dot, and not an address: what a browser or this service would ask on its own network is no logo.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= 253
        && host.contains('.')
        && host.split('.').all(is_label)
        && last.bytes().any(|b| b.is_ascii_alphabetic())
}

fn is_https_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else { return false };
    let is_known = |b: u8| b.is_ascii_alphanumeric() || b"-._~/?&=%+:".contains(&b);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    text.len() <= URL_BYTES_MAX
        && rest.bytes().all(is_known)
        && is_host(host)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
        && !rest.contains("..")
        && !rest.to_ascii_lowercase().contains("%2e")
}

fn is_contact(contact: &Value) -> bool {
    let Some(fields) = contact.as_object() else { return false };
    let is_text = |value: &Value| value.as_str().is_some_and(|text| check_text("", text, 100).is_ok());
    let is_reachable = fields.contains_key("email") || fields.contains_key("phone");
    let holds = |(name, value): (&String, &Value)| match name.as_str() {
        "name" | "role" => is_text(value),
        "email" => value.as_str().is_some_and(is_email),
        "phone" => value.as_str().is_some_and(is_phone),
        _ => false,
    };
    fields.contains_key("name") && is_reachable && fields.iter().all(holds)
}

fn is_range(range: &Value) -> bool {
    let Some(fields) = range.as_object() else { return false };
    let bound = |name: &str| fields.get(name).map(Value::as_f64);
    let is_known = fields.iter().all(|(name, value)| {
        matches!(name.as_str(), "min" | "max") && value.as_f64().is_some_and(is_measure)
    });
    match (bound("min").flatten(), bound("max").flatten()) {
        (Some(min), Some(max)) => is_known && min <= max,
        (None, None) => false,
        _ => is_known,
    }
}

/// The database writes numbers out in full: those that nobody measures would be long.
fn is_measure(value: f64) -> bool {
    value == 0.0 || (1e-9..=1e15).contains(&value.abs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_their_form_are_taken() {
        for (rule, value) in [
            (Rule::TimeZone, json!("America/Santo_Domingo")),
            (Rule::TimeZone, json!("Etc/GMT+5")),
            (Rule::Currency, json!("DOP")),
            (Rule::Language, json!("es-DO")),
            (Rule::Language, json!("zh-Hant-TW")),
            (Rule::Text { chars_max: 20 }, json!("Ñandú 商店 متجر")),
            (Rule::Email, json!("ops+night@la-villa.do")),
            (Rule::HttpsUrl, json!("https://cdn.la-villa.do:8443/logo%20a.svg?v=2")),
            (Rule::Contacts, json!([{"name": "Ana Núñez", "role": "IT", "phone": "+18095550123"}])),
            (
                Rule::Thresholds,
                json!({"hw.temperature": {"min": -25, "max": 4.5}, "hw.humidity": {"max": 0.8}}),
            ),
            (Rule::Percents, json!([50, 80, 100])),
        ] {
            assert_eq!(rule.check(&value), Ok(()), "{value}");
        }
    }

    #[test]
    fn what_is_of_another_form_is_refused() {
        for (rule, value) in [
            (Rule::Bool, json!("true")),
            (Rule::Integer { min: 1, max: 5 }, json!(1.5)),
            (Rule::Integer { min: 1, max: 5 }, json!(6)),
            (Rule::TimeZone, json!("../../etc/passwd")),
            (Rule::TimeZone, json!("UTC'; drop table tenants")),
            (Rule::Currency, json!("AED AFN")),
            (Rule::Currency, json!("usd")),
            (Rule::Colour, json!("red; background:url(https://x.y)")),
            (Rule::Text { chars_max: 20 }, json!("<img src=x onerror=alert(1)>")),
            (Rule::Text { chars_max: 20 }, json!("x\u{0}")),
            (Rule::Email, json!("a@b")),
            (Rule::Email, json!("a@b.c\r\nbcc: x@y.z")),
            (Rule::Phone, json!("8095550123")),
            (Rule::HttpsUrl, json!("http://la-villa.do/logo.png")),
            (Rule::HttpsUrl, json!("javascript:alert(1)")),
            (Rule::HttpsUrl, json!("https://169.254.169.254/latest")),
            (Rule::HttpsUrl, json!("https://localhost/logo.png")),
            (Rule::HttpsUrl, json!("https://user:word@la-villa.do/")),
            (Rule::HttpsUrl, json!("https://la-villa.do/../x")),
            (Rule::HttpsUrl, json!("https://la-villa.do/%2e%2e/x")),
            (Rule::HttpsUrl, json!("https://la-villa.do/\"><script>")),
            (Rule::Contacts, json!([{"name": "Ana"}])),
            (Rule::Contacts, json!([{"name": "Ana", "email": "a@b.do", "password": "x"}])),
            (Rule::Thresholds, json!({"hw.temperature": {}})),
            (Rule::Thresholds, json!({"hw.temperature": {"min": 5, "max": 4}})),
            (Rule::Thresholds, json!({"<b>": {"min": 5}})),
            (Rule::Thresholds, json!({"hw.temperature": {"max": 1e300}})),
            (Rule::Percents, json!([80, 50])),
        ] {
            assert!(rule.check(&value).is_err(), "{value}");
        }
    }
}

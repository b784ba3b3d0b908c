//! When a certificate ends, read from its DER: `Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version OPTIONAL,
//! serial INTEGER, signature SEQUENCE, issuer SEQUENCE, validity SEQUENCE { notBefore Time, notAfter Time }, … }, … }`
//! (RFC 5280, section 4.1). Nothing is verified here: it is for a gauge and an alarm.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Unix seconds at which the first certificate of a chain ends.
///
/// # Errors
/// There is none, or it is not one.
pub(super) fn of_pem(pem: &[u8]) -> Result<i64, String> {
    let first = CertificateDer::from_pem_slice(pem).map_err(|e| format!("holds no certificate: {e}"))?;
    of_der(&first).ok_or_else(|| "holds a certificate that says no end".to_owned())
}

fn of_der(der: &[u8]) -> Option<i64> {
    let (certificate, _) = inside(der, SEQUENCE)?;
    let (mut rest, _) = inside(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = value(rest)?.2;
    }
    // Serial, signature, issuer.
    for _ in 0..3 {
        rest = value(rest)?.2;
    }
    let (validity, _) = inside(rest, SEQUENCE)?;
    let (kind, text, _) = value(value(validity)?.2)?;
    let text = std::str::from_utf8(text).ok()?;
    let full = match kind {
        // RFC 5280: years from 50 on are of the last century.
        UTC_TIME if text.get(..2)?.parse::<u8>().ok()? >= 50 => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let form = format_description!("[year][month][day][hour][minute][second]Z");
    PrimitiveDateTime::parse(&full, form)
        .ok()
        .map(PrimitiveDateTime::assume_utc)
        .map(OffsetDateTime::unix_timestamp)
}

fn inside(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = value(der)?;
    (found == kind).then_some((content, rest))
}

/// Tag, content, and what follows.
fn value(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(year: i32) -> i64 {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["cloud.lan".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 3, 4);
        of_pem(params.self_signed(&key).unwrap().pem().as_bytes()).unwrap()
    }

    #[test]
    fn the_end_is_read_in_both_forms_of_time() {
        assert_eq!(ends(2031), rcgen::date_time_ymd(2031, 3, 4).unix_timestamp());
        // From 2050 on it is a GeneralizedTime.
        assert_eq!(ends(2051), rcgen::date_time_ymd(2051, 3, 4).unix_timestamp());
    }

    #[test]
    fn whatever_is_cut_off_or_no_certificate_says_nothing() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["cloud.lan".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let der = certificate.der();
        assert!(of_der(der).is_some());
        for end in 0..der.len() {
            assert_eq!(of_der(&der[..end]), None, "{end}");
        }
        assert!(of_pem(b"no certificate").unwrap_err().contains("no certificate"));
    }
}

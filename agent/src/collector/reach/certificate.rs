//! When a certificate ends, read of its DER (X.690) without looking at anything else: it must also be told of certificates
//! that nobody trusts.
//!
//! `Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version OPTIONAL, serialNumber INTEGER, signature SEQUENCE,
//! issuer SEQUENCE, validity SEQUENCE { notBefore Time, notAfter Time }, … }, … }` (RFC 5280, section 4.1). A time is
//! `YYMMDDHHMMSSZ` up to 2049 and `YYYYMMDDHHMMSSZ` from then on, always with seconds and in UTC (4.1.2.5).

use time::{Date, Month, PrimitiveDateTime, Time};

use super::super::fault::FaultKind;
use super::super::parse::{Parsed, Subject, Unread, outcome};

/// Longest certificate. Common ones have 400 to 2,000 bytes.
const BYTES_MAX: usize = 32 << 10;

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// 2.5.4.3 and 2.5.4.10.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];

const BAD: Unread = Unread::Bad(FaultKind::Parse);

pub(super) const SUBJECT: Subject = Subject {
    name: "reach/certificate",
    vectors: &[include_bytes!("testdata/until-2030.der"), include_bytes!("testdata/until-2060.der")],
    outcomes: &["dated", "need", "parse", "too_large"],
    outcome: |bytes| outcome(not_after(bytes), |_| "dated"),
};

/// What stands before the validity: the issuer's name; and the rest from the validity on.
fn issuer_and_rest(certificate: &[u8]) -> Result<(&[u8], Der<'_>), Unread> {
    let mut certificate = Der(certificate);
    let mut body = Der(certificate.expect(SEQUENCE)?);
    if body.0.first() == Some(&VERSION) {
        body.expect(VERSION)?;
    }
    body.expect(INTEGER)?;
    body.expect(SEQUENCE)?;
    Ok((body.expect(SEQUENCE)?, body))
}

/// Who signed a certificate: the common name, otherwise the organisation, as it stands there; `None` if it has neither.
/// `Name ::= SEQUENCE OF SET OF SEQUENCE { type OBJECT IDENTIFIER, value ANY }` (RFC 5280, 4.1.2.4).
pub(crate) fn issuer(bytes: &[u8]) -> Option<String> {
    let (issuer, _) = issuer_and_rest(outer(bytes).ok()?.0).ok()?;
    let (mut names, mut organisation, mut common) = (Der(issuer), None, None);
    while !names.0.is_empty() {
        let mut set = Der(names.expect(SET).ok()?);
        let mut attribute = Der(set.expect(SEQUENCE).ok()?);
        let kind = attribute.expect(OBJECT_IDENTIFIER).ok()?;
        let (_, text) = attribute.element().ok()?;
        let text = String::from_utf8_lossy(text).into_owned();
        match kind {
            COMMON_NAME => common = Some(text),
            ORGANISATION => organisation = Some(text),
            _ => {}
        }
    }
    common.or(organisation)
}

/// The last second of a certificate, in Unix time.
pub(crate) fn not_after(bytes: &[u8]) -> Parsed<i64> {
    let (certificate, used) = outer(bytes)?;
    let (_, mut body) = issuer_and_rest(certificate)?;
    let mut validity = Der(body.expect(SEQUENCE)?);
    validity.element()?;
    let (tag, text) = validity.element()?;
    Ok((unix_seconds(tag, text).ok_or(BAD)?, used))
}

/// The whole certificate, of which the end may be missing; inside, nothing may.
fn outer(bytes: &[u8]) -> Parsed<&[u8]> {
    match bytes {
        [] => return Err(Unread::Need(2)),
        [SEQUENCE] => return Err(Unread::Need(1)),
        [SEQUENCE, ..] => {}
        _ => return Err(BAD),
    }
    let (header, length) = length(bytes)?;
    if length > BYTES_MAX {
        return Err(Unread::Bad(FaultKind::TooLarge));
    }
    match bytes.get(header..header + length) {
        Some(body) => Ok((body, header + length)),
        None => Err(Unread::Need(header + length - bytes.len())),
    }
}

/// Bytes of tag and length, and what the length says. A form that DER does not have is bad.
fn length(bytes: &[u8]) -> Result<(usize, usize), Unread> {
    match *bytes.get(1).ok_or(Unread::Need(1))? {
        short @ 0..=0x7f => Ok((2, usize::from(short))),
        long @ 0x81..=0x84 => {
            let end = 2 + usize::from(long - 0x80);
            let digits =
                bytes.get(2..end).ok_or_else(|| Unread::Need(end.saturating_sub(bytes.len()).max(1)))?;
            Ok((end, digits.iter().fold(0_usize, |sum, digit| (sum << 8) | usize::from(*digit))))
        }
        _ => Err(BAD),
    }
}

/// Elements one after another.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn element(&mut self) -> Result<(u8, &'a [u8]), Unread> {
        let tag = *self.0.first().ok_or(BAD)?;
        // A tag of several bytes does not occur here.
        if tag & 0x1f == 0x1f {
            return Err(BAD);
        }
        let (header, length) = length(self.0).map_err(|_| BAD)?;
        let end = header.checked_add(length).ok_or(BAD)?;
        let body = self.0.get(header..end).ok_or(BAD)?;
        self.0 = &self.0[end..];
        Ok((tag, body))
    }

    fn expect(&mut self, tag: u8) -> Result<&'a [u8], Unread> {
        match self.element()? {
            (found, body) if found == tag => Ok(body),
            _ => Err(BAD),
        }
    }
}

fn unix_seconds(tag: u8, text: &[u8]) -> Option<i64> {
    let (digits, zone) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if zone != b"Z" || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let two = |at: usize| Some((digits.get(at)? - b'0') * 10 + (digits.get(at + 1)? - b'0'));
    let (year, at) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let year = i32::from(two(0)?);
            (if year < 50 { 2_000 + year } else { 1_900 + year }, 2)
        }
        (GENERALIZED_TIME, 14) => (i32::from(two(0)?) * 100 + i32::from(two(2)?), 4),
        _ => return None,
    };
    let date = Date::from_calendar_date(year, Month::try_from(two(at)?).ok()?, two(at + 2)?).ok()?;
    let time = Time::from_hms(two(at + 4)?, two(at + 6)?, two(at + 8)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_read_in_both_forms() {
        for (vector, end) in SUBJECT.vectors.iter().zip([1_893_456_000, 2_840_140_800]) {
            assert_eq!(not_after(vector), Ok((end, vector.len())));
            let followed: Vec<u8> = vector.iter().copied().chain([0xff; 9]).collect();
            assert_eq!(not_after(&followed), Ok((end, vector.len())));
        }
    }

    #[test]
    fn who_signed_it_is_read() {
        let signed_by = |names: &[(rcgen::DnType, &str)]| {
            let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name = rcgen::DistinguishedName::new();
            names.iter().for_each(|(kind, name)| params.distinguished_name.push(kind.clone(), *name));
            issuer(params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der())
        };
        use rcgen::DnType::{CommonName, CountryName, OrganizationName};
        let both = [(CountryName, "BR"), (OrganizationName, "Firewall Ltda."), (CommonName, "Inspeção CA")];
        assert_eq!(signed_by(&both).as_deref(), Some("Inspeção CA"));
        assert_eq!(signed_by(&both[..2]).as_deref(), Some("Firewall Ltda."));
        assert_eq!(signed_by(&both[..1]), None);
        assert_eq!(issuer(b"-----BEGIN"), None);
    }

    #[test]
    fn a_certificate_that_is_cut_needs_the_rest() {
        let vector = SUBJECT.vectors[0];
        assert_eq!(not_after(&vector[..vector.len() - 7]), Err(Unread::Need(7)));
        assert_eq!(not_after(&[]), Err(Unread::Need(2)));
        assert_eq!(not_after(&[0x30, 0x82, 0x01]), Err(Unread::Need(1)));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert_eq!(not_after(b"-----BEGIN"), Err(BAD));
        assert_eq!(not_after(&[0x30, 0x80, 0, 0]), Err(BAD));
        assert_eq!(not_after(&[0x30, 0x02, 0x30, 0x7f]), Err(BAD));
        assert_eq!(not_after(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), Err(Unread::Bad(FaultKind::TooLarge)));
        for text in [
            "300101000000",
            "3001010000Z",
            "300001000000Z",
            "300230000000Z",
            "300101250000Z",
            "3a0101000000Z",
            "Z",
            "",
        ] {
            assert_eq!(unix_seconds(UTC_TIME, text.as_bytes()), None, "{text}");
        }
        assert_eq!(unix_seconds(UTC_TIME, b"500101000000Z"), Some(-631_152_000));
        assert_eq!(unix_seconds(GENERALIZED_TIME, b"99991231235959Z"), Some(253_402_300_799));
    }
}

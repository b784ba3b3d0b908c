//! What an authenticator shows, and recovery codes.

use rand::RngExt as _;
use sha2::{Digest as _, Sha256};
use totp_rs::{Algorithm, TOTP};

/// Bytes of a secret: as many as SHA-1 has (RFC 4226, section 4).
const SECRET_LEN: usize = 20;
const STEP_S: i64 = 30;
const DIGITS: usize = 6;
/// Letters of a recovery code, in groups of four: 79 bits.
const RECOVERY_LEN: usize = 16;
/// Without those that are easily taken for others.
const RECOVERY_OF: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// An authenticator's secret.
pub(crate) struct Authenticator([u8; SECRET_LEN]);

impl Authenticator {
    pub(super) fn make() -> Self {
        Self(rand::random())
    }

    /// From a column that the schema holds to this length.
    pub(super) fn of(secret: &[u8]) -> Self {
        Self(secret.try_into().unwrap_or([0; SECRET_LEN]))
    }

    pub(super) const fn secret(&self) -> &[u8] {
        &self.0
    }

    /// As it is typed into an authenticator (base32, RFC 4648).
    pub(super) fn base32(&self) -> String {
        totp_rs::Secret::Raw(self.0.to_vec()).to_encoded().to_string()
    }

    /// What is shown as a picture for an authenticator to read.
    pub(super) fn uri(&self, issuer: &str, account: &str) -> String {
        let escape = |text: &str| -> String {
            form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
        };
        let (issuer, account) = (escape(issuer), escape(account));
        format!("otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}", self.base32())
    }

    /// The step whose code this is, if it is of now, or of the step before or behind, and no code was taken of it or of a later one.
    pub(super) fn step_of(&self, code: &str, now_s: i64, last_step: i64) -> Option<i64> {
        let code: String = code.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let now = now_s / STEP_S;
        (now - 1..=now + 1)
            .filter(|step| *step > last_step)
            .find(|step| self.code(*step).as_deref() == Some(&code))
    }

    fn code(&self, step: i64) -> Option<String> {
        let totp = TOTP::new(Algorithm::SHA1, DIGITS, 0, STEP_S.unsigned_abs(), self.0.to_vec()).ok()?;
        Some(totp.generate(u64::try_from(step * STEP_S).ok()?))
    }
}

/// One that nobody has thought of: `abcd-efgh-jkmn-pqrs`.
pub(super) fn make_recovery_code() -> String {
    let mut rng = rand::rng();
    let mut code = String::new();
    for place in 0..RECOVERY_LEN {
        if place > 0 && place % 4 == 0 {
            code.push('-');
        }
        code.push(char::from(RECOVERY_OF[rng.random_range(0..RECOVERY_OF.len())]));
    }
    code
}

/// SHA-256 of a recovery code, however it is typed; `None`: it is none.
pub(super) fn recovery_hash(code: &str) -> Option<[u8; 32]> {
    let letters: String =
        code.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_lowercase()).collect();
    let is_one = letters.len() == RECOVERY_LEN && letters.bytes().all(|b| RECOVERY_OF.contains(&b));
    is_one.then(|| Sha256::digest(letters.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, of which the last six digits are shown here.
        let of_standard = Authenticator::of(b"12345678901234567890");
        for (at_s, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(of_standard.code(at_s / 30).unwrap(), code, "{at_s}");
        }
        assert_eq!(of_standard.base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn a_code_is_taken_once_and_only_around_its_time() {
        let authenticator = Authenticator::make();
        let now = 1_800_000_000;
        let code = |step: i64| authenticator.code(step).unwrap();
        let step = now / 30;
        for near in [step - 1, step, step + 1] {
            assert_eq!(authenticator.step_of(&code(near), now, 0), Some(near));
            assert_eq!(authenticator.step_of(&code(near), now, near), None);
        }
        assert_eq!(authenticator.step_of(&code(step - 2), now, 0), None);
        assert_eq!(authenticator.step_of(&code(step + 2), now, 0), None);
        let spaced = format!("{} {}", &code(step)[..3], &code(step)[3..]);
        assert_eq!(authenticator.step_of(&spaced, now, 0), Some(step));
        assert_eq!(authenticator.step_of("", now, 0), None);
        let uri = authenticator.uri("La Villa & Söhne", "ana");
        assert!(uri.starts_with("otpauth://totp/La%20Villa%20%26%20S%C3%B6hne:ana?secret="), "{uri}");
    }

    #[test]
    fn a_recovery_code_is_one_however_it_is_typed() {
        let code = make_recovery_code();
        let hash = recovery_hash(&code).unwrap();
        assert_eq!(recovery_hash(&code.replace('-', " ").to_uppercase()), Some(hash));
        assert_eq!(recovery_hash("123456"), None);
        assert_ne!(recovery_hash(&make_recovery_code()), Some(hash));
    }
}

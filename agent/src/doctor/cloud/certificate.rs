//! What the certificates that were shown mean. Dates are judged last, and by more than the clock of the box: a box with a wrong
//! clock takes every good certificate for an expired one.

use super::super::check::Check;
use super::super::clock::{Known, shown};
use super::CERTIFICATE;
use crate::collector::{issuer, not_after};
use crate::finding::{Finding, Problem};
use crate::uplink::{Shown, Verdict};

/// Fewer days than this, and the operator should hear of it.
const SOON_DAYS: i64 = 14;
const DAY_MS: i64 = 86_400_000;

/// Judges them; of dates with what is known of the clock. `portal` is what answers plain HTTP there, if it is a portal.
pub(super) fn judge(host: &str, seen: &Shown, clock: Known, portal: Option<String>) -> Check {
    let found = |problem, evidence: String| {
        Check::found(CERTIFICATE, Finding::new(problem).with("host", host), evidence)
    };
    let signed_by =
        seen.chain.last().and_then(|last| issuer(last)).unwrap_or_else(|| "nobody named".to_owned());
    let until = until_ms(seen);
    let until_text = until.map_or_else(|| "an unknown day".to_owned(), shown);
    match &seen.verdict {
        Verdict::Trusted => trusted(host, &signed_by, until, clock),
        Verdict::Dates if clock.is_wrong() => {
            // The clock is the finding.
            Check::skipped(
                CERTIFICATE,
                format!("good until {until_text}, but not by the clock of this box, which is wrong"),
            )
        }
        Verdict::Dates if clock.offset_ms.is_some() || clock.is_set => {
            let evidence =
                format!("signed by {signed_by}, valid until {until_text}; the clock of this box is right");
            found(Problem::TlsExpired, evidence)
        }
        Verdict::Dates => {
            let evidence = format!(
                "signed by {signed_by}, valid until {until_text}; this box has {}, and nobody vouches for that",
                shown(clock.now_ms)
            );
            found(Problem::TlsClock, evidence)
        }
        other => match (other, portal) {
            (_, Some(portal)) => found(Problem::CaptivePortal, portal),
            (Verdict::UnknownIssuer, None) => {
                let evidence = format!("signed by {signed_by:?}, whom this box does not trust");
                found(Problem::TlsUntrusted, evidence)
            }
            (Verdict::OtherName(names), None) => {
                let names = if names.is_empty() { "another name".to_owned() } else { names.join(", ") };
                found(Problem::TlsUntrusted, format!("it is for {names}, signed by {signed_by:?}"))
            }
            (Verdict::Refused(why), None) => {
                found(Problem::TlsUntrusted, format!("{why}; signed by {signed_by:?}"))
            }
            (Verdict::NoTls, None) => {
                found(Problem::TlsFailing, "what answers there speaks no TLS".to_owned())
            }
            (Verdict::Failed(why), None) => found(Problem::TlsFailing, why.clone()),
            (Verdict::Trusted | Verdict::Dates, None) => Check::pass(CERTIFICATE, ""),
        },
    }
}

fn trusted(host: &str, signed_by: &str, until: Option<i64>, clock: Known) -> Check {
    let Some(until) = until else {
        return Check::pass(CERTIFICATE, format!("trusted, signed by {signed_by}"));
    };
    let now_ms = clock.now_ms.saturating_add(clock.offset_ms.unwrap_or_default());
    let days = until.saturating_sub(now_ms).div_euclid(DAY_MS);
    let evidence = format!("trusted, signed by {signed_by}, valid until {}: {days} days", shown(until));
    if days < SOON_DAYS {
        let finding =
            Finding::new(Problem::TlsExpiresSoon).with("host", host).with("days", days.max(0).to_string());
        return Check::found(CERTIFICATE, finding, evidence);
    }
    Check::pass(CERTIFICATE, evidence)
}

/// The first end of all of them, Unix milliseconds UTC.
fn until_ms(seen: &Shown) -> Option<i64> {
    let ends = seen.chain.iter().filter_map(|one| not_after(one).ok());
    ends.map(|(seconds, _)| seconds.saturating_mul(1_000)).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use crate::time::BUILD_MS;

    const NOW: i64 = BUILD_MS + 30 * DAY_MS;

    fn of(verdict: Verdict, clock: Known, portal: Option<&str>) -> (Outcome, Option<Problem>) {
        let seen = Shown { chain: Vec::new(), verdict };
        let check = judge("cloud.example", &seen, clock, portal.map(str::to_owned));
        (check.outcome, check.finding.map(|finding| finding.problem))
    }

    #[test]
    fn dates_are_judged_by_more_than_the_clock_of_the_box() {
        let clock = |is_set, offset_ms| Known { now_ms: NOW, is_set, offset_ms };
        let dates = |clock| of(Verdict::Dates, clock, None);
        assert_eq!(dates(clock(false, Some(0))), (Outcome::Fail, Some(Problem::TlsExpired)));
        assert_eq!(dates(clock(true, None)), (Outcome::Fail, Some(Problem::TlsExpired)));
        assert_eq!(dates(clock(false, None)), (Outcome::Fail, Some(Problem::TlsClock)));
        assert_eq!(
            dates(clock(true, Some(700 * DAY_MS))),
            (Outcome::Skipped, None),
            "the clock is the finding"
        );
        assert_eq!(dates(Known { now_ms: 0, is_set: false, offset_ms: None }), (Outcome::Skipped, None));
    }

    #[test]
    fn a_portal_explains_a_bad_certificate() {
        let clock = Known { now_ms: NOW, is_set: true, offset_ms: None };
        assert_eq!(of(Verdict::UnknownIssuer, clock, None).1, Some(Problem::TlsUntrusted));
        assert_eq!(of(Verdict::OtherName(Vec::new()), clock, Some("302")).1, Some(Problem::CaptivePortal));
        assert_eq!(of(Verdict::NoTls, clock, Some("200")).1, Some(Problem::CaptivePortal));
        assert_eq!(of(Verdict::NoTls, clock, None).1, Some(Problem::TlsFailing));
        assert_eq!(of(Verdict::Trusted, clock, None), (Outcome::Pass, None));
    }
}

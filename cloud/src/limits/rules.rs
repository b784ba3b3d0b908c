//! Limits as data: how they are written in a plan or for a tenant, and what comes of both.
//!
//! ```json
//! {"tenant": {"requests": ["200/1s", "6000/60s"], "samples": ["100000/1s"], "bytes": ["50000000/1m"]},
//!  "store":  {"requests": ["20/1s"]},
//!  "key":    {},
//!  "daily":  {"samples": 50000000, "bytes": 2000000000}}
//! ```
//!
//! `tenant` counts all stores together, `store` both keys of a store, `key` one key. Each list holds up to four windows
//! (`<amount>/<number>s|m|h`), all of which count; an empty list is no limit. `daily` counts the whole tenant in days of UTC,
//! `null` is no quota. Each list and each quota that a tenant has takes the place of the plan's, and that of the built-in one
//! ([`BUILT_IN`]), which only stops what is broken.

use std::fmt;

use serde_json::{Map, Value};

/// The most that a limit may allow.
pub(super) const AMOUNT_MAX: u64 = 1_000_000_000_000;
/// The longest window: a day.
pub(super) const PERIOD_MS_MAX: u64 = 24 * 3_600_000;
/// Windows of one quantity, at most.
const WINDOWS_MAX: usize = 4;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// Whatever is asked.
    Requests,
    /// As the header says, or the answer.
    Samples,
    /// Of the body as sent.
    Bytes,
}

impl Quantity {
    const ALL: [Self; 3] = [Self::Requests, Self::Samples, Self::Bytes];

    const fn word(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Samples => "samples",
            Self::Bytes => "bytes",
        }
    }
}

/// For whom it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All stores of a tenant together.
    Tenant,
    /// One store.
    Store,
    /// One key.
    Key,
}

impl Scope {
    pub(super) const ALL: [Self; 3] = [Self::Tenant, Self::Store, Self::Key];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Store => "store",
            Self::Key => "key",
        }
    }
}

/// So much of something in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) quantity: Quantity,
    /// 1 to [`AMOUNT_MAX`].
    pub(super) amount: u64,
    /// A second to [`PERIOD_MS_MAX`].
    pub(super) period_ms: u64,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} in {} s", self.amount, self.quantity.word(), self.period_ms / 1_000)
    }
}

/// Why limits are not taken; the message says where, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("limits{at}: {why}")]
pub(crate) struct LimitsError {
    at: String,
    why: String,
}

fn refused<T>(at: &str, why: impl Into<String>) -> Result<T, LimitsError> {
    Err(LimitsError { at: at.to_owned(), why: why.into() })
}

/// What a plan or a tenant says; what it leaves out is as the next one says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// By scope, then quantity.
    windows: [[Option<Vec<Rule>>; 3]; 3],
    daily_samples: Option<Option<u64>>,
    daily_bytes: Option<Option<u64>>,
}

impl Limits {
    /// Reads and checks what is to be written into `plans.limits` or `tenants.limits`.
    ///
    /// # Errors
    /// The place in the document and what is allowed there.
    pub(crate) fn parse(value: &Value) -> Result<Self, LimitsError> {
        let mut limits = Self::default();
        for (name, part) in object("", value)? {
            let at = format!(".{name:.40}");
            if name == "daily" {
                for (name, quota) in object(&at, part)? {
                    let at = format!("{at}.{name:.40}");
                    match name.as_str() {
                        "samples" => limits.daily_samples = Some(quota_of(&at, quota)?),
                        "bytes" => limits.daily_bytes = Some(quota_of(&at, quota)?),
                        _ => return refused(&at, "there is only samples and bytes"),
                    }
                }
                continue;
            }
            let Some(scope) = Scope::ALL.into_iter().find(|scope| scope.word() == name) else {
                return refused(&at, "there is only tenant, store, key and daily");
            };
            for (name, list) in object(&at, part)? {
                let at = format!("{at}.{name:.40}");
                let Some(quantity) = Quantity::ALL.into_iter().find(|q| q.word() == name) else {
                    return refused(&at, "there is only requests, samples and bytes");
                };
                limits.windows[scope as usize][quantity as usize] = Some(windows_of(&at, quantity, list)?);
            }
        }
        Ok(limits)
    }
}

fn object<'a>(at: &str, value: &'a Value) -> Result<&'a Map<String, Value>, LimitsError> {
    match value {
        Value::Object(map) => Ok(map),
        _ => refused(at, "an object is expected"),
    }
}

fn quota_of(at: &str, value: &Value) -> Result<Option<u64>, LimitsError> {
    match value {
        Value::Null => Ok(None),
        value => match value.as_u64().filter(|n| (1..=AMOUNT_MAX).contains(n)) {
            Some(quota) => Ok(Some(quota)),
            None => refused(
                at,
                format!("a whole number from 1 to {AMOUNT_MAX}, or null for no quota, is expected"),
            ),
        },
    }
}

fn windows_of(at: &str, quantity: Quantity, value: &Value) -> Result<Vec<Rule>, LimitsError> {
    let Value::Array(list) = value else {
        return refused(at, "a list like [\"200/1s\", \"6000/60s\"] is expected; an empty one is no limit");
    };
    if list.len() > WINDOWS_MAX {
        return refused(at, format!("{} windows, at most {WINDOWS_MAX} are counted", list.len()));
    }
    let mut rules: Vec<Rule> = Vec::with_capacity(list.len());
    for (no, text) in list.iter().enumerate() {
        let at = format!("{at}[{no}]");
        let text = text.as_str().unwrap_or_default();
        let Some(rule) = rule_of(quantity, text) else {
            return refused(
                &at,
                format!(
                    "\"<amount>/<time>\" is expected, 1 to {AMOUNT_MAX} in 1s to 24h, such as \"200/1s\" or \"6000/1m\""
                ),
            );
        };
        if let Some(last) = rules.last()
            && (rule.period_ms <= last.period_ms || rule.amount <= last.amount)
        {
            return refused(
                &at,
                format!("a longer window, and more in it, than {last} must follow that one"),
            );
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn rule_of(quantity: Quantity, text: &str) -> Option<Rule> {
    let (amount, time) = text.split_once('/')?;
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let unit_ms = match time.as_bytes().last()? {
        b's' => 1_000,
        b'm' => 60_000,
        b'h' => 3_600_000,
        _ => return None,
    };
    let amount = number(amount).filter(|n| (1..=AMOUNT_MAX).contains(n))?;
    let period_ms = number(&time[..time.len() - 1])?.checked_mul(unit_ms)?;
    (1_000..=PERIOD_MS_MAX).contains(&period_ms).then_some(Rule { quantity, amount, period_ms })
}

/// Amounts a second where neither tenant nor plan says anything: requests, samples, bytes.
const BUILT_IN: [[u64; 3]; 3] = [
    [20_000, 20_000_000, 1_000_000_000], // Tenant.
    [5_000, 5_000_000, 200_000_000],     // Store.
    [5_000, 5_000_000, 200_000_000],     // Key.
];

/// What counts for a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Effective {
    /// By scope.
    pub(super) rules: [Vec<Rule>; 3],
    pub(super) daily_samples: Option<u64>,
    pub(super) daily_bytes: Option<u64>,
}

impl Effective {
    /// Of the limits of a tenant, over those of its plan, over the built-in ones.
    pub(super) fn of(tenant: &Limits, plan: &Limits) -> Self {
        let rules = Scope::ALL.map(|scope| {
            let of_quantity = |quantity: Quantity| {
                let (scope, at) = (scope as usize, quantity as usize);
                let said = tenant.windows[scope][at].as_ref().or(plan.windows[scope][at].as_ref());
                let built_in = || vec![Rule { quantity, amount: BUILT_IN[scope][at], period_ms: 1_000 }];
                said.cloned().unwrap_or_else(built_in)
            };
            Quantity::ALL.into_iter().flat_map(of_quantity).collect()
        });
        Self {
            rules,
            daily_samples: tenant.daily_samples.or(plan.daily_samples).flatten(),
            daily_bytes: tenant.daily_bytes.or(plan.daily_bytes).flatten(),
        }
    }

    /// Whether the day counts.
    pub(super) const fn has_quota(&self) -> bool {
        self.daily_samples.is_some() || self.daily_bytes.is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(value: &Value) -> String {
        Limits::parse(value).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_what_is_allowed() {
        for (value, message) in [
            (json!([]), "limits: an object is expected"),
            (json!({"stores": {}}), "limits.stores: there is only tenant, store, key and daily"),
            (json!({"store": {"rows": []}}), "limits.store.rows: there is only requests, samples and bytes"),
            (json!({"daily": {"requests": 1}}), "limits.daily.requests: there is only samples and bytes"),
        ] {
            assert_eq!(refusal(&value), message);
        }
        assert!(refusal(&json!({"daily": {"bytes": 0}})).starts_with("limits.daily.bytes: a whole number"));
        assert!(refusal(&json!({"key": {"bytes": "1/1s"}})).contains("a list like"));
        assert!(
            refusal(&json!({"key": {"bytes": ["1/1s", "2/2s", "3/3s", "4/4s", "5/5s"]}}))
                .contains("at most 4")
        );
        for text in [
            "",
            "1",
            "1/",
            "0/1s",
            "1/0s",
            "-1/1s",
            "1/1",
            "1/25h",
            "1/1d",
            "1.5/1s",
            "+1/1s",
            "1000000000001/1s",
            "1/s",
            "1/é",
        ] {
            let refusal = refusal(&json!({"tenant": {"requests": [text]}}));
            assert!(refusal.starts_with("limits.tenant.requests[0]: "), "{text}: {refusal}");
        }
        let contradictory = refusal(&json!({"tenant": {"requests": ["200/1s", "100/1m"]}}));
        assert!(contradictory.contains("200 requests in 1 s"), "{contradictory}");
    }

    #[test]
    fn the_tenant_goes_over_the_plan_and_the_plan_over_what_is_built_in_list_by_list() {
        let plan = json!({"store": {"requests": ["20/1s"], "samples": ["9/1s"]}, "daily": {"samples": 10, "bytes": 20}});
        let tenant =
            json!({"store": {"requests": ["30/1s", "60/1m"], "samples": []}, "daily": {"bytes": null}});
        let of = |value: &Value| Limits::parse(value).unwrap();
        let effective = Effective::of(&of(&tenant), &of(&plan));
        let told: Vec<String> = effective.rules[Scope::Store as usize].iter().map(Rule::to_string).collect();
        assert_eq!(told, ["30 requests in 1 s", "60 requests in 60 s", "200000000 bytes in 1 s"]);
        assert_eq!((effective.daily_samples, effective.daily_bytes), (Some(10), None));
        let built_in = Effective::of(&of(&json!({})), &of(&json!({})));
        assert_eq!(built_in.rules[0][0].amount, BUILT_IN[0][0]);
        assert!(!built_in.has_quota());
    }
}

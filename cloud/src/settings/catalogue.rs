//! Which settings there are: name, what is allowed, the default, and whether the audit tells the value. Who adds one adds a
//! line here.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::rule::Rule;
use crate::operator::Refusal;

/// What a tenant's setting is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Where and who it is, and how it looks.
    General,
    /// How its people log in.
    Auth,
    /// What it pays.
    Billing,
    /// What it may use.
    Features,
    /// What else is told.
    Integrations,
}

impl Kind {
    /// As the database and the routes have it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Auth => "auth",
            Self::Billing => "billing",
            Self::Features => "features",
            Self::Integrations => "integrations",
        }
    }
}

/// A setting.
#[derive(Debug)]
pub(crate) struct Setting {
    pub kind: Kind,
    pub name: &'static str,
    pub(super) rule: Rule,
    /// JSON.
    default: &'static str,
    /// Whether the audit tells its value.
    pub is_told: bool,
}

impl Setting {
    /// What it is when nobody says anything.
    pub(crate) fn default(&self) -> Value {
        // A test reads all of them.
        serde_json::from_str(self.default).unwrap_or(Value::Null)
    }

    /// The feature without which it cannot be set.
    pub(crate) fn needs(&self) -> Option<&'static str> {
        (self.kind == Kind::General && self.name.starts_with("branding_")).then_some("branding")
    }

    /// `general.time_zone`
    pub(crate) fn path(&self) -> String {
        format!("{}.{}", self.kind.as_str(), self.name)
    }
}

const fn told(kind: Kind, name: &'static str, rule: Rule, default: &'static str) -> Setting {
    Setting { kind, name, rule, default, is_told: true }
}

const fn untold(kind: Kind, name: &'static str, rule: Rule, default: &'static str) -> Setting {
    Setting { kind, name, rule, default, is_told: false }
}

const fn feature(name: &'static str) -> Setting {
    told(Kind::Features, name, Rule::Bool, "false")
}

/// Those of a tenant.
#[rustfmt::skip]
pub(crate) const OF_TENANTS: &[Setting] = &[
    told(Kind::General, "time_zone", Rule::TimeZone, r#""UTC""#),
    told(Kind::General, "currency", Rule::Currency, r#""USD""#),
    told(Kind::General, "language", Rule::Language, r#""en""#),
    untold(Kind::General, "contacts", Rule::Contacts, "[]"),
    untold(Kind::General, "branding_name", Rule::Text { chars_max: 100 }, "null"),
    told(Kind::General, "branding_colour", Rule::Colour, r##""#1f6feb""##),
    told(Kind::General, "branding_accent_colour", Rule::Colour, r##""#f0883e""##),
    untold(Kind::General, "branding_logo", Rule::HttpsUrl, "null"),
    told(Kind::Auth, "session_minutes", Rule::Integer { min: 5, max: 10_080 }, "720"),
    told(Kind::Auth, "password_chars_min", Rule::Integer { min: 8, max: 128 }, "12"),
    told(Kind::Auth, "invitation_days", Rule::Integer { min: 1, max: 30 }, "7"),
    told(Kind::Auth, "require_second_factor", Rule::Bool, "false"),
    untold(Kind::Billing, "email", Rule::Email, "null"),
    untold(Kind::Billing, "tax_id", Rule::Text { chars_max: 50 }, "null"),
    told(Kind::Billing, "cycle", Rule::OneOf(&["monthly", "yearly"]), r#""monthly""#),
    told(Kind::Billing, "payment_days", Rule::Integer { min: 0, max: 120 }, "30"),
    told(Kind::Billing, "warn_percent", Rule::Percents, "[50,80,100]"),
    feature("alerts"),
    feature("bi"),
    feature("branding"),
    feature("custom_domain"),
    feature("dashboard"),
    feature("exports"),
    feature("webhooks"),
    feature("whatsapp"),
    untold(Kind::Integrations, "webhook_url", Rule::HttpsUrl, "null"),
    untold(Kind::Integrations, "slack_url", Rule::HttpsUrl, "null"),
    untold(Kind::Integrations, "whatsapp_number", Rule::Phone, "null"),
];

/// Those of a store. One that its tenant has, too, is the tenant's until the store says otherwise.
#[rustfmt::skip]
pub(crate) const OF_STORES: &[Setting] = &[
    told(Kind::General, "time_zone", Rule::TimeZone, r#""UTC""#),
    told(Kind::General, "pos_system", Rule::Text { chars_max: 100 }, "null"),
    told(Kind::General, "thresholds", Rule::Thresholds, "{}"),
];

/// The names of the features that there are.
pub(crate) fn features() -> impl Iterator<Item = &'static str> {
    OF_TENANTS.iter().filter(|setting| setting.kind == Kind::Features).map(|setting| setting.name)
}

/// The tenants' setting of this type and name.
pub(super) fn of_tenants(kind: &str, name: &str) -> Result<&'static Setting, Refusal> {
    let found = OF_TENANTS.iter().find(|setting| setting.kind.as_str() == kind && setting.name == name);
    found.ok_or_else(|| unknown(&format!("{kind}.{name}"), OF_TENANTS.iter().map(Setting::path)))
}

/// The stores' setting of this name.
pub(super) fn of_stores(name: &str) -> Result<&'static Setting, Refusal> {
    let found = OF_STORES.iter().find(|setting| setting.name == name);
    found.ok_or_else(|| unknown(name, OF_STORES.iter().map(|setting| setting.name.to_owned())))
}

fn unknown(name: &str, known: impl Iterator<Item = String>) -> Refusal {
    Refusal::Value(format!("{name:.80?} is no setting: there are {}", known.collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_allowed_and_every_feature_is_denied() {
        for setting in OF_TENANTS.iter().chain(OF_STORES) {
            let default: Value = serde_json::from_str(setting.default).unwrap();
            assert!(default.is_null() || setting.rule.check(&default).is_ok(), "{}", setting.path());
            assert!(setting.kind != Kind::Features || default == Value::Bool(false), "{}", setting.path());
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused_with_those_that_are() {
        let refused = of_tenants("general", "timezone").unwrap_err().to_string();
        assert!(refused.contains("general.time_zone"), "{refused}");
        assert!(of_stores("currency").is_err());
    }
}

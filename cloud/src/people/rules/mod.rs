//! What a tenant says about how its people sign in: its settings of the type `auth`, with their defaults.

mod sql;

use std::time::Duration;

use serde_json::Value;

use crate::db::TenantTx;
use crate::settings::Kind;
use crate::settings::catalogue::OF_TENANTS;

/// Shortest password where there is no tenant yet, in characters: as the default is.
pub(crate) const PASSWORD_CHARS_MIN: usize = 12;

/// The settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// How long a session lasts that is not used.
    pub(crate) session: Duration,
    /// Shortest password, in characters.
    pub(crate) password_chars_min: usize,
    /// How long an invitation is good.
    pub(crate) invitation: Duration,
}

impl Rules {
    /// As the tenant of this transaction has them.
    pub(crate) async fn of(tx: &mut TenantTx) -> Result<Self, sqlx::Error> {
        let own = sql::of_auth(tx).await?;
        let number = |name: &str| {
            let of_tenant = own.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            let value = of_tenant.unwrap_or_else(|| default_of(name));
            // Checked when it was written.
            value.as_u64().unwrap_or_default()
        };
        Ok(Self {
            session: Duration::from_secs(60 * number("session_minutes")),
            password_chars_min: usize::try_from(number("password_chars_min")).unwrap_or(usize::MAX),
            invitation: Duration::from_secs(24 * 3_600 * number("invitation_days")),
        })
    }
}

fn default_of(name: &str) -> Value {
    let setting = OF_TENANTS.iter().find(|setting| setting.kind == Kind::Auth && setting.name == name);
    setting.map_or(Value::Null, crate::settings::catalogue::Setting::default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_default() {
        for name in ["session_minutes", "password_chars_min", "invitation_days"] {
            assert!(default_of(name).as_u64().is_some_and(|value| value > 0), "{name}");
        }
        assert_eq!(default_of("password_chars_min"), PASSWORD_CHARS_MIN);
    }
}

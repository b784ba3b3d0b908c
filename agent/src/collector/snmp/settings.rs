//! `snmp:` in the configuration.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use storepulse_shared::batch::Lane;
use storepulse_shared::series;

use super::value::Name;
use crate::collector::defaults;
use crate::collector::secret::Secret;

/// Shortest password of version 3, by RFC 3414.
pub(super) const PASSWORD_BYTES_MIN: usize = 8;
/// Most objects of one's own.
const OIDS_MAX: usize = 100;
/// Most interfaces that can be asked for.
const INTERFACES_MAX: usize = 200;

/// `snmp:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `host:161`.
    pub(super) target: String,
    /// Of the protocol.
    #[serde(default)]
    pub(super) version: Version,
    /// Of versions 1 and 2c.
    #[serde(default = "community")]
    pub(super) community: Secret,
    /// Of version 3.
    #[serde(default)]
    pub(super) v3: Option<User>,
    /// What is read.
    #[serde(default = "views")]
    pub(super) views: Vec<View>,
    /// Most interfaces.
    #[serde(default = "interfaces_max")]
    pub(super) interfaces_max: usize,
    /// What is read beside the views.
    #[serde(default)]
    pub(super) oids: Vec<Object>,
    /// How often it is read.
    #[serde(default = "defaults::seconds::<60>", deserialize_with = "crate::config::duration")]
    pub(super) interval: Duration,
    /// How long an answer is waited for.
    #[serde(default = "defaults::seconds::<2>", deserialize_with = "crate::config::duration")]
    pub(super) timeout: Duration,
    /// Up to this long after its tick it is read.
    #[serde(default = "defaults::half_a_second", deserialize_with = "crate::config::duration")]
    pub(super) jitter: Duration,
    /// The lane of its samples.
    #[serde(default = "defaults::normal_lane")]
    pub(super) lane: Lane,
}

/// The version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) enum Version {
    #[serde(rename = "1")]
    V1,
    #[default]
    #[serde(rename = "2c")]
    V2c,
    #[serde(rename = "3")]
    V3,
}

/// Who asks, in version 3.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct User {
    pub user: String,
    #[serde(default)]
    pub auth: Option<AuthKey>,
    #[serde(default)]
    pub privacy: Option<PrivacyKey>,
    #[serde(default)]
    pub context: String,
}

/// With what questions are signed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthKey {
    pub protocol: AuthProtocol,
    pub password: Secret,
}

/// With what they are encrypted.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrivacyKey {
    pub protocol: PrivacyProtocol,
    pub password: Secret,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AuthProtocol {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PrivacyProtocol {
    Aes128,
    Aes256,
    Des,
}

/// What is read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum View {
    System,
    Interfaces,
    Printer,
    Ups,
    ApcUps,
    Sensors,
}

impl View {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Interfaces => "interfaces",
            Self::Printer => "printer",
            Self::Ups => "ups",
            Self::ApcUps => "apc_ups",
            Self::Sensors => "sensors",
        }
    }
}

/// An object of one's own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Object {
    /// Its series.
    pub metric: String,
    #[serde(deserialize_with = "name")]
    pub oid: Name,
    /// What its number is multiplied by.
    #[serde(default = "defaults::one")]
    pub scale: f64,
    /// What is added after that.
    #[serde(default)]
    pub offset: f64,
    /// Numbers that say that there is none.
    #[serde(default)]
    pub invalid: Vec<f64>,
    /// What numbers mean; others are no reading.
    #[serde(default)]
    pub states: BTreeMap<i64, f64>,
}

fn community() -> Secret {
    Secret::Inline("public".to_owned())
}

fn views() -> Vec<View> {
    vec![View::System]
}

const fn interfaces_max() -> usize {
    48
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
    let text = String::deserialize(deserializer)?;
    let arcs: Result<Name, _> = text.strip_prefix('.').unwrap_or(&text).split('.').map(str::parse).collect();
    match arcs {
        Ok(arcs) if (3..=64).contains(&arcs.len()) && arcs[0] <= 2 && arcs[1] < 40 => Ok(arcs),
        _ => Err(serde::de::Error::custom(format_args!("{text:?} is no OID such as 1.3.6.1.2.1.1.3.0"))),
    }
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), String> {
        match (&self.v3, self.version) {
            (None, Version::V3) => return Err("version 3 needs v3: { user, auth, privacy }".to_owned()),
            (Some(_), Version::V1 | Version::V2c) => return Err("v3 needs version: 3".to_owned()),
            (Some(v3), Version::V3) => v3.check()?,
            (None, _) => {}
        }
        if self.views.is_empty() && self.oids.is_empty() {
            return Err("nothing is read: views and oids are empty".to_owned());
        }
        if self.views.iter().collect::<HashSet<_>>().len() < self.views.len() {
            return Err("a view stands in views twice".to_owned());
        }
        if !(1..=INTERFACES_MAX).contains(&self.interfaces_max) {
            return Err(format!("interfaces_max {}: 1 to {INTERFACES_MAX}", self.interfaces_max));
        }
        if self.oids.len() > OIDS_MAX {
            return Err(format!("{} oids: at most {OIDS_MAX}", self.oids.len()));
        }
        let mut seen = HashSet::new();
        for Object { metric, scale, offset, .. } in &self.oids {
            series::check(metric).map_err(|error| error.to_string())?;
            if !seen.insert(metric) {
                return Err(format!("{metric} stands in oids twice"));
            }
            if !(scale.is_finite() && *scale != 0.0 && offset.is_finite()) {
                return Err(format!("{metric}: scale and offset must be numbers, and scale not 0"));
            }
        }
        Ok(())
    }

    /// The longest that a reading may take, all its questions together.
    pub(super) fn reading_max(&self) -> Duration {
        self.interval.min(Duration::from_secs(30)).max(self.timeout.saturating_mul(3))
    }

    pub(super) fn secrets(&mut self) -> impl Iterator<Item = &mut Secret> {
        let v3 = self.v3.iter_mut().flat_map(|v3| {
            let auth = v3.auth.iter_mut().map(|auth| &mut auth.password);
            auth.chain(v3.privacy.iter_mut().map(|privacy| &mut privacy.password))
        });
        std::iter::once(&mut self.community).chain(v3)
    }
}

impl User {
    fn check(&self) -> Result<(), String> {
        if self.user.is_empty() || self.user.len() > 32 {
            return Err("v3: a user has 1 to 32 characters".to_owned());
        }
        if self.privacy.is_some() && self.auth.is_none() {
            return Err("v3: privacy needs auth".to_owned());
        }
        let passwords = [
            ("auth", self.auth.as_ref().map(|auth| &auth.password)),
            ("privacy", self.privacy.as_ref().map(|privacy| &privacy.password)),
        ];
        for (what, password) in passwords {
            if matches!(password, Some(Secret::Inline(text)) if text.len() < PASSWORD_BYTES_MIN) {
                return Err(format!(
                    "v3: the {what} password is shorter than {PASSWORD_BYTES_MIN} characters"
                ));
            }
        }
        Ok(())
    }
}

//! What the service is told: flags, then the environment (`STOREPULSE_…`), then defaults, read here and nowhere else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

use crate::admission::AdmissionLimits;
use crate::app::PeopleConfig;
use crate::commands::{
    archive, audit, bi_role, certificate, health, import, key, onboard, operator, plan, setting, store,
    takeover, tenant, upkeep, user, verify,
};
use crate::db::{DatabaseConfig, SettingsWaiver};
use crate::mail::smtp::SmtpUrl;
use crate::outbox::MailConfig;
use crate::resolution::ResolutionConfig;

/// Takes batches of stores' samples, once, and keeps tenants apart.
#[derive(Parser)]
#[command(name = "storepulse-cloud", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve the API
    Serve(Box<ServeArgs>),
    /// Ask the service beside this whether it is ready: for health checks
    Health(health::HealthArgs),
    /// Make an authority of our own and a certificate, or renew that
    Certificate(certificate::CertificateArgs),
    /// Create roles (--bootstrap) and bring the schema up to date
    Migrate(MigrateArgs),
    /// Create a tenant with its stores, keys and the agents' configuration
    Onboard(Box<onboard::OnboardArgs>),
    /// Create, list, change and end tenants
    Tenant(tenant::TenantArgs),
    /// Issue, list, take over, rotate and revoke the keys of a store
    Key(key::KeyArgs),
    /// Issue, list and revoke the keys of those who manage tenants
    Operator(operator::OperatorArgs),
    /// Make, list and drop logins that read one tenant's data in SQL
    BiRole(bi_role::BiRoleArgs),
    /// Create, suspend and list the stores of a tenant, and show what has arrived of each
    Store(store::StoreArgs),
    /// List, make and change plans
    Plan(plan::PlanArgs),
    /// Show and change the settings of tenants and stores
    Setting(setting::SettingArgs),
    /// The people of a tenant, who sign in
    User(user::UserArgs),
    /// Prove who did what, and write it out
    Audit(audit::AuditArgs),
    /// Make partitions, compact the inbox, remove what is too old, now
    Upkeep(upkeep::UpkeepArgs),
    /// Compare what the database holds with itself: counts, hashes, gaps, receipts
    Verify(verify::VerifyArgs),
    /// Write everything of a tenant to one file
    Export(archive::ExportArgs),
    /// Take batches from files that a person carried here
    Import(import::ImportArgs),
    /// Take over the one table of an older system, while its writers go on
    Takeover(Box<takeover::TakeoverArgs>),
}

/// Settings that do not go together, or are missing: exits with 64.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(pub(crate) String);

/// How to reach the database.
#[derive(Debug, Clone, Args)]
pub(crate) struct DatabaseArgs {
    /// PostgreSQL, as storepulse_app
    #[arg(long, global = true, env = "STOREPULSE_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<DatabaseUrl>,
    /// PostgreSQL, as storepulse_control
    #[arg(long, global = true, env = "STOREPULSE_CONTROL_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) control_url: Option<DatabaseUrl>,
    /// A file with the password of storepulse_app, instead of in the URL
    #[arg(
        long,
        global = true,
        env = "STOREPULSE_APP_PASSWORD_FILE",
        value_name = "FILE",
        conflicts_with = "embedded"
    )]
    pub(crate) app_password_file: Option<PathBuf>,
    /// A file with the password of storepulse_control, instead of in the URL
    #[arg(
        long,
        global = true,
        env = "STOREPULSE_CONTROL_PASSWORD_FILE",
        value_name = "FILE",
        conflicts_with = "embedded"
    )]
    pub(crate) control_password_file: Option<PathBuf>,
    /// Run a private PostgreSQL in this folder, or use the one that runs there
    #[arg(
        long,
        global = true,
        env = "STOREPULSE_EMBEDDED",
        value_name = "DIR",
        conflicts_with_all = ["database_url", "control_url"]
    )]
    pub(crate) embedded: Option<PathBuf>,
    /// Connections that ingest and reads share
    #[arg(long, global = true, env = "STOREPULSE_CONNECTIONS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) connections: u32,
}

/// An URL that may hold a password and is therefore never shown.
#[derive(Clone)]
pub(crate) struct DatabaseUrl(pub(crate) PgConnectOptions);

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl(redacted)")
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let options = PgConnectOptions::from_str(text).map_err(|e| format!("not a postgres:// URL: {e}"))?;
        Ok(Self(options.log_statements(tracing::log::LevelFilter::Trace)))
    }
}

impl DatabaseUrl {
    /// With the password of a file, if there is one.
    pub(crate) fn login(&self, password_file: Option<&Path>) -> Result<PgConnectOptions, ConfigError> {
        let Some(path) = password_file else { return Ok(self.0.clone()) };
        read_password(path).map(|password| self.0.clone().password(&password))
    }
}

/// The one line of a file.
pub(crate) fn read_password(path: &Path) -> Result<String, ConfigError> {
    let refused = |why: &str| ConfigError(format!("password file {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| refused(&e.to_string()))?;
    let password = text.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() { Err(refused("it is empty")) } else { Ok(password) }
}

impl DatabaseArgs {
    /// The two logins, where both are given.
    pub(crate) fn urls(&self) -> Result<DatabaseConfig, ConfigError> {
        let (Some(app), Some(control)) = (&self.database_url, &self.control_url) else {
            let why = "no database: give --database-url and --control-url (STOREPULSE_DATABASE_URL, STOREPULSE_CONTROL_URL), \
                       or --embedded DIR for a private one";
            return Err(ConfigError(why.to_owned()));
        };
        Ok(DatabaseConfig {
            app: app.login(self.app_password_file.as_deref())?,
            control: control.login(self.control_password_file.as_deref())?,
            connections: self.connections,
            waiver: SettingsWaiver::None,
        })
    }
}

#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Where to listen
    #[arg(long, env = "STOREPULSE_LISTEN", default_value = "127.0.0.1:8443", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    /// Tell in the log of statements that take longer than this
    #[arg(long, env = "STOREPULSE_SLOW_STATEMENT", default_value = "2s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) slow_statement: Duration,
    /// Certificate chain (PEM)
    #[arg(long, env = "STOREPULSE_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key (PEM)
    #[arg(long, env = "STOREPULSE_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Make an authority and a certificate in this folder; `onboard --ca DIR/ca.pem` gives it to the agents
    #[arg(long, env = "STOREPULSE_TLS_SELF_SIGNED", conflicts_with = "tls_cert", value_name = "DIR")]
    pub(crate) tls_self_signed: Option<PathBuf>,
    /// Names and addresses of this service for --tls-self-signed
    #[arg(long, env = "STOREPULSE_TLS_NAMES", value_delimiter = ',', default_values = ["localhost", "127.0.0.1"])]
    pub(crate) tls_name: Vec<String>,
    /// Connections of clients open at once, as far as the limit of open files allows; a new one beyond it is closed
    #[arg(long, env = "STOREPULSE_CLIENTS", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) clients: u32,
    /// `<tenant>.<this domain>` names a tenant; a key of another tenant is refused there
    #[arg(long, env = "STOREPULSE_BASE_DOMAIN", value_parser = base_domain, value_name = "DOMAIN")]
    pub(crate) base_domain: Option<String>,
    /// Understand `?tenant=` like the header X-Tenant-ID
    #[arg(long)]
    pub(crate) development: bool,
    /// Mebibytes of bodies in memory at once; beyond it the answer is 503
    #[arg(long, env = "STOREPULSE_BODY_MEMORY", default_value_t = 64, value_parser = clap::value_parser!(u32).range(4..=65_536))]
    pub(crate) body_memory: u32,
    #[command(flatten)]
    pub(crate) people: PeopleArgs,
    /// Serve on for so long after SIGTERM while /ready says 503: longer than a balancer takes to notice
    #[arg(long, env = "STOREPULSE_DRAIN_DELAY", default_value = "0s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) drain_delay: Duration,
    /// Credentials from one address that open nothing, in a minute; unknown ones beyond it are refused unseen
    #[arg(long, env = "STOREPULSE_WRONG_KEYS", default_value_t = 6_000, value_parser = clap::value_parser!(u32).range(10..))]
    pub(crate) wrong_keys: u32,
}

/// How people are reached, and from where they come.
#[derive(Args)]
pub(crate) struct PeopleArgs {
    /// What people know this service by, without a path: links in mails begin with it, and providers send people back to it
    #[arg(long, env = "STOREPULSE_PUBLIC_URL", value_parser = public_url, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// The server that takes mail: smtps://user:password@host, smtp+starttls://… or smtp://localhost; without it no mail is sent
    #[arg(long, env = "STOREPULSE_SMTP_URL", hide_env_values = true, requires_all = ["public_url", "mail_from"], value_name = "URL")]
    pub(crate) smtp_url: Option<SmtpUrl>,
    /// Who mails are from: 'StorePulse <pulse@example.com>'
    #[arg(long, env = "STOREPULSE_MAIL_FROM", value_name = "ADDRESS")]
    pub(crate) mail_from: Option<String>,
    /// Whoever proves an e-mail becomes a tenant with this plan; without it only operators make tenants
    #[arg(long, env = "STOREPULSE_SIGN_UP", requires = "smtp_url", value_name = "PLAN")]
    pub(crate) sign_up: Option<String>,
    /// Tenants' providers (OpenID Connect) may be in private networks and on this machine: where all tenants are trusted so far
    #[arg(long, env = "STOREPULSE_PRIVATE_PROVIDERS")]
    pub(crate) private_providers: bool,
}

impl PeopleArgs {
    fn config(&self) -> PeopleConfig {
        let parts = (&self.smtp_url, &self.mail_from, &self.public_url);
        let mail = match parts {
            (Some(smtp), Some(from), Some(url)) => {
                Some(MailConfig { smtp: smtp.clone(), from: from.clone(), public_url: url.clone() })
            }
            _ => None,
        };
        PeopleConfig {
            mail,
            public_url: self.public_url.clone(),
            sign_up_plan: self.sign_up.clone(),
            providers_may_be_private: self.private_providers,
        }
    }
}

/// `https://host[:port]`; plain HTTP on this machine only.
fn public_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let wrong = || {
        format!(
            "{text:?} is not an address such as https://pulse.example.com; plain http is for localhost and 127.0.0.1 only"
        )
    };
    let (scheme, host) = url.split_once("://").ok_or_else(wrong)?;
    let (name, port) = host.split_once(':').unwrap_or((host, "443"));
    let is_name = !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let is_ours = scheme == "https" || (scheme == "http" && ["localhost", "127.0.0.1"].contains(&name));
    if is_ours && is_name && port.parse::<u16>().is_ok() { Ok(url.to_owned()) } else { Err(wrong()) }
}

/// A domain of at least two labels, as DNS has them.
fn base_domain(text: &str) -> Result<String, String> {
    let domain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(inside)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_domain = domain.len() <= 253 && domain.contains('.') && domain.split('.').all(is_label);
    is_domain.then_some(domain).ok_or_else(|| format!("{text:?} is not a domain such as pulse.example.com"))
}

impl ServeArgs {
    /// How hosts name tenants.
    pub(crate) fn resolution(&self) -> ResolutionConfig {
        ResolutionConfig { base_domain: self.base_domain.clone(), development: self.development }
    }

    /// How people are reached.
    pub(crate) fn people(&self) -> PeopleConfig {
        self.people.config()
    }

    /// What is let in at once.
    pub(crate) fn admission(&self) -> AdmissionLimits {
        AdmissionLimits {
            connections_max: self.clients as usize,
            body_bytes_max: (self.body_memory as usize) << 20,
            wrong_keys_max: self.wrong_keys,
            ..AdmissionLimits::default()
        }
    }
}

#[derive(Args)]
pub(crate) struct MigrateArgs {
    /// PostgreSQL, as a login that may act as storepulse_owner (or, with --bootstrap, create roles)
    #[arg(long, env = "STOREPULSE_MIGRATE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: DatabaseUrl,
    /// A file with the password of that login, instead of in the URL
    #[arg(long, env = "STOREPULSE_MIGRATE_PASSWORD_FILE", value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Create the roles first; needs CREATEROLE and ownership of the database
    #[arg(long)]
    pub(crate) bootstrap: bool,
    /// With --bootstrap: a file with the password of storepulse_app
    #[arg(long, env = "STOREPULSE_APP_PASSWORD_FILE", value_name = "FILE", requires = "bootstrap")]
    pub(crate) app_password_file: Option<PathBuf>,
    /// With --bootstrap: a file with the password of storepulse_control
    #[arg(long, env = "STOREPULSE_CONTROL_PASSWORD_FILE", value_name = "FILE", requires = "bootstrap")]
    pub(crate) control_password_file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_a_host_and_nothing_else() {
        for good in ["https://pulse.example.com", "https://pulse.example.com:8443", "http://127.0.0.1:8443"] {
            assert_eq!(public_url(good).unwrap(), good);
        }
        assert_eq!(public_url("https://pulse.example.com/").unwrap(), "https://pulse.example.com");
        for bad in [
            "",
            "pulse.example.com",
            "http://pulse.example.com",
            "https://",
            "https://a/b",
            "https://a@b",
            "https://a b",
            "https://a:b",
        ] {
            assert!(public_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_base_domain_is_a_domain() {
        assert_eq!(base_domain("Pulse.Example.com.").unwrap(), "pulse.example.com");
        for bad in ["", "example", ".example.com", "a..b", "-a.b", "a_b.c", "a.b:443", "*.a.b", "a.b/"] {
            assert!(base_domain(bad).is_err(), "{bad}");
        }
    }
}

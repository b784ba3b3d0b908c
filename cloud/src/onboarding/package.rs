//! The package: what each store's gateway box needs, from the templates of `deploy/store/`, which are embedded here.
//!
//! Secrets stand in three files, each 0600: `store.key`, `push.token`, and the token once more in `pos-agent-config.yaml`,
//! which goes to another machine. No other file holds one.

use serde::Serialize;
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::{PushToken, StoreKey};

use super::results::Results;
use super::template::Value::{Id, Piece, Text};
use super::template::{Format, fill};

const AGENT: &str = include_str!("../../../deploy/store/agent.yaml");
const COMPOSE: &str = include_str!("../../../deploy/store/docker-compose.yml");
const DEPLOY: &str = include_str!("../../../deploy/store/deploy.sh");
const POS: &str = include_str!("../../../deploy/store/pos-agent-config.yaml");
const README: &str = include_str!("../../../deploy/store/README.md");

/// The file with a store's key.
pub(super) const KEY_FILE: &str = "store.key";
/// The file with its push token.
pub(super) const TOKEN_FILE: &str = "push.token";

/// A file of the package.
#[derive(Debug)]
pub(super) struct PackageFile {
    pub name: &'static str,
    pub mode: u32,
    /// What a person has changed in it stays.
    pub is_kept: bool,
    pub text: String,
}

impl PackageFile {
    fn new(name: &'static str, mode: u32, text: String) -> Self {
        Self { name, mode, is_kept: false, text }
    }

    fn kept(self) -> Self {
        Self { is_kept: true, ..self }
    }
}

/// What the files speak of.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub tenant: &'a TenantId,
    pub company: &'a str,
    pub plan: &'a str,
    pub cloud_url: &'a str,
    pub ca: Option<&'a str>,
}

impl About<'_> {
    /// The files of a store, but for `store.key` and `push.token`.
    pub(super) fn files_of(&self, store: &StoreId, token: &PushToken) -> Vec<PackageFile> {
        let ca = if self.ca.is_some() { "ca_file: ca.pem" } else { "# ca_file: ca.pem" };
        let values = [
            ("tenant", Id(self.tenant.as_str())),
            ("store", Id(store.as_str())),
            ("company", Text(self.company)),
            ("cloud_url", Text(self.cloud_url)),
            ("ca_file", Piece(ca)),
            ("version", Id(env!("CARGO_PKG_VERSION"))),
        ];
        let pos = [values.as_slice(), &[("push_token", Text(token.expose()))]].concat();
        let mut files = vec![
            PackageFile::new("agent.yaml", 0o644, fill(AGENT, Format::Yaml, &values)).kept(),
            PackageFile::new("docker-compose.yml", 0o644, fill(COMPOSE, Format::Compose, &values)).kept(),
            PackageFile::new("deploy.sh", 0o755, fill(DEPLOY, Format::Sh, &values)),
            PackageFile::new("pos-agent-config.yaml", 0o600, fill(POS, Format::Yaml, &pos)),
        ];
        files.extend(self.ca.map(|pem| PackageFile::new("ca.pem", 0o644, pem.to_owned())));
        files
    }

    /// What people read first.
    pub(super) fn readme(&self, stores: usize, validation: &'static str) -> PackageFile {
        let count = stores.to_string();
        let values = [
            ("tenant", Id(self.tenant.as_str())),
            ("company", Text(self.company)),
            ("plan", Id(self.plan)),
            ("cloud_url", Id(self.cloud_url)),
            ("count", Id(&count)),
            ("validation", Piece(validation)),
        ];
        PackageFile::new("README.md", 0o644, fill(README, Format::Markdown, &values))
    }
}

/// The file with a store's key.
pub(super) fn key_file(key: &StoreKey) -> PackageFile {
    PackageFile::new(KEY_FILE, 0o600, format!("{}\n", key.expose()))
}

/// The file with a store's push token.
pub(super) fn token_file(token: &PushToken) -> PackageFile {
    PackageFile::new(TOKEN_FILE, 0o600, format!("{}\n", token.expose()))
}

/// What was done, for programs.
///
/// # Errors
/// It cannot be written as JSON.
pub(super) fn results(results: &Results) -> Result<PackageFile, serde_json::Error> {
    let mut text = Vec::new();
    let pretty = serde_json::ser::PrettyFormatter::with_indent(b"  ");
    results.serialize(&mut serde_json::Serializer::with_formatter(&mut text, pretty))?;
    text.push(b'\n');
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(PackageFile::new("onboarding_results.json", 0o644, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_place_in_a_template_is_left_empty() {
        let (tenant, store) = ("cliente3".parse().unwrap(), "T01".parse().unwrap());
        let about = About {
            tenant: &tenant,
            company: "C",
            plan: "basic",
            cloud_url: "https://cloud.example",
            ca: Some("x"),
        };
        let mut files = about.files_of(&store, &PushToken::issue());
        files.push(about.readme(5, ""));
        for file in files {
            // Docker's own templates have more in them than one word, or this one.
            let mut places =
                file.text.split("{{").skip(1).filter_map(|after| Some(after.split_once("}}")?.0));
            let is_open = |place: &&str| {
                *place != "end" && place.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            };
            assert_eq!(places.find(is_open), None, "{}", file.name);
        }
    }
}

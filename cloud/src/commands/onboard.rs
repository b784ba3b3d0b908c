//! `onboard`: a tenant with its stores, keys, and for each store the folder that its gateway box needs.
//!
//! Run again, it goes on where it was: what exists stays, a store whose key file is there and still opens keeps it, and a
//! key is in the database before its file is in place, so no file ever holds a key that opens nothing.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::StoreKey;

use crate::config::DatabaseArgs;
use crate::db::Db;
use crate::tenant::sql;

/// The agent's configuration, as the package has it.
const AGENT_YAML: &str = include_str!("../../../deploy/store/agent.yaml");
/// Stores that one call creates at most.
const STORES_MAX: u32 = 5_000;

#[derive(Args)]
pub(crate) struct OnboardArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    /// The tenant's id: a-z, 0-9 and '-'
    #[arg(long)]
    tenant_id: TenantId,
    /// The company's name
    #[arg(long)]
    company: String,
    /// How many stores: they are named T01, T02, …
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(STORES_MAX)))]
    stores: u32,
    /// Where the agents reach the cloud
    #[arg(long, value_name = "URL")]
    cloud_url: String,
    /// A certificate authority for the agents, from `serve --tls-self-signed`
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The folder to write, with one folder a store
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What to create.
#[derive(Debug, Clone)]
pub struct Request {
    /// The tenant.
    pub tenant: TenantId,
    /// Its company.
    pub company: String,
    /// Its stores.
    pub stores: Vec<StoreId>,
    /// Where the agents reach the cloud.
    pub cloud_url: String,
    /// PEM of an authority for the agents.
    pub ca: Option<String>,
    /// Where the package goes.
    pub out: PathBuf,
}

impl OnboardArgs {
    pub(crate) fn request(&self) -> anyhow::Result<Request> {
        let names = (1..=self.stores).map(|n| format!("T{n:02}").parse());
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).with_context(|| format!("--ca {}", path.display()))
        };
        Ok(Request {
            tenant: self.tenant_id.clone(),
            company: self.company.clone(),
            stores: names.collect::<Result<_, _>>()?,
            cloud_url: self.cloud_url.trim_end_matches('/').to_owned(),
            ca: self.ca.as_ref().map(read).transpose()?,
            out: self.out.clone(),
        })
    }
}

/// Creates what is missing and writes the package.
///
/// # Errors
/// Nothing that exists is changed; run again, it goes on.
pub async fn run(db: &Db, request: &Request, out: &mut impl Write) -> anyhow::Result<()> {
    let tenant = &request.tenant;
    let mut tx = db.control().await?;
    let created = sql::create_tenant(&mut tx, tenant, &request.company).await?;
    tx.commit().await?;
    writeln!(out, "tenant {tenant}: {}", if created { "created" } else { "exists" })?;
    for store in &request.stores {
        let dir = request.out.join(store.as_str());
        std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        let mut tx = db.control().await?;
        sql::create_store(&mut tx, tenant, store, store.as_str()).await?;
        let key_file = dir.join("store.key");
        let known = read_key(&key_file);
        let kept = match &known {
            Some(key) => {
                key.tenant() == tenant && key.store() == store && sql::key_is_active(&mut tx, key).await?
            }
            None => false,
        };
        if kept {
            tx.commit().await?;
        } else {
            let key = StoreKey::issue(tenant, store);
            sql::add_key(&mut tx, &key).await?;
            tx.commit().await?;
            write_file(&key_file, &format!("{}\n", key.expose()), 0o600)?;
        }
        write_agent_yaml(request, store, &dir)?;
        writeln!(
            out,
            "store {store}: {} in {}",
            if kept { "key kept" } else { "key issued" },
            dir.display()
        )?;
    }
    Ok(())
}

fn read_key(path: &Path) -> Option<StoreKey> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Writes the configuration unless it is there: what a person has added to it stays.
fn write_agent_yaml(request: &Request, store: &StoreId, dir: &Path) -> anyhow::Result<()> {
    if let Some(ca) = &request.ca {
        write_file(&dir.join("ca.pem"), ca, 0o644)?;
    }
    let path = dir.join("agent.yaml");
    if path.exists() {
        return Ok(());
    }
    let ca_file = if request.ca.is_some() { "ca_file: ca.pem" } else { "# ca_file: ca.pem" };
    let text = AGENT_YAML
        .replace("{{tenant}}", request.tenant.as_str())
        .replace("{{store}}", store.as_str())
        .replace("{{cloud_url}}", &request.cloud_url)
        .replace("{{ca_file}}", ca_file);
    write_file(&path, &text, 0o644)
}

/// Writes a file whole or not at all.
fn write_file(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let fresh = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        if fresh.exists() {
            std::fs::remove_file(&fresh)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    };
    write().with_context(|| path.display().to_string())
}

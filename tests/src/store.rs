//! A store: its folder with key and configuration, as onboarding makes it, and its agent as a child process.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context as _;
use storepulse_cloud::db::Db;
use storepulse_cloud::onboarding::{self, Contacts, How, Request};
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::StoreKey;

use crate::children::Role;
use crate::cluster::TestDb;
use crate::roles::PowerCut;
use crate::wait;

/// How long a start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Makes a tenant with stores, as the operator would; returns each store's folder.
///
/// # Errors
/// The database refused, or the folder cannot be written.
pub async fn onboard(
    db: &TestDb,
    tenant: &str,
    stores: &[&str],
    cloud_url: &str,
    ca: Option<&Path>,
    out: &Path,
) -> anyhow::Result<Vec<Store>> {
    let door = Db::connect(&db.config()).await?;
    let request = Request {
        tenant: tenant.parse()?,
        company: format!("{tenant} S.A."),
        // A fleet may be large.
        plan: "enterprise".to_owned(),
        contacts: Contacts::default(),
        stores: stores.iter().map(|s| s.parse()).collect::<Result<Vec<StoreId>, _>>()?,
        cloud_url: cloud_url.to_owned(),
        ca: ca.map(std::fs::read_to_string).transpose()?,
    };
    // Many tests onboard before there is a cloud, or behind a link that is down.
    let how = How { out: out.to_owned(), validate: false, stop_after: None };
    onboarding::run(&door, &request, &how, &mut std::io::sink()).await?;
    door.close().await;
    request
        .stores
        .iter()
        .map(|store| Store::load(&request.tenant, store, &out.join(store.as_str())))
        .collect()
}

/// A store's folder.
#[derive(Debug, Clone)]
pub struct Store {
    /// The tenant.
    pub tenant: TenantId,
    /// The store.
    pub id: StoreId,
    /// Its key.
    pub key: StoreKey,
    /// Its folder.
    pub dir: PathBuf,
}

impl Store {
    fn load(tenant: &TenantId, store: &StoreId, dir: &Path) -> anyhow::Result<Self> {
        let key = std::fs::read_to_string(dir.join("store.key"))?.trim().parse()?;
        Ok(Self { tenant: tenant.clone(), id: store.clone(), key, dir: dir.to_owned() })
    }

    /// The header `Authorization` of its agent.
    #[must_use]
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.key.expose())
    }
}

/// What an agent is to be told beside the defaults of a fast test.
#[derive(Debug, Clone, Default)]
pub struct AgentSetup {
    /// Where it sends; the onboarded URL otherwise.
    pub cloud_url: Option<String>,
    /// Lines of YAML below `devices:`.
    pub devices: String,
    /// Whether it takes pushes.
    pub push: bool,
    /// More settings of `local:`, as `, name: value`.
    pub local: String,
    /// Lines of YAML for the top level.
    pub more: String,
    /// Longest pause between attempts.
    pub retry_max: Option<&'static str>,
}

/// An agent as a child process.
#[derive(Debug)]
pub struct Agent {
    testbed: PathBuf,
    /// Its store.
    pub store: Store,
    /// Where its status is.
    pub status: SocketAddr,
    /// Where it takes pushes.
    pub push: SocketAddr,
    role: Option<Role>,
}

impl Agent {
    /// Writes the configuration and starts the agent.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(testbed: &Path, store: &Store, setup: &AgentSetup) -> anyhow::Result<Self> {
        let mut agent = Self::install(testbed, store, setup)?;
        agent.restart().await?;
        Ok(agent)
    }

    /// Writes the configuration of an agent that is not running yet.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn install(testbed: &Path, store: &Store, setup: &AgentSetup) -> anyhow::Result<Self> {
        let agent = Self {
            testbed: testbed.to_owned(),
            store: store.clone(),
            status: free_address()?,
            push: free_address()?,
            role: None,
        };
        agent.configure(setup)?;
        Ok(agent)
    }

    /// Writes the configuration anew; it counts from the next start. The agent's own health is left out: at a full minute it
    /// would be among what a test counts.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn configure(&self, setup: &AgentSetup) -> anyhow::Result<()> {
        let onboarded = std::fs::read_to_string(self.store.dir.join("agent.yaml"))?;
        let known_url =
            onboarded.lines().find_map(|line| line.trim().strip_prefix("url: ")).unwrap_or_default();
        let url = setup.cloud_url.as_deref().unwrap_or(known_url);
        let ca = if self.store.dir.join("ca.pem").exists() { "  ca_file: ca.pem\n" } else { "" };
        let push = if setup.push { format!("push: {{ listen: '{}' }}\n", self.push) } else { String::new() };
        let devices = if setup.devices.is_empty() { " {}" } else { "" };
        let text = format!(
            "cloud:\n  url: {url}\n  key_file: store.key\n{ca}  retry_max: {}\n  held_retry: 5s\n  timeout: 5s\n\
             state_dir: spool\nbatches: {{ max_age: 300ms, bulk_max_age: 500ms, offline_max_age: 2s }}\n\
             local: {{ listen: '{}'{} }}\nhealth: {{ enabled: false }}\n{push}{}devices:{devices}\n{}",
            setup.retry_max.unwrap_or("1s"),
            self.status,
            setup.local,
            setup.more,
            setup.devices,
        );
        let path = self.config_file();
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// Another program, another version perhaps, from the next start on.
    pub fn become_program(&mut self, testbed: &Path) {
        testbed.clone_into(&mut self.testbed);
    }

    /// The folder of its spool.
    #[must_use]
    pub fn spool_dir(&self) -> PathBuf {
        self.store.dir.join("spool")
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.role.is_some()
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.role.as_ref().map(Role::pid)
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(role) = self.role.take() {
            role.kill()?;
        }
        Ok(())
    }

    /// SIGTERM, and wait.
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(role) = self.role.take() {
            role.stop().await?;
        }
        Ok(())
    }

    /// Starts it on a disk whose power will go; does not wait for anything.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_on_fault_disk(&mut self, cut: PowerCut) -> anyhow::Result<()> {
        let mut args = cut.args(&self.store.dir);
        args.extend(["run".to_owned(), "--config".to_owned(), self.config_file().display().to_string()]);
        self.role = Some(Role::start(&self.testbed, &args, &self.log_file())?);
        Ok(())
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// It does not within `limit`.
    pub async fn until_it_ends(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let Some(mut role) = self.role.take() else { anyhow::bail!("the agent is not running") };
        wait::until("the agent to end", limit, async || role.ended()).await
    }

    /// Starts it (again) and waits until it answers.
    ///
    /// # Errors
    /// It ended, or does not answer in time.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let config = self.config_file().display().to_string();
        let mut role = Role::start(&self.testbed, &["agent", "run", "--config", &config], &self.log_file())?;
        let (client, url) = (plain_client()?, format!("http://{}/health", self.status));
        wait::until("the agent to answer", START_LIMIT, async || {
            if let Some(status) = role.ended()? {
                // Nothing to wait for any more.
                return Ok(Some(Err(anyhow::anyhow!("the agent ended with {status}\n{}", role.said()))));
            }
            let answer = client.get(&url).send().await;
            Ok(answer.is_ok_and(|a| a.status().is_success()).then_some(Ok(())))
        })
        .await??;
        self.role = Some(role);
        Ok(())
    }

    /// Its `/status`.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn read_status(&self) -> anyhow::Result<serde_json::Value> {
        let answer = plain_client()?.get(format!("http://{}/status", self.status)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Its `/metrics`.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn read_metrics(&self) -> anyhow::Result<String> {
        let answer = plain_client()?.get(format!("http://{}/metrics", self.status)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Waits until everything it has accepted is acknowledged.
    ///
    /// # Errors
    /// It is not within `limit`; the error shows the status.
    pub async fn until_drained(&self, limit: Duration) -> anyhow::Result<()> {
        wait::until("the spool to be empty", limit, async || {
            anyhow::ensure!(!self.is_salvaging()?, "a damaged spool is being salvaged");
            let status = self.read_status().await?;
            if waiting(&status) == 0 { Ok(Some(())) } else { anyhow::bail!("{}", status["uplink"]) }
        })
        .await
    }

    /// Whether a spool that was set aside still waits for its salvage.
    fn is_salvaging(&self) -> anyhow::Result<bool> {
        for file in std::fs::read_dir(self.spool_dir())? {
            if file?.file_name().to_string_lossy().starts_with("spool-damaged-") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits until the cloud has acknowledged everything that was accepted before this call: the spool may hold newer things.
    ///
    /// # Errors
    /// It has not within `limit`; the error shows the uplink.
    pub async fn until_drained_once(&self, limit: Duration) -> anyhow::Result<()> {
        let asked_ms = self.read_status().await?["now_ms"].as_i64().unwrap_or(i64::MAX);
        wait::until("the spool to be drained", limit, async || {
            let status = self.read_status().await?;
            let lanes = status["spool"]["lanes"].as_array().map(Vec::as_slice).unwrap_or_default();
            let old =
                lanes.iter().any(|lane| lane["oldest_ms"].as_i64().is_some_and(|oldest| oldest <= asked_ms));
            if old { anyhow::bail!("{}", status["uplink"]) } else { Ok(Some(())) }
        })
        .await
    }

    /// What its log says.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn config_file(&self) -> PathBuf {
        self.store.dir.join("agent.yaml")
    }

    fn log_file(&self) -> PathBuf {
        self.store.dir.join("agent.log")
    }
}

/// Rows and batches of a status that the cloud does not have.
#[must_use]
pub fn waiting(status: &serde_json::Value) -> u64 {
    let lanes = status["spool"]["lanes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |lane: &serde_json::Value, field: &str| lane[field].as_u64().unwrap_or(u64::MAX / 8);
    lanes.iter().map(|lane| of(lane, "open_rows") + of(lane, "waiting_batches")).sum()
}

fn plain_client() -> anyhow::Result<reqwest::Client> {
    crate::cloud::http_client(None)
}

/// An address that was free a moment ago.
///
/// # Errors
/// No port is free.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

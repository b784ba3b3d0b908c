//! The cloud at work: in this process, or as a child that can be killed.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use storepulse_cloud::admission::AdmissionLimits;
use storepulse_cloud::app::{self, Config, PeopleConfig};
use storepulse_cloud::embedded::Embedded;
use storepulse_cloud::resolution::ResolutionConfig;
use storepulse_cloud::tls;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::children::Role;
use crate::cluster::TestDb;
use crate::wait;

/// How long a start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The cloud in this process.
#[derive(Debug)]
pub struct Cloud {
    /// Where it listens.
    pub address: SocketAddr,
    /// Of its authority, if it speaks TLS.
    pub ca: Option<PathBuf>,
    stop: CancellationToken,
    task: Option<JoinHandle<Result<(), app::ServeError>>>,
}

impl Cloud {
    /// Serves a database over TLS, with an authority made in `tls_dir`, or over plain HTTP.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(db: &TestDb, tls_dir: Option<&Path>) -> anyhow::Result<Self> {
        Self::start_within(AdmissionLimits::default(), db, tls_dir).await
    }

    /// Serves it over plain HTTP, hosts naming tenants so.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_resolving(resolution: ResolutionConfig, db: &TestDb) -> anyhow::Result<Self> {
        Self::run(Config { resolution, ..plain(db) }, None).await
    }

    /// Serves it over plain HTTP, reaching people so.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_reaching(people: PeopleConfig, db: &TestDb) -> anyhow::Result<Self> {
        Self::run(Config { people, ..plain(db) }, None).await
    }

    /// The same at an address that is known before: providers send people back to it.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_reaching_at(
        listener: TcpListener,
        people: PeopleConfig,
        db: &TestDb,
    ) -> anyhow::Result<Self> {
        Self::run_on(listener, Config { people, ..plain(db) }, None).await
    }

    /// The same, letting in no more than this.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_within(
        admission: AdmissionLimits,
        db: &TestDb,
        tls_dir: Option<&Path>,
    ) -> anyhow::Result<Self> {
        tls::install_provider();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let files = tls_dir.map(|dir| tls::self_signed(dir, &names)).transpose()?;
        Self::run(Config { tls: files, admission, ..plain(db) }, tls_dir).await
    }

    async fn run(config: Config, tls_dir: Option<&Path>) -> anyhow::Result<Self> {
        Self::run_on(TcpListener::bind("127.0.0.1:0")?, config, tls_dir).await
    }

    async fn run_on(listener: TcpListener, config: Config, tls_dir: Option<&Path>) -> anyhow::Result<Self> {
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "joined by stop(); ends with the process otherwise")]
        let task = tokio::spawn(app::run(config, listener, stop.clone()));
        let mut cloud = Self { address, ca: tls_dir.map(tls::ca_file), stop, task: Some(task) };
        cloud.wait_until_it_answers().await?;
        Ok(cloud)
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address, self.ca.is_some())
    }

    /// Stops it in order.
    ///
    /// # Errors
    /// It had failed.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        match self.task.take() {
            Some(task) => Ok(task.await??),
            None => Ok(()),
        }
    }

    async fn wait_until_it_answers(&mut self) -> anyhow::Result<()> {
        let client = http_client(self.ca.as_deref())?;
        let url = format!("{}/health", self.url());
        let task = &mut self.task;
        wait::until("the cloud to answer", START_LIMIT, async || {
            if task.as_ref().is_none_or(JoinHandle::is_finished) {
                return match task.take() {
                    Some(ended) => Err(anyhow::anyhow!("the cloud ended: {:?}", ended.await?)),
                    None => Ok(None),
                };
            }
            Ok(client.get(&url).send().await.is_ok().then_some(()))
        })
        .await
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The cloud as a child process, at a fixed address, so that it can be killed and started again there.
#[derive(Debug)]
pub struct CloudProcess {
    testbed: PathBuf,
    db: TestDb,
    /// Where it listens.
    pub address: SocketAddr,
    tls_dir: PathBuf,
    log: PathBuf,
    drain_delay: Duration,
    role: Option<Role>,
}

impl CloudProcess {
    /// Starts it on a free port, with TLS.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(testbed: &Path, db: &TestDb, dir: &Path) -> anyhow::Result<Self> {
        Self::start_draining(testbed, db, dir, Duration::ZERO).await
    }

    /// The same, serving on for so long after SIGTERM.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_draining(
        testbed: &Path,
        db: &TestDb,
        dir: &Path,
        drain_delay: Duration,
    ) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut cloud = Self {
            testbed: testbed.to_owned(),
            db: db.clone(),
            address,
            tls_dir: dir.join("tls"),
            log: dir.join("cloud.log"),
            drain_delay,
            role: None,
        };
        cloud.restart().await?;
        Ok(cloud)
    }

    /// Another instance on the same database, with the same certificate, on a port of its own.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_beside(&self, name: &str) -> anyhow::Result<Self> {
        let mut other = Self {
            testbed: self.testbed.clone(),
            db: self.db.clone(),
            address: TcpListener::bind("127.0.0.1:0")?.local_addr()?,
            tls_dir: self.tls_dir.clone(),
            log: self.log.with_file_name(format!("{name}.log")),
            drain_delay: self.drain_delay,
            role: None,
        };
        other.restart().await?;
        Ok(other)
    }

    /// From its next start on it serves this database.
    pub fn use_database(&mut self, db: &TestDb) {
        self.db = db.clone();
    }

    /// SIGTERM, without waiting for the end.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn begin_to_stop(&self) -> anyhow::Result<()> {
        self.role.as_ref().map_or(Ok(()), Role::terminate)
    }

    /// Another program, another version perhaps, from the next start on.
    pub fn become_program(&mut self, testbed: &Path) {
        testbed.clone_into(&mut self.testbed);
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address, true)
    }

    /// The certificate of its authority.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        tls::ca_file(&self.tls_dir)
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

    /// Starts it again and waits until it answers.
    ///
    /// # Errors
    /// It ended, or does not answer in time.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let (app, control) = (Embedded::url(&self.db.app), Embedded::url(&self.db.control));
        let (listen, tls) = (self.address.to_string(), self.tls_dir.display().to_string());
        let drain_delay = format!("{}ms", self.drain_delay.as_millis());
        let mut args = vec![
            "cloud-role",
            "--app-url",
            &app,
            "--control-url",
            &control,
            "--listen",
            &listen,
            "--tls",
            &tls,
            "--drain-delay",
            &drain_delay,
        ];
        if self.db.is_waived() {
            args.push("--worthless-data");
        }
        let mut role = Role::start(&self.testbed, &args, &self.log)?;
        let (url, ca) = (format!("{}/health", self.url()), self.ca());
        wait::until("the cloud process to answer", START_LIMIT, async || {
            if let Some(status) = role.ended()? {
                anyhow::bail!("the cloud process ended with {status}\n{}", role.said());
            }
            if !ca.exists() {
                return Ok(None);
            }
            let client = http_client(Some(&ca))?;
            Ok(client.get(&url).send().await.is_ok().then_some(()))
        })
        .await?;
        self.role = Some(role);
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
}

/// Plain HTTP, and nothing more.
fn plain(db: &TestDb) -> Config {
    tls::install_provider();
    Config {
        database: db.config(),
        tls: None,
        admission: AdmissionLimits::default(),
        resolution: ResolutionConfig::default(),
        people: PeopleConfig::default(),
        drain_delay: Duration::ZERO,
    }
}

fn url(address: SocketAddr, tls: bool) -> String {
    format!("{}://{address}", if tls { "https" } else { "http" })
}

/// A client that trusts the authority in this file and no other.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub fn http_client(ca: Option<&Path>) -> anyhow::Result<reqwest::Client> {
    tls::install_provider();
    let mut builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
    if let Some(path) = ca {
        let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
        builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem)?);
    }
    Ok(builder.build()?)
}

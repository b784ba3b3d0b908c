//! A private PostgreSQL in a folder: the one-machine installation, the demo and the tests share this code.
//!
//! Finds the system's server binaries, initialises a cluster in `DIR/data`, and serves it on a free port of the
//! loopback interface with SCRAM passwords that stand in `DIR/secrets` and `DIR/access` (0600) and nowhere else. As root the
//! server runs as `postgres`, else `nobody`. A watchdog ends the server when this process ends, however it ends.
//! What goes into the databases is not decided here: see `schema`.

mod account;
mod binaries;
mod watchdog;

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _};

use self::account::Account;
pub use self::binaries::{Binaries, PACKAGE_HINT};
use self::watchdog::Watchdog;
use crate::schema::RolePasswords;

/// The database that the service uses.
pub const DATABASE: &str = "storepulse";
/// The superuser of the private server.
const ADMIN: &str = "storepulse_admin";
/// How long initialising and starting may take, together with an earlier server that is still stopping.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// What went wrong with the private server.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// There is no PostgreSQL on this machine, or too old a one.
    #[error("{0}")]
    Missing(String),
    /// A folder cannot be used.
    #[error("embedded database: {folder}: {why}")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        why: String,
    },
    /// Another process serves this folder.
    #[error("embedded database: {0} is in use by another process; stop that first, or choose another folder")]
    InUse(PathBuf),
    /// A program failed; its own words are quoted.
    #[error("embedded database: {program} failed: {why}")]
    Program {
        /// Which program.
        program: &'static str,
        /// The end of what it said.
        why: String,
    },
}

impl EmbeddedError {
    fn folder(folder: &Path, why: impl ToString) -> Self {
        Self::Folder { folder: folder.to_owned(), why: why.to_string() }
    }
}

/// How to run it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder; created if it is missing.
    pub dir: PathBuf,
    /// `false` trades durability for speed; only the testbed does, where durability is not tested.
    pub durable: bool,
    /// Delete the cluster when this process ends, however it ends.
    pub ephemeral: bool,
    /// `max_connections` of the server.
    pub connections: u16,
}

impl Options {
    /// A durable server in this folder.
    #[must_use]
    pub fn durable(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), durable: true, ephemeral: false, connections: 100 }
    }
}

/// How to log in to a private server that another process runs.
#[derive(Debug)]
pub struct Access {
    /// As `storepulse_app`.
    pub app: PgConnectOptions,
    /// As `storepulse_control`.
    pub control: PgConnectOptions,
    /// As the superuser: for what makes roles, never for the service.
    pub admin: PgConnectOptions,
}

impl Access {
    /// Reads what the running server's owner wrote into its folder.
    ///
    /// # Errors
    /// The file is not there or not ours.
    pub fn read(dir: &Path) -> Result<Self, EmbeddedError> {
        let path = dir.join("access");
        let text = std::fs::read_to_string(&path).map_err(|e| EmbeddedError::folder(&path, e))?;
        let url = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            let line = line.ok_or_else(|| EmbeddedError::folder(&path, format!("{name} is missing")))?;
            line.parse::<PgConnectOptions>().map_err(|e| EmbeddedError::folder(&path, e))
        };
        Ok(Self {
            app: url("STOREPULSE_DATABASE_URL")?,
            control: url("STOREPULSE_CONTROL_URL")?,
            admin: url("STOREPULSE_MIGRATE_URL")?,
        })
    }
}

/// A running private server. Dropping it stops the server soon; [`Embedded::stop`] waits for that.
#[derive(Debug)]
pub struct Embedded {
    dir: PathBuf,
    port: u16,
    secrets: Secrets,
    watchdog: Watchdog,
    _lock: std::fs::File,
}

#[derive(Clone)]
struct Secrets {
    admin: String,
    app: String,
    control: String,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(redacted)")
    }
}

impl Embedded {
    /// Initialises the folder if it is new, starts the server, and returns once it answers.
    ///
    /// # Errors
    /// See [`EmbeddedError`]; a failed start quotes the end of the server's log.
    pub async fn start(options: Options) -> Result<Self, EmbeddedError> {
        let deadline = Instant::now() + START_TIMEOUT;
        let binaries = Binaries::find()?;
        let account = Account::for_server()?;
        account.prepare_folder(&options.dir)?;
        let lock = take_lock(&options.dir)?;
        let secrets = Secrets::load_or_create(&options.dir)?;
        let data = options.dir.join("data");
        if !data.join("PG_VERSION").exists() {
            initialise(&binaries, &account, &options, &secrets).await?;
        }
        wait_for_predecessor(&data, deadline).await?;
        let mut failure = String::new();
        // A port that was free a moment ago can be taken by someone else; then another one is tried.
        for _ in 0..3 {
            let port = free_port()?;
            let watchdog = Watchdog::start(&binaries, &account, &options, port)?;
            let server = Self {
                dir: options.dir.clone(),
                port,
                secrets: secrets.clone(),
                watchdog,
                _lock: lock.try_clone().map_err(|e| EmbeddedError::folder(&options.dir, e))?,
            };
            match server.wait_until_it_answers(deadline).await {
                Ok(()) => {
                    write_secret(&options.dir, "access", &server.access())?;
                    return Ok(server);
                }
                Err(why) => failure = why,
            }
            server.stop().await;
        }
        Err(EmbeddedError::Program { program: "postgres", why: failure })
    }

    /// Where the server listens on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Logs in as the superuser: for bootstrap and migrations, never for the service.
    #[must_use]
    pub fn admin(&self, database: &str) -> PgConnectOptions {
        self.options(ADMIN, &self.secrets.admin, database)
    }

    /// Logs in as `storepulse_app`.
    #[must_use]
    pub fn app(&self, database: &str) -> PgConnectOptions {
        self.options("storepulse_app", &self.secrets.app, database)
    }

    /// Logs in as `storepulse_control`.
    #[must_use]
    pub fn control(&self, database: &str) -> PgConnectOptions {
        self.options("storepulse_control", &self.secrets.control, database)
    }

    /// The passwords to give the roles.
    #[must_use]
    pub fn role_passwords(&self) -> RolePasswords {
        RolePasswords { app: Some(self.secrets.app.clone()), control: Some(self.secrets.control.clone()) }
    }

    /// Makes a database unless it is there.
    ///
    /// # Errors
    /// The server refused.
    pub async fn create_database(&self, name: &'static str) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect_with(&self.admin("postgres")).await?;
        #[expect(
            clippy::disallowed_methods,
            reason = "runs before there is a schema to check a query against"
        )]
        let there = sqlx::query("select from pg_database where datname = $1").bind(name);
        if there.fetch_optional(&mut connection).await?.is_none() {
            // An identifier cannot be bound; this one is a constant of ours.
            let statement = sqlx::AssertSqlSafe(format!("create database \"{name}\""));
            sqlx::raw_sql(statement).execute(&mut connection).await?;
        }
        connection.close().await
    }

    /// The same as an URL, for a child process, `psql` or a person. It holds the password: never log it.
    #[must_use]
    pub fn url(options: &PgConnectOptions) -> String {
        let mut url = options.to_url_lossy();
        // A setting of our own library, which PostgreSQL's refuses to know.
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        url.query_pairs_mut()
            .clear()
            .extend_pairs(pairs.iter().filter(|(name, _)| name != "statement-cache-capacity"));
        url.to_string()
    }

    /// The process id of the server, for measuring its processor time.
    #[must_use]
    pub fn server_pid(&self) -> Option<u32> {
        let pid = std::fs::read_to_string(self.dir.join("data/postmaster.pid")).ok()?;
        pid.lines().next()?.trim().parse().ok()
    }

    /// Stops the server (fast shutdown) and waits for it.
    pub async fn stop(mut self) {
        self.watchdog.stop().await;
    }

    fn options(&self, user: &str, password: &str, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(user)
            .password(password)
            .database(database)
            // Loopback only, and SCRAM keeps the password off the wire.
            .ssl_mode(PgSslMode::Disable)
    }

    /// The URLs in the form of an environment file.
    fn access(&self) -> String {
        format!(
            "STOREPULSE_DATABASE_URL={}\nSTOREPULSE_CONTROL_URL={}\nSTOREPULSE_MIGRATE_URL={}\n",
            Self::url(&self.app(DATABASE)),
            Self::url(&self.control(DATABASE)),
            Self::url(&self.admin(DATABASE)),
        )
    }

    async fn wait_until_it_answers(&self, deadline: Instant) -> Result<(), String> {
        let admin = self.admin("postgres").log_statements(tracing::log::LevelFilter::Off);
        loop {
            let error = match self.is_replaying(&admin).await {
                Ok(false) => return Ok(()),
                Ok(true) => None,
                Err(error) => Some(error),
            };
            // After a crash or a restore it replays its log for as long as that takes, and says so.
            let is_replaying = error.as_ref().is_none_or(|e| {
                e.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == "57P03")
            });
            if self.watchdog.has_ended() || (Instant::now() > deadline && !is_replaying) {
                let error = error.map(|e| e.to_string()).unwrap_or_default();
                return Err(format!("{error}\n{}", tail(&self.dir.join("postgres.log"))));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether it answers, but only reads: it is restoring a backup.
    async fn is_replaying(&self, admin: &PgConnectOptions) -> Result<bool, sqlx::Error> {
        let mut connection = PgConnection::connect_with(admin).await?;
        #[expect(
            clippy::disallowed_methods,
            reason = "runs before there is a schema to check a query against"
        )]
        let replaying = sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(replaying)
    }
}

impl Secrets {
    /// Reads `DIR/secrets`, or writes new ones there: one line each for admin, app and control.
    fn load_or_create(dir: &Path) -> Result<Self, EmbeddedError> {
        let path = dir.join("secrets");
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let mut lines = text.lines().map(str::to_owned);
                match (lines.next(), lines.next(), lines.next()) {
                    (Some(admin), Some(app), Some(control)) => Ok(Self { admin, app, control }),
                    _ => Err(EmbeddedError::folder(&path, "expected three lines")),
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let secrets = Self { admin: random_secret(), app: random_secret(), control: random_secret() };
                let text = format!("{}\n{}\n{}\n", secrets.admin, secrets.app, secrets.control);
                write_secret(dir, "secrets", &text)?;
                Ok(secrets)
            }
            Err(e) => Err(EmbeddedError::folder(&path, e)),
        }
    }
}

/// 32 letters and digits: 160 bits, and nothing that an URL or a shell would read otherwise.
pub(crate) fn random_secret() -> String {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut rng = rand::rng();
    (0..32).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect()
}

/// Writes a file that only its owner reads; whole or not at all.
fn write_secret(dir: &Path, name: &str, text: &str) -> Result<(), EmbeddedError> {
    let (path, fresh) = (dir.join(name), dir.join(format!("{name}.new")));
    let write = || -> std::io::Result<()> {
        if fresh.exists() {
            std::fs::remove_file(&fresh)?;
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)
    };
    write().map_err(|e| EmbeddedError::folder(&path, e))
}

/// Two services on one folder would fight for one cluster.
fn take_lock(dir: &Path) -> Result<std::fs::File, EmbeddedError> {
    let path = dir.join("lock");
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(|e| EmbeddedError::folder(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(EmbeddedError::InUse(dir.to_owned())),
        Err(std::fs::TryLockError::Error(e)) => Err(EmbeddedError::folder(&path, e)),
    }
}

/// Makes the cluster beside its place and renames it there, so that an interrupted start leaves no half of one.
async fn initialise(
    binaries: &Binaries,
    account: &Account,
    options: &Options,
    secrets: &Secrets,
) -> Result<(), EmbeddedError> {
    let dir = options.dir.as_path();
    let fresh = dir.join("data.new");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh).map_err(|e| EmbeddedError::folder(&fresh, e))?;
    }
    // A pipe would not do: as root we would own it, and the account could not open it by name.
    write_secret(dir, "initial-password", &secrets.admin)?;
    let password_file = dir.join("initial-password");
    account.give(&password_file)?;
    let mut command = tokio::process::Command::from(account.command(&binaries.initdb));
    command
        .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"])
        .args((!options.durable).then_some("--no-sync"))
        .args(["--username", ADMIN, "--pwfile"])
        .arg(&password_file)
        .arg("--pgdata")
        .arg(&fresh)
        .kill_on_drop(true);
    let failed = |why: String| EmbeddedError::Program { program: "initdb", why };
    let output = command.output().await.map_err(|e| failed(e.to_string()))?;
    std::fs::remove_file(&password_file).map_err(|e| EmbeddedError::folder(&password_file, e))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    std::fs::rename(&fresh, dir.join("data")).map_err(|e| EmbeddedError::folder(&fresh, e))
}

/// A server whose owner was killed a moment ago may still be stopping: its watchdog sees to that.
async fn wait_for_predecessor(data: &Path, deadline: Instant) -> Result<(), EmbeddedError> {
    let pid_file = data.join("postmaster.pid");
    loop {
        let Ok(text) = std::fs::read_to_string(&pid_file) else { return Ok(()) };
        let pid = text.lines().next().and_then(|line| line.trim().parse::<i32>().ok());
        let alive =
            pid.is_some_and(|pid| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok());
        if !alive {
            return Ok(()); // a stale file; the server itself sorts that out
        }
        if Instant::now() > deadline {
            return Err(EmbeddedError::InUse(data.to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn free_port() -> Result<u16, EmbeddedError> {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    bound
        .map(|address| address.port())
        .map_err(|e| EmbeddedError::Program { program: "postgres", why: format!("no free port: {e}") })
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

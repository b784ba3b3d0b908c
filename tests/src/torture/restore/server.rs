//! The database server with the backup that operators have: `deploy/cloud/pg.sh`, called as they and PostgreSQL call it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use storepulse_cloud::commands::prepare_embedded;
use storepulse_cloud::embedded::{Binaries, DATABASE, Embedded, Options};

use crate::cluster::TestDb;
use crate::isolation::session::Session;
use crate::run_dir::RunDir;
use crate::wait;

const SCRIPT: &str = include_str!("../../../../deploy/cloud/pg.sh");
/// Connections of the service that nobody uses while roles and schema are made.
const CONNECTIONS: u32 = 1;
/// How long the server may take to archive what it has been told to.
const ARCHIVE_LIMIT: Duration = Duration::from_secs(60);

/// A server that archives its WAL.
pub(super) struct Server {
    pub(super) dir: PathBuf,
    script: PathBuf,
    pub(super) backup: PathBuf,
    elsewhere: PathBuf,
    pub(super) running: Option<Embedded>,
}

impl Server {
    /// Makes it, and starts it once it archives.
    pub(super) async fn make(run_dir: &RunDir) -> anyhow::Result<Self> {
        let dir = run_dir.pg();
        let first = Embedded::start(Options::durable(&dir)).await?;
        let owner = std::fs::metadata(&dir)?;
        let folder = |name: &str| {
            let path = run_dir.part(name)?;
            chown(&path, Some(owner.uid()), Some(owner.gid()))?;
            anyhow::Ok(path)
        };
        let (backup, elsewhere) = (folder("backup")?, folder("elsewhere")?);
        let script = run_dir.path().join("pg.sh");
        std::fs::write(&script, SCRIPT)?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
        let mut admin = Session::open(&first.admin("postgres")).await?;
        let command = format!("/bin/sh {} archive %p %f {}", script.display(), backup.display());
        admin.run(&format!("alter system set archive_command = '{command}'")).await?;
        admin.run("alter system set archive_mode = 'on'").await?;
        admin.run("alter system set archive_timeout = '60s'").await?;
        admin.close().await?;
        first.stop().await;
        let running = Embedded::start(Options::durable(&dir)).await?;
        prepare_embedded(&running, CONNECTIONS).await?;
        Ok(Self { dir, script, backup, elsewhere, running: Some(running) })
    }

    /// How to log in.
    pub(super) fn db(&self) -> anyhow::Result<TestDb> {
        Ok(TestDb::durable(self.running()?, DATABASE))
    }

    pub(super) fn running(&self) -> anyhow::Result<&Embedded> {
        self.running.as_ref().context("the server is not running")
    }

    /// A base backup, the WAL up to now, and all of it away to another place. Returns the backup's name.
    pub(super) async fn back_up(&self) -> anyhow::Result<String> {
        let backup = self.backup.display().to_string();
        let name = self.pg(&["base", &backup]).await?;
        self.archive_all().await?;
        let owner = std::fs::metadata(&self.dir)?;
        copy(&self.backup, &self.elsewhere, (owner.uid(), owner.gid()))?;
        // What no base backup holds, and without which nobody logs in: the passwords.
        std::fs::copy(self.dir.join("secrets"), self.elsewhere.join("secrets"))?;
        Ok(name.trim().to_owned())
    }

    /// Waits until all WAL up to now is archived.
    pub(super) async fn archive_all(&self) -> anyhow::Result<()> {
        let mut admin = Session::open(&self.running()?.admin("postgres")).await?;
        let last = admin.run("select pg_walfile_name(pg_switch_wal())").await?;
        let last = last.rows.first().and_then(|row| row.first().cloned().flatten()).context("no WAL")?;
        admin.close().await?;
        let file = self.backup.join("wal").join(format!("{last}.gz"));
        let archived = async || Ok(file.exists().then_some(()));
        wait::until("the WAL to be archived", ARCHIVE_LIMIT, archived).await
    }

    /// SIGKILL; then the folder of the server and that of the backup are gone.
    pub(super) async fn lose(&mut self) -> anyhow::Result<()> {
        let running = self.running.take().context("the server is not running")?;
        let pid = running.server_pid().context("the server has no process id")?;
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGKILL)?;
        running.stop().await;
        std::fs::remove_dir_all(&self.dir)?;
        std::fs::remove_dir_all(&self.backup)?;
        Ok(())
    }

    /// The backup from the other place, replayed up to its end, under a new server.
    pub(super) async fn restore(&mut self, name: &str) -> anyhow::Result<()> {
        let owner = std::fs::metadata(&self.elsewhere)?;
        for folder in [&self.dir, &self.backup] {
            std::fs::create_dir(folder)?;
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
            chown(folder, Some(owner.uid()), Some(owner.gid()))?;
        }
        std::fs::copy(self.elsewhere.join("secrets"), self.dir.join("secrets"))?;
        let (data, elsewhere) = (self.dir.join("data"), self.elsewhere.display().to_string());
        self.pg(&["restore", name, &data.display().to_string(), "latest", &elsewhere]).await?;
        let running = Embedded::start(Options::durable(&self.dir)).await?;
        prepare_embedded(&running, CONNECTIONS).await?;
        self.running = Some(running);
        Ok(())
    }

    /// Stops it, and deletes what the folder of the run would wait for.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
        std::fs::remove_dir_all(&self.dir)?;
        Ok(())
    }

    /// Runs the script as the account of the server.
    pub(super) async fn pg(&self, args: &[&str]) -> anyhow::Result<String> {
        let owner = std::fs::metadata(&self.elsewhere)?;
        // Some lie as links in a folder where not all of them do.
        let server = Binaries::find()?.folder().join("postgres").canonicalize()?;
        let programs = server.parent().unwrap_or(Path::new("/usr/bin")).display().to_string();
        let mut command = tokio::process::Command::new("/bin/sh");
        command.arg(&self.script).args(args).current_dir("/").env_clear().stdin(Stdio::null());
        command.env("PATH", format!("{programs}:/usr/bin:/bin"));
        if nix::unistd::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        if let Some(running) = &self.running {
            let admin = running.admin(DATABASE);
            let url = reqwest::Url::parse(&Embedded::url(&admin))?;
            command.env("PGPORT", running.port().to_string()).env("PGUSER", admin.get_username());
            command.env("PGPASSWORD", url.password().unwrap_or_default());
        }
        let output = command.kill_on_drop(true).output().await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "pg.sh {args:?}: {said}");
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// All of a folder into another one, for the account that owns both. What is still being written has another name.
fn copy(from: &Path, to: &Path, (uid, gid): (u32, u32)) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains(".part.") {
            continue;
        }
        let path = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir_all(&path)?;
            copy(&entry.path(), &path, (uid, gid))?;
        } else {
            std::fs::copy(entry.path(), &path)?;
        }
        chown(&path, Some(uid), Some(gid))?;
    }
    Ok(())
}

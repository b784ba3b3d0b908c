//! A PostgreSQL and a MariaDB of our own, with a till's tables, TLS, and a user that may read.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown, geteuid};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::peers::program::Program;

const LIMIT: Duration = Duration::from_secs(20);
/// Where Debian puts PostgreSQL.
const POSTGRESQL: &str = "/usr/lib/postgresql";
/// The user of the agent.
pub(super) const PASSWORD: &str = "nur-lesen";

/// A certificate for 127.0.0.1, its key, and the authority of both, as files.
pub(super) fn certificates(dir: &Path) -> anyhow::Result<()> {
    let (ca_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let pem = ca.self_signed(&ca_key)?.pem();
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
    let signed = own.signed_by(&key, &Issuer::from_params(&ca, &ca_key))?;
    std::fs::write(dir.join("ca.pem"), pem)?;
    std::fs::write(dir.join("server.pem"), signed.pem())?;
    std::fs::write(dir.join("server.key"), key.serialize_pem())?;
    // An authority that has signed nothing.
    let other = KeyPair::generate()?;
    std::fs::write(dir.join("other.pem"), ca.self_signed(&other)?.pem())?;
    Ok(())
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn ended_well(command: &mut Command) -> anyhow::Result<String> {
    let told = command.output().with_context(|| {
        format!("{} is not there; tests/peers.sh installs it", command.get_program().display())
    })?;
    if !told.status.success() {
        bail!("{command:?} ended with {}: {}", told.status, String::from_utf8_lossy(&told.stderr));
    }
    Ok(String::from_utf8_lossy(&told.stdout).trim().to_owned())
}

async fn until_it_answers(
    program: &mut Program,
    answers: impl Fn() -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while answers().is_err() {
        if program.ended()?.is_some() || tokio::time::Instant::now() > deadline {
            bail!("the server does not start\n{}", program.said());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// PostgreSQL. As root it runs as `postgres`, since it refuses to run as root.
pub(super) struct Postgres {
    folder: PathBuf,
    binaries: PathBuf,
    pub port: u16,
    program: Option<Program>,
}

impl Postgres {
    pub(super) async fn start(dir: &Path) -> anyhow::Result<Self> {
        let versions = std::fs::read_dir(POSTGRESQL).context("PostgreSQL is not there")?;
        let newest = versions.filter_map(|entry| Some(entry.ok()?.path())).max();
        let binaries = newest.context("PostgreSQL is not there")?.join("bin");
        let folder = dir.join("postgres");
        std::fs::create_dir(&folder)?;
        certificates(&folder)?;
        std::fs::write(folder.join("password"), "super")?;
        let mut server = Self { folder, binaries, port: free_port()?, program: None };
        if geteuid().is_root() {
            let owner = User::from_name("postgres")?.context("there is no user `postgres`")?;
            for path in ["", "password", "server.pem", "server.key", "ca.pem"] {
                chown(&server.folder.join(path), Some(owner.uid), Some(owner.gid))?;
            }
        }
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(server.folder.join("server.key"), std::fs::Permissions::from_mode(0o600))?;
        let data = server.data();
        let args = [
            "--auth=scram-sha-256",
            "--username=super",
            "--pwfile=password",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
        ];
        let mut init = server.as_its_user("initdb");
        ended_well(init.args(args).arg(format!("--pgdata={}", data.display())).current_dir(&server.folder))?;
        server.up().await?;
        server.sql("create role storepulse login password 'nur-lesen'")?;
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn as_its_user(&self, program: &str) -> Command {
        let path = self.binaries.join(program);
        if !geteuid().is_root() {
            return Command::new(path);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
        command
    }

    pub(super) async fn up(&mut self) -> anyhow::Result<()> {
        let command = self.as_its_user("postgres");
        let mut args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let settings = [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "fsync=off".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", self.folder.join("server.pem").display()),
            format!("ssl_key_file={}", self.folder.join("server.key").display()),
            "max_connections=40".to_owned(),
        ];
        args.extend(["-D".into(), self.data().into_os_string()]);
        for setting in settings {
            args.extend(["-c".into(), setting.into()]);
        }
        let program = Path::new(command.get_program()).to_owned();
        let mut program = Program::start(&which(&program), &args, &[], &self.folder.join("server.log"))?;
        until_it_answers(&mut program, || self.sql("select 1")).await?;
        self.program = Some(program);
        Ok(())
    }

    /// As the superuser; rows as lines.
    pub(super) fn sql(&self, sql: &str) -> anyhow::Result<String> {
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args([
            "-X",
            "-A",
            "-t",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            "super",
            "-d",
            "postgres",
        ]);
        ended_well(psql.arg("-p").arg(self.port.to_string()).arg("-c").arg(sql).env("PGPASSWORD", "super"))
    }

    /// To the server and everyone it has made for a connection.
    pub(super) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid"))?;
        let pid: i32 = file.lines().next().unwrap_or_default().parse()?;
        kill(Pid::from_raw(pid), signal)?;
        for child in std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?.split_whitespace() {
            // One of them may just have ended.
            let _ = kill(Pid::from_raw(child.parse()?), signal);
        }
        Ok(())
    }

    /// At once, whoever is connected.
    pub(super) fn down(&mut self) -> anyhow::Result<()> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid"))?;
        kill(Pid::from_raw(file.lines().next().unwrap_or_default().parse()?), Signal::SIGQUIT)?;
        self.program = None;
        Ok(())
    }

    pub(super) fn version(&self) -> anyhow::Result<String> {
        self.sql("select 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1)")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Asked to end politely it would wait for the agent.
        if let Err(error) = self.down() {
            tracing::debug!(%error, "PostgreSQL is not running");
        }
    }
}

/// MariaDB, whose clock on the wall is four hours west of Greenwich.
pub(super) struct Maria {
    folder: PathBuf,
    pub port: u16,
    program: Option<Program>,
}

impl Maria {
    pub(super) async fn start(dir: &Path) -> anyhow::Result<Self> {
        let folder = dir.join("mariadb");
        std::fs::create_dir(&folder)?;
        certificates(&folder)?;
        let mut server = Self { folder, port: free_port()?, program: None };
        let mut install = Command::new("mariadb-install-db");
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        if geteuid().is_root() {
            install.arg("--user=root");
        }
        ended_well(install.arg(format!("--datadir={}", server.data().display())))?;
        server.up().await?;
        server.sql("create user storepulse@'127.0.0.1' identified by 'nur-lesen'")?;
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) async fn up(&mut self) -> anyhow::Result<()> {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let mut args = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={}", self.data().display()),
            format!("--port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--socket={}", file("s")),
            format!("--pid-file={}", file("pid")),
            format!("--ssl-cert={}", file("server.pem")),
            format!("--ssl-key={}", file("server.key")),
            "--default-time-zone=-04:00".to_owned(),
            "--innodb-buffer-pool-size=16M".to_owned(),
            "--innodb-flush-log-at-trx-commit=0".to_owned(),
            "--skip-name-resolve".to_owned(),
        ];
        if geteuid().is_root() {
            args.push("--user=root".to_owned());
        }
        let mut program =
            Program::start(&which(Path::new("mariadbd")), &args, &[], &self.folder.join("server.log"))?;
        until_it_answers(&mut program, || self.sql("select 1")).await?;
        self.program = Some(program);
        Ok(())
    }

    /// As root; rows as lines.
    pub(super) fn sql(&self, sql: &str) -> anyhow::Result<String> {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names"]);
        client.arg(format!("--socket={}", self.folder.join("s").display())).args(["--execute", sql]);
        ended_well(&mut client)
    }

    pub(super) fn down(&mut self) {
        self.program = None;
    }
}

/// Daemons are not in everybody's path.
fn which(program: &Path) -> PathBuf {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let found = folders.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.exists());
    found.unwrap_or_else(|| program.to_owned())
}

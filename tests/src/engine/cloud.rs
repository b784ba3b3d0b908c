//! The cloud as its compose file starts it: PostgreSQL, the migrator, two instances with TLS.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit};

use super::docker::{Engine, said, said_in_time};
use super::images;
use crate::by_hand::ByHand;
use crate::store::free_address;
use crate::wait;

const PROJECT: &str = "storepulse-engine";
/// Both instances, as their services are called.
const INSTANCES: [&str; 2] = ["cloud-1", "cloud-2"];
/// Its bit.
const CAP_SYS_RESOURCE: u64 = 1 << 24;
/// What the compose file asks for.
const OPEN_FILES: u64 = 65_536;
const START_LIMIT: Duration = Duration::from_secs(180);
const PROXY_LIMIT: Duration = Duration::from_secs(30);
/// The store that is onboarded.
pub(super) const STORE: &str = "T01";

/// The composed cloud.
#[derive(Debug)]
pub(super) struct Cloud {
    folder: PathBuf,
    /// Of the first instance.
    pub url: String,
    /// Where the host and containers reach the instances: this machine on docker's own network, and nobody else.
    address: String,
    /// Of the instances, then of the proxy.
    ports: [u16; 3],
}

/// This machine's address on docker's own network: containers and the host reach it, and nobody else does.
fn of_this_machine(engine: &Engine) -> anyhow::Result<String> {
    let format = "{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}}";
    let told = engine.docker(&["network", "inspect", "bridge", "--format", format])?;
    let mut words = told.split_whitespace();
    let subnet = words.next().context("docker's network \"bridge\" has no addresses")?;
    // Some versions do not tell what they always take: the first address.
    let first = || subnet.split_once("0/").map(|(net, _)| format!("{net}1"));
    let address = words.next().map(str::to_owned).or_else(first).context("docker's network \"bridge\"")?;
    TcpListener::bind((address.as_str(), 0)).with_context(|| format!("{address} is not this machine's"))?;
    Ok(address)
}

impl Cloud {
    /// Copies `deploy/cloud` to a folder of the run and prepares it there, as its own script does.
    pub(super) fn prepare(engine: &Engine, repo: &Path, folder: &Path) -> anyhow::Result<Self> {
        let mut copy = Command::new("cp");
        said(copy.arg("-a").arg(repo.join("deploy/cloud")).arg(folder))?;
        let address = of_this_machine(engine)?;
        let ports = [free_address()?.port(), free_address()?.port(), free_address()?.port()];
        let url = format!("https://{address}:{}", ports[0]);
        let this = Self { folder: folder.to_owned(), url, address, ports };
        said(this.command(engine, "./prepare.sh").args(["--self-signed", &this.address]))?;
        Ok(this)
    }

    /// Where nobody may raise the limit of open files (a sandbox without `CAP_SYS_RESOURCE`), the instances get what there is,
    /// by an override beside the compose file; says so.
    pub(super) fn lower_limits(&self) -> anyhow::Result<String> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
        let may_raise =
            u64::from_str_radix(capabilities.trim(), 16).is_ok_and(|bits| bits & CAP_SYS_RESOURCE != 0);
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let text = std::fs::read_to_string(self.folder.join("docker-compose.yml"))?;
        if may_raise || most >= OPEN_FILES || !text.contains("nofile") {
            return Ok(String::new());
        }
        let override_file = self.folder.join("docker-compose.override.yml");
        let limits = format!("ulimits: {{ nofile: {{ soft: {most}, hard: {most} }} }}");
        let with = [&INSTANCES[..], &["proxy"]].concat();
        let services: String = with.iter().map(|service| format!("  {service}: {{ {limits} }}\n")).collect();
        std::fs::write(override_file, format!("services:\n{services}"))?;
        // The proxy wants two files for a connection, and refuses to start with fewer.
        let proxy = self.folder.join("haproxy.cfg");
        let text =
            std::fs::read_to_string(&proxy)?.replace("maxconn 20000", &format!("maxconn {}", most / 4));
        std::fs::write(proxy, text)?;
        Ok(format!("; nobody may raise limits here, so with {most} open files instead of {OPEN_FILES}"))
    }

    fn command(&self, engine: &Engine, program: &str) -> Command {
        let mut command = engine.command(program);
        command.current_dir(&self.folder).env("COMPOSE_PROJECT_NAME", PROJECT);
        command.env("STOREPULSE_CLOUD_IMAGE", images::CLOUD).env("STOREPULSE_BIND", &self.address);
        command.env("STOREPULSE_PORT_1", self.ports[0].to_string());
        command.env("STOREPULSE_PORT_2", self.ports[1].to_string());
        command.env("STOREPULSE_PROXY_PORT", self.ports[2].to_string());
        command
    }

    fn compose(&self, engine: &Engine, words: &[&str]) -> anyhow::Result<String> {
        // Whichever compose is there, as the folder's own scripts choose it.
        said(self.command(engine, "sh").args(["-c", ". ./compose.sh; compose \"$@\"", "compose"]).args(words))
    }

    /// The authority of its certificate.
    pub(super) fn ca(&self) -> PathBuf {
        self.folder.join("private/tls/ca.pem")
    }

    /// Starts everything and waits until both instances are healthy.
    pub(super) async fn up(&self, engine: &Engine) -> anyhow::Result<()> {
        self.compose(engine, &["up", "--detach"])?;
        self.until_healthy(engine).await
    }

    async fn until_healthy(&self, engine: &Engine) -> anyhow::Result<()> {
        for instance in INSTANCES {
            let waited = wait::until("the instances to be healthy", START_LIMIT, async || {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let state = self.inspect(engine, instance, "{{.State.Health.Status}}")?;
                Ok((state == "healthy").then_some(()))
            });
            let why = || self.compose(engine, &["logs", "--tail", "20", instance]).unwrap_or_default();
            waited.await.map_err(|error| anyhow::anyhow!("{instance}: {error:#}\n{}", why()))?;
        }
        Ok(())
    }

    fn inspect(&self, engine: &Engine, service: &str, format: &str) -> anyhow::Result<String> {
        let id = self.container(engine, service)?;
        Ok(engine.docker(&["inspect", "--format", format, &id])?.trim().to_owned())
    }

    fn container(&self, engine: &Engine, service: &str) -> anyhow::Result<String> {
        let (project, service) = (
            format!("label=com.docker.compose.project={PROJECT}"),
            format!("label=com.docker.compose.service={service}"),
        );
        let told = engine.docker(&["ps", "--all", "--quiet", "--filter", &project, "--filter", &service])?;
        told.lines().next().map(str::to_owned).context("no such container")
    }

    /// Both instances stop serving; what is stored stays.
    pub(super) fn stop(&self, engine: &Engine) -> anyhow::Result<()> {
        self.compose(engine, &["stop", INSTANCES[0], INSTANCES[1]]).map(drop)
    }

    /// They are back.
    pub(super) async fn start(&self, engine: &Engine) -> anyhow::Result<()> {
        self.compose(engine, &["start", INSTANCES[0], INSTANCES[1]])?;
        self.until_healthy(engine).await
    }

    /// Runs one of the scripts of the folder, as the operator does; what it says.
    pub(super) async fn script(&self, engine: &Engine, name: &str, words: &[&str]) -> anyhow::Result<String> {
        said_in_time(self.command(engine, name).args(words)).await
    }

    /// Starts the proxy with a certificate of its own kind of file; its URL.
    pub(super) async fn start_proxy(&self, engine: &Engine) -> anyhow::Result<String> {
        let private = self.folder.join("private");
        let read = |name| std::fs::read(private.join("tls").join(name));
        let certificate = [read("server.pem")?, read("server.key")?].concat();
        let file = private.join("proxy/pulse.pem");
        std::fs::write(&file, certificate)?;
        std::fs::set_permissions(&file, Permissions::from_mode(0o444))?;
        self.compose(engine, &["--profile", "proxy", "up", "--detach", "proxy"])?;
        let url = format!("https://{}:{}", self.address, self.ports[2]);
        let asks = ByHand::new(&url, Some(&self.ca()), None)?;
        let answers = wait::until("the proxy to answer", PROXY_LIMIT, async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Ok(asks.get("/ready").await.is_ok_and(|answer| answer.status == 200).then_some(()))
        });
        let why = || self.compose(engine, &["logs", "--tail", "20", "proxy"]).unwrap_or_default();
        answers.await.map_err(|error| anyhow::anyhow!("{error:#}\n{}", why()))?;
        Ok(url)
    }

    /// The proxy takes up a renewed certificate.
    pub(super) fn renew_in_proxy(&self, engine: &Engine) -> anyhow::Result<()> {
        self.compose(engine, &["kill", "-s", "USR2", "proxy"]).map(drop)
    }

    /// The machine burns down: all containers die at once, and of the database nothing is left but what lies in the folder of
    /// the backups.
    pub(super) fn lose(&self, engine: &Engine) -> anyhow::Result<()> {
        self.compose(engine, &[&["kill"][..], &INSTANCES, &["db"]].concat())?;
        let burn = ["run", "--rm", "--no-deps", "-T", "--entrypoint", "/bin/rm", "-u", "postgres", "db"];
        self.compose(engine, &[&burn[..], &["-r", "/var/lib/postgresql/data/pgdata"]].concat()).map(drop)
    }

    /// A question in SQL, as the runbook asks it.
    pub(super) fn sql(&self, engine: &Engine, question: &str) -> anyhow::Result<String> {
        let psql = ["exec", "-T", "db", "sh", "/storepulse/pg.sh", "psql", "-tAc", question];
        Ok(self.compose(engine, &psql)?.trim().to_owned())
    }

    /// `verify`: what the database holds against itself; its totals, as JSON.
    pub(super) fn verify(&self, engine: &Engine) -> anyhow::Result<serde_json::Value> {
        let told = self.compose(engine, &["run", "--rm", "--no-deps", "-T", "cli", "verify", "--json"])?;
        let totals = told.lines().rfind(|line| line.starts_with('{')).context("verify says nothing")?;
        Ok(serde_json::from_str(totals)?)
    }

    /// Sizes of the files that were exported, by tenant.
    pub(super) fn archives(&self) -> anyhow::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.folder.join("out"))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".archive") {
                found.push((name, entry.metadata()?.len()));
            }
        }
        Ok(found)
    }

    /// Onboards a tenant with one store, whose key is tried against both roads; returns the store's folder, a copy as it would
    /// be carried to the box.
    pub(super) fn onboard(&self, engine: &Engine, to: &Path) -> anyhow::Result<PathBuf> {
        let words =
            ["run", "--rm", "-T", "cli", "onboard", "--tenant-id", "la-villa", "--company", "La Villa S.A."];
        let more =
            ["--stores", "1", "--cloud-url", &self.url, "--ca", "/tls/ca.pem", "--out", "/out/package"];
        self.compose(engine, &[&words[..], &more[..]].concat())?;
        let mut copy = Command::new("cp");
        said(copy.args(["-R", "--preserve=mode"]).arg(self.folder.join("out/package").join(STORE)).arg(to))?;
        Ok(to.join(STORE))
    }

    /// Everything of it is removed, with its volumes.
    pub(super) fn down(&self, engine: &Engine) -> anyhow::Result<()> {
        self.compose(engine, &["down", "--volumes", "--remove-orphans", "--timeout", "10"]).map(drop)
    }
}

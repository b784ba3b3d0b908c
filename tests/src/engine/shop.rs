//! The gateway box: the package of the store, its `deploy.sh`, a device on a pseudo-terminal, and the judgement on its samples.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use nix::unistd::{Gid, Uid, chown};

use super::cloud::{Cloud, STORE};
use super::docker::{Engine, said, tail};
use crate::by_hand::ByHand;
use crate::devices::LinePrinter;
use crate::oracle::{self, Excuses, Verdict};
use crate::store::free_address;
use crate::wait;

const DEVICE: &str = "pos-01";
const COUNTER: &str = "retail.pos.transactions";
const PACE: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(60);
/// Who the image's user is.
const AGENT_USER: u32 = 65532;
/// Of serial ports, in Debian.
const DIALOUT: u32 = 20;

/// A box with the package of a store.
#[derive(Debug)]
pub(super) struct Shop {
    folder: PathBuf,
    /// In the host's `/dev`, where a device's name appears and goes away.
    _plugs: Plugs,
    printer: Option<LinePrinter>,
    /// When a container was stopped, by an upgrade or its like.
    stops: Vec<Instant>,
}

/// A folder in `/dev`, which goes when this is dropped.
#[derive(Debug)]
struct Plugs(PathBuf);

impl Drop for Plugs {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "{} is left behind", self.0.display());
        }
    }
}

impl Shop {
    /// Plugs a device in and names it in `agent.yaml`, as a technician would; ports are free ones.
    pub(super) async fn furnish(package: PathBuf) -> anyhow::Result<Self> {
        let plugs = Plugs(PathBuf::from(format!("/dev/storepulse-engine-{}", std::process::id())));
        std::fs::create_dir(&plugs.0).context("a folder for the device; only root makes one in /dev")?;
        let printer = LinePrinter::start(&plugs.0, "ttyPOS", PACE)?;
        let path = package.join("agent.yaml");
        let text = std::fs::read_to_string(&path)?;
        let (page, push) = (free_address()?, free_address()?);
        let text = text.replace("0.0.0.0:9751", &push.to_string());
        let text = format!(
            "{text}  {DEVICE}:\n    serial_lines:\n      port: {}\n      patterns:\n        \
             - {{ match: 'SALE no=(?<no>\\d+) ms=.*', metrics: {{ no: {COUNTER} }} }}\nlocal: {{ listen: '{page}' }}\n\
             batches: {{ max_age: 1s, offline_max_age: 2s }}\n",
            printer.port.display()
        );
        std::fs::write(&path, text)?;
        let this = Self { folder: package, _plugs: plugs, printer: Some(printer), stops: Vec::new() };
        this.until_plugged().await?;
        Ok(this)
    }

    fn printer(&self) -> anyhow::Result<&LinePrinter> {
        self.printer.as_ref().context("the device has stopped")
    }

    /// As udev does it: the port belongs to a group.
    async fn until_plugged(&self) -> anyhow::Result<()> {
        let port = self.printer()?.port.clone();
        wait::until("the device's port", LIMIT, async || Ok(port.exists().then_some(()))).await?;
        chown(&port, Some(Uid::from_raw(0)), Some(Gid::from_raw(DIALOUT)))?;
        Ok(std::fs::set_permissions(&port, Permissions::from_mode(0o660))?)
    }

    /// `deploy.sh`, as a person calls it; what it says, or an error with that.
    pub(super) fn deploy(
        &mut self,
        engine: &Engine,
        words: &[&str],
        image: Option<&str>,
    ) -> anyhow::Result<String> {
        self.stops.push(Instant::now());
        let outcome = said(&mut self.deploy_command(engine, words, image));
        self.stops.push(Instant::now());
        outcome
    }

    fn deploy_command(&self, engine: &Engine, words: &[&str], image: Option<&str>) -> Command {
        let mut command = engine.command(self.folder.join("deploy.sh"));
        command.args(words);
        if let Some(image) = image {
            command.env("STOREPULSE_IMAGE", image);
        }
        command
    }

    /// An image that cannot run: `deploy.sh` has to go back by itself, and say so.
    pub(super) fn deploy_broken(&mut self, engine: &Engine, image: &str, runs: &str) -> anyhow::Result<()> {
        self.stops.push(Instant::now());
        let done = self.deploy_command(engine, &[], Some(image)).output()?;
        self.stops.push(Instant::now());
        let text = tail(&done);
        ensure!(done.status.code() == Some(1) && text.contains("was taken back"), "{}: {text}", done.status);
        ensure!(self.image(engine)? == runs, "{} runs", self.image(engine)?);
        Ok(())
    }

    /// `deploy.sh` is killed as soon as it has written down what it is about to do.
    pub(super) async fn deploy_killed(&mut self, engine: &Engine, image: &str) -> anyhow::Result<()> {
        self.stops.push(Instant::now());
        let mut command = self.deploy_command(engine, &[], Some(image));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let journal = self.folder.join(".upgrade");
        let begun =
            wait::until("the upgrade to begin", LIMIT, async || Ok(journal.exists().then_some(()))).await;
        child.kill()?;
        child.wait()?;
        begun?;
        // What it had asked compose for may still be under way.
        tokio::time::sleep(Duration::from_secs(5)).await;
        self.stops.push(Instant::now());
        Ok(())
    }

    /// The agent's container as docker shows it.
    fn inspect(&self, engine: &Engine, format: &str) -> anyhow::Result<String> {
        let id = Self::container(engine)?;
        Ok(engine.docker(&["inspect", "--format", format, &id])?.trim().to_owned())
    }

    fn container(engine: &Engine) -> anyhow::Result<String> {
        let told = engine.docker(&[
            "ps",
            "--all",
            "--quiet",
            "--filter",
            "label=com.docker.compose.project=storepulse",
            "--filter",
            "label=io.storepulse.tenant=la-villa",
            "--filter",
            "label=com.docker.compose.oneoff=False",
        ])?;
        told.lines().next().map(str::to_owned).context("no container of the agent")
    }

    /// Which image it is of.
    pub(super) fn image(&self, engine: &Engine) -> anyhow::Result<String> {
        self.inspect(engine, "{{.Config.Image}}")
    }

    /// Healthy, nobody in particular, and without rights that it does not need.
    pub(super) fn examine(&self, engine: &Engine) -> anyhow::Result<String> {
        let facts = "{{.State.Health.Status}} {{.HostConfig.Privileged}} {{.HostConfig.ReadonlyRootfs}} {{.Config.User}} \
                     {{.HostConfig.CapDrop}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.LogConfig.Config}}";
        let facts = self.inspect(engine, facts)?;
        let wanted = format!(
            "healthy false true {AGENT_USER}:{AGENT_USER} [ALL] unless-stopped map[max-file:3 max-size:10m]"
        );
        ensure!(facts == wanted, "the container is {facts:?}, not {wanted:?}");
        let rules = self.inspect(engine, "{{.HostConfig.DeviceCgroupRules}} {{.HostConfig.GroupAdd}}")?;
        ensure!(rules == format!("[c 188:* rw c 166:* rw c 4:* rw c 204:* rw] [{DIALOUT}]"), "{rules}");
        Ok(facts)
    }

    /// Asks the agent in its container.
    fn ask(&self, engine: &Engine, words: &[&str]) -> anyhow::Result<String> {
        let id = Self::container(engine)?;
        engine.docker(&[&["exec", &id, "storepulse-agent"], words].concat())
    }

    /// Batches that the spool holds, and the file that it is.
    pub(super) fn spool(&self, engine: &Engine) -> anyhow::Result<Spool> {
        let listed: serde_json::Value = serde_json::from_str(&self.ask(engine, &["spool", "ls", "--json"])?)?;
        let batches = listed["batches"].as_array().context("batches")?;
        let id = |batch: &serde_json::Value| batch["batch"].as_str().map(str::to_owned);
        let is_sealed = |batch: &&serde_json::Value| batch["state"] == "sealed" || batch["state"] == "acked";
        let volume = ["volume", "inspect", "--format", "{{.Mountpoint}}", "storepulse-la-villa-T01-spool"];
        let file = Path::new(engine.docker(&volume)?.trim()).join("spool.db");
        let inode = std::os::unix::fs::MetadataExt::ino(&file.metadata().context("spool.db in the volume")?);
        Ok(Spool { batches: batches.iter().filter(is_sealed).filter_map(id).collect(), inode })
    }

    /// Pulls the plug, and puts it in again: another pseudo-terminal under the same name.
    pub(super) async fn replug(&self) -> anyhow::Result<()> {
        let printer = self.printer()?;
        printer.unplug();
        wait::until("the port to be gone", LIMIT, async || Ok((!printer.port.is_symlink()).then_some(())))
            .await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        printer.plug();
        self.until_plugged().await
    }

    /// Waits until the cloud has a sample that was sent after this call; how long it took.
    pub(super) async fn until_fresh(&self, cloud: &Cloud) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let newest = self.printer()?.log.all().last().map_or(0, |sent| sent.n);
        wait::until("a fresh sample in the cloud", LIMIT, async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Ok(self.stored(cloud).await?.last_key_value().is_some_and(|(n, _)| *n > newest).then_some(()))
        })
        .await?;
        Ok(begun.elapsed())
    }

    fn by_hand(&self, cloud: &Cloud) -> anyhow::Result<ByHand> {
        self.asks(&cloud.url, cloud)
    }

    /// Whoever asks at this address with the store's key.
    pub(super) fn asks(&self, url: &str, cloud: &Cloud) -> anyhow::Result<ByHand> {
        let key = std::fs::read_to_string(self.folder.join("store.key"))?;
        ByHand::new(url, Some(&cloud.ca()), Some(format!("Bearer {}", key.trim())))
    }

    /// Which numbers of the device the cloud has, and how often.
    async fn stored(&self, cloud: &Cloud) -> anyhow::Result<BTreeMap<u64, u64>> {
        let path = format!("/v1/stores/{STORE}/metrics?from=0&to={}", i64::MAX);
        let answer = self.by_hand(cloud)?.get(&path).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        let mut stored = BTreeMap::new();
        let series = answer.json["series"].as_array().context("series")?;
        for series in series.iter().filter(|it| it["name"] == COUNTER && it["device"] == DEVICE) {
            for sample in series["samples"].as_array().context("samples")? {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "counters are small"
                )]
                let n = sample[1].as_f64().context("a value")? as u64;
                *stored.entry(n).or_default() += 1;
            }
        }
        Ok(stored)
    }

    /// Samples of the device that the cloud has.
    pub(super) async fn count(&self, cloud: &Cloud) -> anyhow::Result<usize> {
        Ok(self.stored(cloud).await?.len())
    }

    /// Waits until the agent says that the cloud has lost what it had taken.
    pub(super) async fn until_noticed(&self, engine: &Engine) -> anyhow::Result<()> {
        wait::until("the agent to notice the restore", LIMIT, async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let said = engine.command("docker").args(["logs", &Self::container(engine)?]).output()?;
            let said = [said.stdout, said.stderr].concat();
            Ok(String::from_utf8_lossy(&said).contains("the cloud was restored from a backup").then_some(()))
        })
        .await
    }

    /// The device stops; everything has to arrive, and the account of the cloud has to have nothing missing.
    pub(super) async fn judge(&mut self, cloud: &Cloud) -> anyhow::Result<(Verdict, i64, usize)> {
        let stopped = self.printer.take().context("judged before")?.stop().await?;
        let (excuses, mut last) = (Excuses { blows: self.stops.clone(), answered: Vec::new() }, None);
        let clean = wait::until("everything to arrive", LIMIT, async || {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let status = self.by_hand(cloud)?.get(&format!("/v1/stores/{STORE}/status")).await?;
            let missing = status.json["missing"].as_i64().context("missing")?;
            let stored = self.stored(cloud).await?;
            let verdict = oracle::judge(&stopped.log, &stored, &excuses);
            last = Some((verdict, missing, stored.len()));
            Ok((verdict.is_clean() && missing == 0).then_some(()))
        });
        let outcome = clean.await;
        last.map_or_else(|| outcome.map(|()| (Verdict::default(), -1, 0)), Ok)
    }

    /// Everything of it is removed, with its volume.
    pub(super) fn down(&self, engine: &Engine) -> anyhow::Result<()> {
        if let Ok(id) = Self::container(engine) {
            engine.docker(&["rm", "--force", &id])?;
        }
        engine.docker(&["volume", "rm", "--force", "storepulse-la-villa-T01-spool"]).map(drop)
    }
}

/// What the spool held at a moment.
#[derive(Debug)]
pub(super) struct Spool {
    /// Batches that are sealed, sent or not.
    pub batches: BTreeSet<String>,
    inode: u64,
}

impl Spool {
    /// This one holds what that one held, in the same file.
    pub(super) fn holds(&self, before: &Self) -> anyhow::Result<()> {
        ensure!(self.inode == before.inode, "spool.db is another file");
        let gone: Vec<_> = before.batches.difference(&self.batches).collect();
        ensure!(gone.is_empty(), "of {} batches, {} are gone: {gone:?}", before.batches.len(), gone.len());
        Ok(())
    }
}

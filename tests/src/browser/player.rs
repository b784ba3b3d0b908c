//! Node with Chromium beside it: what it prints is told, what it wishes for happens in the shop.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::Verdict;
use super::shop::Shop;

const INSTALLS: &str = "tests/browser.sh installs it";
/// Where Chromium may be.
const CHROMIUM: [&str; 3] = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
/// A scene that says nothing for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(180);
/// Before lines that are for us.
const WISH: &str = "@wish ";
const VERDICT: &str = "@verdict ";

/// What is needed beside Rust.
pub(super) struct Programs {
    chromium: PathBuf,
    /// The folder that holds `node_modules`.
    packages: PathBuf,
}

impl Programs {
    /// Finds them.
    pub(super) fn find() -> anyhow::Result<Self> {
        let chromium = CHROMIUM.iter().map(PathBuf::from).find(|path| path.exists());
        let chromium = chromium.with_context(|| format!("there is no Chromium; {INSTALLS}"))?;
        let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/browser");
        for package in ["puppeteer-core", "axe-core"] {
            let there = packages.join("node_modules").join(package).exists();
            anyhow::ensure!(there, "there is no {package} in {}; {INSTALLS}", packages.display());
        }
        Ok(Self { chromium, packages: std::fs::canonicalize(packages)? })
    }
}

/// A running player. It ends when we let go of its standard input, and Chromium with it.
pub(super) struct Player {
    child: Child,
    wishes: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Player {
    /// Starts it with what it is to know; its own files go into `dir`.
    pub(super) fn start(programs: &Programs, mut told: Value, dir: &Path) -> anyhow::Result<Self> {
        told["chromium"] = json!(programs.chromium);
        told["packages"] = json!(programs.packages);
        told["profile"] = json!(dir.join("profile"));
        let mut child = Command::new("node")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/play.mjs"))
            .arg(told.to_string())
            // What browsers leave at home is left here.
            .env("HOME", dir)
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("there is no node; {INSTALLS}"))?;
        let wishes = child.stdin.take().context("the player's standard input")?;
        let lines = BufReader::new(child.stdout.take().context("the player's standard output")?).lines();
        Ok(Self { child, wishes, lines })
    }

    /// Until it has said what came of it.
    pub(super) async fn play(mut self, shop: &mut Shop, out: &mut impl Write) -> anyhow::Result<Verdict> {
        let mut verdict = None;
        while let Some(line) = tokio::time::timeout(SILENCE_MAX, self.lines.next_line())
            .await
            .with_context(|| format!("the player has said nothing for {SILENCE_MAX:?}"))??
        {
            if let Some(wish) = line.strip_prefix(WISH) {
                let done = match shop.grant(wish).await {
                    Ok(()) => "done\n".to_owned(),
                    Err(error) => format!("{error:#}\n").replace('\n', " ") + "\n",
                };
                self.wishes.write_all(done.as_bytes()).await?;
            } else if let Some(told) = line.strip_prefix(VERDICT) {
                verdict = Some(serde_json::from_str(told)?);
            } else {
                writeln!(out, "{line}")?;
                out.flush()?;
            }
        }
        let status = self.child.wait().await?;
        verdict.with_context(|| format!("the player ended with {status} and gave no verdict"))
    }
}

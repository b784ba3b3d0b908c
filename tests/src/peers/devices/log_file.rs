//! Python's `logging` writes numbered lines, and `logrotate` and its own `RotatingFileHandler` rotate what it writes, while the
//! agent is closed and opened again in the middle. Every line must count once; what `copytruncate` loses must be told.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::shop::{self, Shop};
use super::tally::Tally;
use crate::peers::Shown;
use crate::peers::program::{self, Program};
use crate::wait;

const LIMIT: Duration = Duration::from_secs(60);
/// Lines of each writer.
const LINES: u32 = 3_000;
/// The test numbers of the script, as they could be kept: as text, and as the bytes of a double.
const CARDS: [&str; 5] =
    ["4111111111111111", "5555555555554444", "378282246310005", "30569309025904", "6011111111111117"];

pub(crate) async fn run(dir: &Path) -> anyhow::Result<Shown> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = folder.join("../target/peers/venv/bin/python");
    let logrotate = Path::new("/usr/sbin/logrotate");
    let version = format!(
        "{}, {}",
        program::version(logrotate, &["--version"])?,
        program::version(&python, &["--version"])?
    );
    let devices: String = ["own", "renamed", "cut"].map(device).concat();
    for name in ["own", "renamed", "cut"] {
        std::fs::write(dir.join(format!("{name}.log")), "")?;
    }
    let write = |name: &str, first: u32, last: u32, pause: &str, how: &str| {
        let script = folder.join("peers/log_write.py").display().to_string();
        let args = [
            script,
            dir.join(format!("{name}.log")).display().to_string(),
            first.to_string(),
            last.to_string(),
            pause.to_owned(),
            how.to_owned(),
        ];
        Program::start(&python, &args, &[], &dir.join(format!("{name}.out")))
    };
    let mut tally = Tally::default();
    let mut shop = Shop::open(dir, &devices).await?;
    for name in ["own", "renamed", "cut"] {
        shop.until_state(name, "ok").await?;
    }

    let mut writers =
        [write("own", 1, LINES, "0.002", "rotating")?, write("renamed", 1, LINES, "0.002", "watched")?];
    for round in 0..8 {
        tokio::time::sleep(Duration::from_millis(600)).await;
        rotate(logrotate, dir, "renamed", "create")?;
        if round % 3 == 1 {
            shop.close().await?;
            // They go on, and rotate, while nobody looks.
            tokio::time::sleep(Duration::from_millis(500)).await;
            rotate(logrotate, dir, "renamed", "create")?;
            shop = Shop::open(dir, &devices).await?;
        }
    }
    for (writer, name) in writers.iter_mut().zip(["own", "renamed"]) {
        let ended = wait::until("the writer", LIMIT, async || Ok(writer.has_ended()?.then_some(()))).await;
        ended.with_context(|| writer.said())?;
        compare(&shop, dir, name, &mut tally).await?;
    }
    let cut = cut(&shop, dir, logrotate, write, &mut tally).await?;

    // The file is gone for a while.
    std::fs::rename(dir.join("own.log"), dir.join("away"))?;
    let gone = shop.until_state("own", "unreachable").await?;
    tally.holds("the file is gone, and no error says so", gone["errors"]["missing_port"].is_u64());
    std::fs::rename(dir.join("away"), dir.join("own.log"))?;
    let back = shop.until_state("own", "ok").await?;
    tally.same("after it came back", shop::values(&back).get("sales").copied(), Some(f64::from(LINES)));
    shop.close().await?;
    tally.same("files that hold a card number", holding(&dir.join("state"), &CARDS)?, 0);
    let rotated = std::fs::read_dir(dir)?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains(".log."))
        .count();
    Ok(tally.shown(version, format!("{} lines, {rotated} rotated files, {cut}", 2 * LINES)))
}

/// A log with patterns, one of which would keep card numbers.
fn device(name: &str) -> String {
    format!(
        r"  {name}:
    log_file:
      path: {name}.log
      poll: 200ms
      every: 500ms
      patterns:
        - match: '\S+ \S+ INFO  \[\w+\] pos\.Sale - SALE no=(?<no>\d+) ms=(?<ms>\d+)'
          counters: [sales]
          metrics: {{ no: last }}
          histograms: {{ ms: {{ metric: ms, bounds: [100, 500] }} }}
        - match: '^\S+ \S+ (?<level>\w+) +\['
          search: true
          counters: [problems]
          labels: {{ level: [ERROR, WARNING] }}
        - match: '.* card (?<no>.*)'
          metrics: {{ no: leak }}
"
    )
}

/// Waits for the last line of a writer, and compares what was counted with what it says.
async fn compare(shop: &Shop, dir: &Path, name: &str, tally: &mut Tally) -> anyhow::Result<()> {
    let told: Value = serde_json::from_str(&std::fs::read_to_string(dir.join(format!("{name}.out")))?)?;
    let is_last = |device: &Value| device["values"]["last"]["value"] == f64::from(LINES);
    let device = shop.until(name, "the last line", is_last).await?;
    let ours = shop::values(&device);
    for (series, theirs) in [
        ("sales", "sales"),
        ("ms_count", "sales"),
        ("ms_sum", "sum"),
        ("problems{level=\"ERROR\"}", "errors"),
        ("problems{level=\"WARNING\"}", "warnings"),
    ] {
        tally.same(&format!("{name}: {series}"), ours.get(series).copied(), told[theirs].as_f64());
    }
    tally.same(&format!("{name}: truncations"), ours.get("retail.log.truncations").copied(), Some(0.0));
    tally.holds("a card number became a value", !ours.contains_key("leak"));
    Ok(())
}

/// A file that is copied and cut: what is written afterwards counts, and the cut is told.
async fn cut(
    shop: &Shop,
    dir: &Path,
    logrotate: &Path,
    write: impl Fn(&str, u32, u32, &str, &str) -> anyhow::Result<Program>,
    tally: &mut Tally,
) -> anyhow::Result<String> {
    let mut all = 0;
    for (first, last) in [(1, 500), (501, 1_000)] {
        let mut writer = write("cut", first, last, "0", "plain")?;
        wait::until("the writer", LIMIT, async || Ok(writer.has_ended()?.then_some(()))).await?;
        let is_last = |device: &Value| device["values"]["last"]["value"] == f64::from(last);
        let device = shop.until("cut", "the last line", is_last).await?;
        all += 500;
        tally.same("lines before a cut", shop::values(&device).get("sales").copied(), Some(f64::from(all)));
        rotate(logrotate, dir, "cut", "copytruncate")?;
    }
    // Cut while it is being written.
    let mut writer = write("cut", 1_001, 2_000, "0.001", "plain")?;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        rotate(logrotate, dir, "cut", "copytruncate")?;
    }
    wait::until("the writer", LIMIT, async || Ok(writer.has_ended()?.then_some(()))).await?;
    let is_last = |device: &Value| device["values"]["last"]["value"] == 2_000.0;
    let values = shop::values(&shop.until("cut", "the last line", is_last).await?);
    let (sales, cuts) = (values["sales"], values["retail.log.truncations"]);
    tally.holds(&format!("{sales} lines of 2000"), (1_000.0..=2_000.0).contains(&sales));
    tally.holds(&format!("{cuts} cuts were seen of 5"), (3.0..=5.0).contains(&cuts));
    Ok(format!("{} of 2000 lines lost in {cuts} cuts that were told", 2_000.0 - sales))
}

/// Has `logrotate` rotate a log now.
fn rotate(logrotate: &Path, dir: &Path, name: &str, how: &str) -> anyhow::Result<()> {
    let config = dir.join(format!("{name}.conf"));
    std::fs::write(
        &config,
        format!("{} {{\n  rotate 100\n  missingok\n  {how}\n}}\n", dir.join(format!("{name}.log")).display()),
    )?;
    let status = dir.join(format!("{name}.status"));
    let ran = Command::new(logrotate).arg("--force").arg("--state").arg(&status).arg(&config).output()?;
    ensure!(ran.status.success(), "logrotate: {}", String::from_utf8_lossy(&ran.stderr));
    Ok(())
}

/// How many files below a folder hold one of these, as text or, if it is a number, as a double.
pub(super) fn holding(folder: &Path, canaries: &[&str]) -> anyhow::Result<usize> {
    let mut found = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found += holding(&path, canaries)?;
            continue;
        }
        // A socket cannot be read, and holds nothing.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        let is_kept = |canary: &&str| {
            has(canary.as_bytes()) || canary.parse::<f64>().is_ok_and(|number| has(&number.to_le_bytes()))
        };
        found += usize::from(canaries.iter().any(is_kept));
    }
    Ok(found)
}

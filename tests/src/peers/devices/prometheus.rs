//! Debian's `prometheus-node-exporter`: the agent's values of series that stand still are those that a GET of our own sees;
//! the exporter is killed and comes back; then pages are put in its place that no exporter should send.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::shop::{Shop, values};
use super::tally::Tally;
use crate::peers::Shown;
use crate::peers::program::{self, Program};

const EXPORTER: &str = "/usr/bin/prometheus-node-exporter";
const LIMIT: Duration = Duration::from_secs(10);
/// Series that stand still while we look.
const STEADY: [&str; 7] = [
    "node_boot_time_seconds",
    "node_cpu_",
    "node_exporter_build_info",
    "node_filesystem_size_bytes",
    "node_memory_MemTotal_bytes",
    "node_memory_SwapTotal_bytes",
    "node_uname_info",
];

pub(crate) async fn run(dir: &Path) -> anyhow::Result<Shown> {
    let exporter = Path::new(EXPORTER);
    let version = program::version(exporter, &["--version"])?;
    let address = free_port().await?;
    let args = [format!("--web.listen-address={address}"), "--log.level=error".to_owned()];
    let start = || Program::start(exporter, &args, &[], &dir.join("exporter.log"));
    let mut running = Some(start()?);
    let mut tally = Tally::default();
    let steady = STEADY.map(|name| {
        format!("\"{}\"", if name.ends_with('_') { format!("{name}*") } else { name.to_owned() })
    });
    let block = |labels: &str| {
        format!(
            "    prometheus:\n      url: http://{address}/metrics\n      interval: 500ms\n      timeout: 2s\n      jitter: 1ms\n      metrics: [{}]\n      labels: [{labels}]\n",
            steady.join(", ")
        )
    };
    let shop = Shop::open(
        dir,
        &format!(
            "  box:\n{}  merged:\n{}",
            block("cpu, mode, device, mountpoint, version"),
            block("version")
        ),
    )
    .await?;
    let device = shop.until_state("box", "ok").await?;
    let ours = values(&device);
    let page = get(address).await?;
    let theirs = read(&page);
    for (series, value) in &ours {
        let is_steady = !series.contains("_seconds_total");
        if is_steady {
            tally.same(series, Some(value), theirs.get(series.as_str()));
        } else {
            tally.holds(
                &format!("{series} is there, and does not fall"),
                theirs.get(series.as_str()).is_some_and(|now| now >= value),
            );
        }
    }
    let processors = std::thread::available_parallelism()?.get();
    let idle =
        ours.keys().filter(|series| series.starts_with("node_cpu_seconds_total") && series.contains("idle"));
    tally.same("processors", idle.count(), processors);
    for name in ["node_boot_time_seconds", "node_memory_MemTotal_bytes"] {
        tally.holds(&format!("{name} is there"), ours.contains_key(name));
    }
    // Without the labels that tell processors apart nothing is added up, and what is alone is taken.
    let merged =
        shop.until("merged", "what is left out", |device| device["errors"]["parse"].is_number()).await?;
    let merged = values(&merged);
    tally.holds(
        "nothing is added up",
        !merged.keys().any(|series| series.starts_with("node_cpu_seconds_total")),
    );
    tally.same("what is alone", merged.get("node_boot_time_seconds"), ours.get("node_boot_time_seconds"));

    drop(running.take());
    let device = shop.until_state("box", "unreachable").await?;
    tally.holds("a killed exporter is refused", device["errors"]["refused"].is_number());
    running = Some(start()?);
    shop.until_state("box", "ok").await?;
    drop(running);
    break_it(&shop, address, &mut tally).await?;
    shop.close().await?;
    Ok(tally.shown(version, format!("{} series of one page, an outage, 3 bad pages", ours.len())))
}

/// In the place of the exporter: ten megabytes, a page without end, ten thousand series.
async fn break_it(shop: &Shop, address: SocketAddr, tally: &mut Tally) -> anyhow::Result<()> {
    let explosion: String = (0..10_000).map(|n| format!("node_cpu_x{{cpu=\"c{n}\"}} {n}\n")).collect();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n";
    let before = resident()?;
    for (what, page, endless, kind) in [
        ("ten megabytes", format!("{head}{}", "node_cpu_x 1\n".repeat(800_000)), false, "too_large"),
        ("a page without end", format!("{head}node_cpu_x 1\n"), true, "too_large"),
        ("an explosion of labels", format!("{head}{explosion}"), false, "too_many_series"),
    ] {
        let seen = shop.device("box").await?["errors"][kind].as_u64().unwrap_or_default();
        let _server = serve(address, page.into_bytes(), endless).await?;
        let is = |device: &Value| device["errors"][kind].as_u64().unwrap_or_default() > seen;
        let device = shop.until("box", what, is).await?;
        tally.holds(
            &format!("{what} has a state of its own"),
            device["state"] == if kind == "too_large" { "fault" } else { "ok" },
        );
    }
    let device = shop.device("box").await?;
    tally.holds("at most 200 series", values(&device).len() <= 200);
    let grown = resident()?.saturating_sub(before);
    tally.holds(&format!("the memory has grown by {} MB", grown >> 20), grown < 64 << 20);
    Ok(())
}

/// Answers every request on this port with these bytes, and perhaps the last for ever.
async fn serve(address: SocketAddr, bytes: Vec<u8>, endless: bool) -> anyhow::Result<JoinSet<()>> {
    let listener = TcpListener::bind(address).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 2_048]).await;
            let mut is_open = stream.write_all(&bytes).await.is_ok();
            while endless && is_open {
                is_open = stream.write_all(&[b'\n'; 65_536]).await.is_ok();
            }
        }
    });
    Ok(tasks)
}

/// What this process has of the memory, with the agent in it.
fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? << 10)
}

async fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?)
}

async fn get(address: SocketAddr) -> anyhow::Result<String> {
    let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
    let answer = client.get(format!("http://{address}/metrics")).send().await?;
    if !answer.status().is_success() {
        bail!("{}", answer.status());
    }
    Ok(answer.text().await?)
}

/// The page with only the labels that are listed, in our spelling: a reader of its own, for pages without odd values.
fn read(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let mut all = BTreeMap::new();
    for line in lines {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.parse() else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let mut kept: Vec<&str> = labels
            .trim_end_matches('}')
            .split("\",")
            .map(|label| label.trim_end_matches('"'))
            .filter(|label| {
                ["cpu=", "mode=", "device=", "mountpoint=", "version="]
                    .iter()
                    .any(|name| label.starts_with(name))
            })
            .filter(|label| !label.ends_with("=\""))
            .collect();
        kept.sort_unstable();
        let labels: Vec<String> = kept.iter().map(|label| format!("{label}\"")).collect();
        let series =
            if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) };
        all.insert(series, value);
    }
    all
}

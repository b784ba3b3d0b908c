//! The Python clients `statsd` and `datadog` (DogStatsD) send what they were told, and the script that drives them adds it
//! up itself.

use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use super::shop::{self, Shop};
use super::tally::Tally;
use crate::peers::Shown;
use crate::peers::program::{self, Program};
use crate::wait;

const ROUNDS: u32 = 500;
const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
/// What the script sends in the place of labels and names.
const CANARIES: [&str; 3] = ["4111111111111111", "4111-1111-1111-1111", "text that nobody keeps"];

pub(crate) async fn run(dir: &Path) -> anyhow::Result<Shown> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = folder.join("../target/peers/venv/bin/python");
    let ask = "from importlib.metadata import version as v; print('statsd', v('statsd'), 'and datadog', v('datadog'))";
    let version = program::version(&python, &["-c", ask])?;
    let port = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();

    // Another program has the port.
    let hold = format!(
        "import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.1', {port})); time.sleep(60)"
    );
    let holder = Program::start(&python, &["-c", &hold], &[], &dir.join("holder.log"))?;
    let is_bound =
        || anyhow::Ok(std::fs::read_to_string("/proc/net/udp")?.contains(&format!("0100007F:{port:04X} ")));
    wait::until("another program to listen", LIMIT, async || Ok(is_bound()?.then_some(()))).await?;
    let devices = format!(
        "  pos:\n    statsd:\n      listen: 127.0.0.1:{port}\n      flush: 1s\n      labels: [lane, tender]\n      bounds: [50, 200, 1000]\n      stale_after: 3s\n"
    );
    let shop = Shop::open(dir, &devices).await?;
    let mut tally = Tally::default();
    let held = shop.until_state("pos", "unreachable").await?;
    tally.holds("the port is somebody else's, and no error says so", held["errors"]["busy_port"].is_u64());
    drop(holder);
    wait::until("the agent to listen", LIMIT, async || Ok(is_bound()?.then_some(()))).await?;

    let script = folder.join("peers/statsd_send.py").display().to_string();
    let log = dir.join("sender.log");
    let mut sender = Program::start(&python, &[script, port.to_string(), ROUNDS.to_string()], &[], &log)?;
    let ended =
        wait::until("the clients to send", LIMIT, async || Ok(sender.has_ended()?.then_some(()))).await;
    ended.with_context(|| sender.said())?;
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(&log)?)?;
    let expected = expected.as_object().context("no object of expected values")?;
    let device =
        shop.until("pos", "the last set", |device| device["values"]["pos.t1.cashiers"].is_object()).await?;
    let ours = shop::values(&device);
    for (series, value) in expected {
        tally.same(series, ours.get(series).copied(), value.as_f64());
    }
    let buckets = ["50", "200", "1000", "+Inf"]
        .map(|le| ours.get(&format!("pos.t1.tender_bucket{{le=\"{le}\"}}")).copied());
    tally.same("buckets", buckets, [0.0, 101.0, 500.0, 500.0].map(Some));
    tally.same("nothing was dropped", ours.get("retail.statsd.dropped").copied(), Some(0.0));
    tally.same("lines that were refused", device["errors"]["parse"].as_u64(), Some(4));
    tally.holds("more series than were sent", ours.keys().all(|series| known(series, expected)));
    shop.until_state("pos", "stale").await?;
    shop.close().await?;
    tally.same(
        "files that hold what must not be kept",
        super::log_file::holding(&dir.join("state"), &CANARIES)?,
        0,
    );
    Ok(tally.shown(version, format!("{ROUNDS} rounds, {} series", ours.len())))
}

/// A series that was sent, a bucket of one, or one that the agent counts itself.
fn known(series: &str, expected: &serde_json::Map<String, Value>) -> bool {
    expected.contains_key(series) || series.contains("_bucket{") || series.starts_with("retail.statsd.")
}

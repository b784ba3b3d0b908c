//! The OpenTelemetry SDK for Python exports over OTLP/HTTP (protobuf, gzip) into the agent: totals, differences, histograms,
//! attributes that are free text. The judge is what the script has told the SDK to count.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tokio::net::TcpListener;

use super::shop::{Shop, values};
use super::tally::Tally;
use crate::peers::Shown;
use crate::peers::program::{self, Program};
use crate::wait;

const ROUNDS: u32 = 6;
const LIMIT: Duration = Duration::from_secs(60);
const DEVICE: &str = "pos-apps";

pub(crate) async fn run(dir: &Path) -> anyhow::Result<Shown> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = folder.join("../target/peers/venv/bin/python");
    let ask = "import opentelemetry.sdk.version as v; print('opentelemetry-sdk', v.__version__)";
    let version = program::version(&python, &["-c", ask])?;
    let address: SocketAddr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?;
    let token = storepulse_shared::key::PushToken::issue();
    std::fs::write(dir.join("otlp.token"), token.expose())?;
    let shop = Shop::open(
        dir,
        &format!(
            "  {DEVICE}:\n    otlp:\n      listen: {address}\n      labels: [till, shelf, kind]\n      stale_after: 3s\n      tokens:\n        - name: pos\n          token_file: otlp.token\n"
        ),
    )
    .await?;
    let mut tally = Tally::default();
    let mut exports = 0;
    for temporality in ["cumulative", "delta"] {
        let log = dir.join(format!("{temporality}.json"));
        let environment = [
            ("STOREPULSE_ROUNDS", ROUNDS.to_string()),
            ("STOREPULSE_LOG", log.display().to_string()),
            ("STOREPULSE_PREFIX", temporality.to_owned()),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", format!("http://{address}/v1/metrics")),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", format!("authorization=Bearer%20{}", token.expose())),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", temporality.to_owned()),
            (
                "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
                if temporality == "delta" { "none" } else { "gzip" }.to_owned(),
            ),
        ];
        let script = folder.join("peers/otel_gateway.py");
        let mut program = Program::start(&python, &[script], &environment, &dir.join("otel.log"))?;
        let ended =
            wait::until("the SDK to export", LIMIT, async || Ok(program.has_ended()?.then_some(()))).await;
        ended.with_context(|| program.said())?;
        let told: Value = serde_json::from_str(&std::fs::read_to_string(&log)?)?;
        tally.same("exports that ended well", told["accepted"].as_u64(), Some(u64::from(ROUNDS)));
        let ours = values(&shop.device(DEVICE).await?);
        for (series, value) in told["series"].as_object().context("no series")? {
            tally.same(series, ours.get(series).copied(), value.as_f64());
        }
        let named = |series: &&String| series.starts_with(temporality);
        let expected = told["series"].as_object().map(serde_json::Map::len);
        tally.same("no other series", Some(ours.keys().filter(named).count()), expected);
        exports += ROUNDS;
    }
    let device = shop.device(DEVICE).await?;
    for kind in ["parse", "unsupported"] {
        tally.holds(&format!("what was refused is counted as {kind}"), device["errors"][kind].is_number());
    }
    tally.holds("no free text is shown", !device.to_string().contains("Díaz"));
    shop.until_state(DEVICE, "stale").await?;
    strangers(&shop, address, &mut tally).await?;
    shop.close().await?;
    Ok(tally.shown(version, format!("{exports} exports")))
}

/// Who knows no token, and who sends what is none.
async fn strangers(shop: &Shop, address: SocketAddr, tally: &mut Tally) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
    let answer = client.post(format!("http://{address}/v1/metrics")).body("{}").send().await?;
    tally.same("without a token", answer.status().as_u16(), 401);
    let device = shop.device(DEVICE).await?;
    tally.holds("a stranger is counted", device["errors"]["denied"].is_number());
    tally.same("and changes nothing", device["state"].as_str(), Some("stale"));
    Ok(())
}

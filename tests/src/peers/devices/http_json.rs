//! Python's `http.server` serves a file of JSON, which is written anew while the agent polls; then the server is killed, and
//! comes back.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use tokio::net::TcpListener;

use super::shop::{Shop, values};
use super::tally::Tally;
use crate::peers::Shown;
use crate::peers::program::{self, Program};

const DEVICE: &str = "fridge";

pub(crate) async fn run(dir: &Path) -> anyhow::Result<Shown> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/venv/bin/python");
    let version = program::version(
        &python,
        &["-c", "import platform; print('http.server of Python', platform.python_version())"],
    )?;
    let address: SocketAddr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?;
    let folder = dir.join("served");
    std::fs::create_dir_all(&folder)?;
    // As a whole, so that the server never sees half of it.
    let write = |text: &str| {
        std::fs::write(folder.join("new"), text)
            .and_then(|()| std::fs::rename(folder.join("new"), folder.join("status.json")))
    };
    let args = ["-m", "http.server", "--bind", "127.0.0.1", "--directory"].map(str::to_owned);
    let args: Vec<String> =
        args.into_iter().chain([folder.display().to_string(), address.port().to_string()]).collect();
    let start = || Program::start(&python, &args, &[], &dir.join("server.log"));
    let server = start()?;
    let mut tally = Tally::default();
    let shop = Shop::open(
        dir,
        &format!(
            r#"  {DEVICE}:
    http_json:
      url: http://{address}/status.json
      interval: 300ms
      timeout: 1s
      jitter: 1ms
      values:
        - {{ pointer: /sensors/0/t, metric: hw.temperature, scale: 0.1 }}
        - {{ pointer: /sensors/1/rh, metric: hw.humidity, scale: 0.01 }}
        - {{ pointer: /door, metric: retail.cabinet.door.open, states: {{ closed: 0, open: 1 }} }}
"#
        ),
    )
    .await?;
    let device = shop.until_state(DEVICE, "fault").await?;
    tally.holds("404 is an exception", device["errors"]["exception"].is_number());
    for (t, rh, door) in [(-185, "55", "closed"), (42, "61", "open"), (0, "0", "closed")] {
        write(&format!(
            r#"{{"sensors":[{{"t":{t}}},{{"rh":"{rh}"}}],"door":"{door}","more":[1,{{"a":null}}]}}"#
        ))?;
        let wanted = [f64::from(t) * 0.1, rh.parse::<f64>()? * 0.01, f64::from(u8::from(door == "open"))];
        let shown = |device: &serde_json::Value| {
            let values = values(device);
            ["hw.temperature", "hw.humidity", "retail.cabinet.door.open"]
                .map(|name| values.get(name).copied())
        };
        let device = shop.until(DEVICE, "the new values", |device| shown(device) == wanted.map(Some)).await?;
        tally.same("values", shown(&device), wanted.map(Some));
        tally.same("state", device["state"].as_str(), Some("ok"));
    }
    break_it(&shop, &write, &mut tally).await?;
    drop(server);
    let device = shop.until_state(DEVICE, "unreachable").await?;
    tally.holds("a killed server is refused", device["errors"]["refused"].is_number());
    write(r#"{"sensors":[{"t":50}]}"#)?;
    let _server = start()?;
    let device = shop.until_state(DEVICE, "ok").await?;
    tally.same("after the outage", values(&device).get("hw.temperature"), Some(&5.0));
    shop.close().await?;
    Ok(tally.shown(version, "3 documents, 4 bad ones, an outage"))
}

/// Documents that no device should send.
async fn break_it(
    shop: &Shop,
    write: impl Fn(&str) -> std::io::Result<()>,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    for (text, kind) in [
        ("<html><body>Log in</body></html>".to_owned(), "parse"),
        (r#"{"sensors":[{"t":4"#.to_owned(), "short_frame"),
        (format!(r#"{{"sensors":"{}"}}"#, "x".repeat(2 << 20)), "too_large"),
        ("[".repeat(5_000), "too_large"),
    ] {
        let seen = shop.device(DEVICE).await?["errors"][kind].as_u64().unwrap_or_default();
        write(&text)?;
        let is = |device: &serde_json::Value| device["errors"][kind].as_u64().unwrap_or_default() > seen;
        let device = shop.until(DEVICE, kind, is).await?;
        tally.same("state", device["state"].as_str(), Some("fault"));
        tally.same("the last value stays what it was", values(&device).get("hw.temperature"), Some(&0.0));
    }
    Ok(())
}

//! OpenSSL: an authority, certificates of it and a server that shows them. The judge is what `openssl x509` says of their end.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::shop::{Shop, values};
use super::tally::Tally;
use crate::peers::Shown;
use crate::peers::program::{self, Program};
use crate::wait;

const OPENSSL: &str = "/usr/bin/openssl";
const LIMIT: Duration = Duration::from_secs(10);
/// Days of the server's certificate.
const DAYS: &str = "37";

pub(crate) async fn run(dir: &Path) -> anyhow::Result<Shown> {
    let version = program::version(Path::new(OPENSSL), &["version"])?;
    let mut tally = Tally::default();
    let end = certificates(dir)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let server = serve(dir, port).await?;
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    // The kernel takes connections for it, and nobody ever says a word.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let shop = Shop::open(dir, &devices(port, closed, silent.local_addr()?.port())).await?;

    let gone = shop.until_state("closed", "unreachable").await?;
    failed("a closed port", &gone, "refused", &mut tally);
    failed("a name that is not there", &shop.until_state("nowhere", "unreachable").await?, "dns", &mut tally);
    echoed(&shop, &mut tally).await?;
    handshakes(&shop, end, &mut tally).await?;
    back_again(&shop, dir, port, server, &mut tally).await?;
    shop.close().await?;
    Ok(tally.shown(version, "server killed and started again"))
}

fn devices(port: u16, closed: u16, silent: u16) -> String {
    let device = |id: &str, rest: &str| format!("  {id}:\n    reach: {{ {rest} }}\n");
    let server = format!("target: '127.0.0.1:{port}'");
    let trusted = "server_name: till.shop.lan, ca_file: ca.pem";
    [
        device("plain", &format!("{server}, interval: 1s")),
        device("trusted", &format!("{server}, checks: [tcp, tls], interval: 10s, {trusted}")),
        device("unverified", &format!("{server}, checks: [tls], interval: 10s, verify: false")),
        device("untrusted", &format!("{server}, checks: [tls], interval: 10s")),
        device("closed", &format!("target: '127.0.0.1:{closed}', interval: 1s")),
        device("nowhere", "target: nothing.invalid, checks: [dns], interval: 1s"),
        device("silent", &format!("target: '127.0.0.1:{silent}', checks: [tls], interval: 10s, timeout: 1s")),
        device("echo", "target: 127.0.0.1, checks: [ping], interval: 1s"),
    ]
    .concat()
}

/// An authority and a certificate of it; returns the end of the latter, Unix seconds, as OpenSSL tells it.
fn certificates(dir: &Path) -> anyhow::Result<i64> {
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let authority =
        ["req", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-days", "900", "-subj", "/CN=terminals"];
    openssl(dir, &[&authority[..], &curve].concat())?;
    let server = [
        "req",
        "-x509",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-keyout",
        "till.key",
        "-out",
        "till.pem",
        "-days",
        DAYS,
        "-subj",
        "/CN=till",
        "-addext",
        "subjectAltName=DNS:till.shop.lan",
        "-addext",
        "basicConstraints=CA:FALSE",
    ];
    openssl(dir, &[&server[..], &curve].concat())?;
    let told = openssl(dir, &["x509", "-in", "till.pem", "-noout", "-enddate", "-dateopt", "iso_8601"])?;
    let end = told.trim().strip_prefix("notAfter=").with_context(|| told.clone())?;
    Ok(OffsetDateTime::parse(end, &Rfc3339).with_context(|| end.to_owned())?.unix_timestamp())
}

fn openssl(dir: &Path, args: &[&str]) -> anyhow::Result<String> {
    let said = Command::new(OPENSSL).args(args).current_dir(dir).output()?;
    if !said.status.success() {
        bail!("openssl {args:?}: {}", String::from_utf8_lossy(&said.stderr));
    }
    Ok(String::from_utf8(said.stdout)?)
}

async fn serve(dir: &Path, port: u16) -> anyhow::Result<Program> {
    let port = format!("127.0.0.1:{port}");
    // As a server of pages it does not read its standard input, whose end would be its own.
    let args = ["s_server", "-accept", &port, "-cert", "till.pem", "-key", "till.key", "-www"];
    let server = Program::start(Path::new(OPENSSL), &args, &[], &dir.join("s_server.log"))?;
    wait::until("the server", LIMIT, async || Ok(std::net::TcpStream::connect(&port).is_ok().then_some(())))
        .await?;
    Ok(server)
}

fn failed(what: &str, device: &Value, kind: &str, tally: &mut Tally) {
    tally.same(what, device["last_error"]["kind"].as_str(), Some(kind));
    tally.same(&format!("{what} is down"), values(device).get("retail.endpoint.up"), Some(&0.0));
}

/// Whoever runs this may have no right to ping; then that is what it says.
async fn echoed(shop: &Shop, tally: &mut Tally) -> anyhow::Result<()> {
    let echo = shop.until("echo", "a state", |device| !device["state"].is_null()).await?;
    if echo["last_error"]["kind"] == "denied" {
        tally.same("who may not ping knows nothing", values(&echo).len(), 0);
    } else {
        let took = values(&echo).get("retail.endpoint.ping.duration").copied();
        tally.holds(&format!("a ping of this machine takes {took:?}"), took.is_some_and(|took| took < 0.5));
    }
    Ok(())
}

async fn handshakes(shop: &Shop, end: i64, tally: &mut Tally) -> anyhow::Result<()> {
    for (id, state) in [("trusted", "ok"), ("unverified", "ok"), ("untrusted", "fault")] {
        let device = shop.until_state(id, state).await?;
        let reading = &device["values"]["retail.endpoint.tls.expiry"];
        let at_ms = reading["t"].as_i64().context("no time of the expiry")?;
        let left = reading["value"].as_f64().context("no expiry")?;
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        let theirs = (end - at_ms / 1_000) as f64;
        tally.holds(&format!("{id}: {left} s left instead of {theirs}"), (left - theirs).abs() <= 2.0);
        tally.same(
            &format!("{id}: up"),
            device["values"]["retail.endpoint.up"]["value"].as_f64(),
            Some(f64::from(u8::from(state == "ok"))),
        );
    }
    let untrusted = shop.device("untrusted").await?;
    failed("an authority that is not trusted", &untrusted, "tls", tally);
    failed("silence in TLS", &shop.until_state("silent", "unreachable").await?, "timeout", tally);
    Ok(())
}

async fn back_again(
    shop: &Shop,
    dir: &Path,
    port: u16,
    server: Program,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let plain = shop.until_state("plain", "ok").await?;
    tally.same("up", values(&plain).get("retail.endpoint.up"), Some(&1.0));
    drop(server);
    failed("a server that was killed", &shop.until_state("plain", "unreachable").await?, "refused", tally);
    let _server = serve(dir, port).await?;
    let plain = shop.until_state("plain", "ok").await?;
    tally.same("up again", values(&plain).get("retail.endpoint.up"), Some(&1.0));
    tally.same("it went away once", values(&plain).get("retail.endpoint.flaps"), Some(&1.0));
    Ok(())
}

//! `cargo peers`: the product's interfaces against foreign programs, which are the judges of what is right.
//!
//! One file a peer. A peer is given a [`Stage`] (a cloud with TLS as a process of its own, on a private PostgreSQL, and an
//! onboarded store), brings its program, and says what it has compared. Nothing is installed here: `tests/peers.sh` does
//! that. Kinds of devices need no cloud: their peers are in [`devices`], and several of them run at once.

mod compare;
mod devices;
mod exporter;
mod mail;
mod oidc;
mod oidc_browser;
mod otel;
mod people;
mod program;
mod prometheus;
mod promql;
mod schemathesis;
mod stage;

use std::io::Write;
use std::path::Path;

use clap::{Args, ValueEnum};
use futures_util::stream::{self, StreamExt as _};
use serde::Serialize;

use self::stage::Stage;
use crate::cluster::Cluster;
use crate::run_dir::RunDir;

/// They wait most of the time.
const DEVICES_AT_ONCE: usize = 4;

/// Which peers.
#[derive(Debug, Clone, Args)]
pub struct PeersArgs {
    /// Only these
    #[arg(value_enum)]
    names: Vec<Peer>,
    /// For some ten minutes, where a peer can try any amount
    #[arg(long)]
    long: bool,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

/// A foreign program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// Prometheus remote-writes what it scrapes
    Prometheus,
    /// The OpenTelemetry SDK for Python exports over OTLP/HTTP
    Otel,
    /// Prometheus and its promtool are asked the same as our query API
    Promql,
    /// Schemathesis asks what /openapi.json describes, and more
    Schemathesis,
    /// A mail server takes what people get
    Mail,
    /// A provider of OpenID Connect vouches for a tenant's people
    Oidc,
    /// python-escpos asks the same printer as the agent
    Escpos,
    /// Scales and a scanner that another serial library plays, over socat
    Serial,
    /// pymodbus is asked, over TCP and on a line
    Modbus,
    /// upsd of the Network UPS Tools tells of a UPS
    Nut,
    /// snmpsim and snmpd are asked
    Snmp,
    /// mosquitto passes on what sensors say
    Mqtt,
    /// OpenSSL's server shows its certificate
    Reach,
    /// logrotate rotates a log that Python writes
    LogFile,
    /// The StatsD clients for Python count
    Statsd,
    /// Prometheus' node exporter is scraped
    Scrape,
    /// Python serves a file of JSON
    HttpJson,
    /// The OpenTelemetry SDK for Python pushes to the agent
    Otlp,
    /// MariaDB, PostgreSQL and a file of SQLite are asked as a till's database
    Sql,
}

/// How much a peer tries, if it can try any amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    /// A minute or so, the same every time.
    Short,
    /// Some ten minutes or more.
    Long,
}

/// What a peer has shown.
#[derive(Debug, Serialize)]
struct Shown {
    /// Of the program.
    version: String,
    /// Where it is series that are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<usize>,
    /// Values that were compared one by one.
    compared: usize,
    /// What was not equal, in words; the first ones.
    unequal: Vec<String>,
    /// What else it has shown.
    more: String,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    ok: bool,
    #[serde(flatten)]
    shown: Option<&'a Shown>,
    error: Option<String>,
}

/// Runs the peers; `true` if all is equal.
///
/// # Errors
/// The stage could not be set, or the answer not be written.
pub async fn run(args: PeersArgs, testbed: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let length = if args.long { Length::Long } else { Length::Short };
    let wanted = if args.names.is_empty() { Peer::value_variants().to_vec() } else { args.names };
    let (of_devices, of_the_cloud): (Vec<Peer>, Vec<Peer>) =
        wanted.into_iter().partition(|peer| peer.is_of_devices());
    let run_dir = RunDir::create("peers")?;
    let mut verdict = Verdict { all_ok: true, lines: Vec::new() };
    let mut running =
        stream::iter(of_devices).map(|peer| run_devices(peer, &run_dir)).buffer_unordered(DEVICES_AT_ONCE);
    while let Some((peer, shown)) = running.next().await {
        verdict.add(peer, &shown, out)?;
    }
    if !of_the_cloud.is_empty() {
        let cluster = Cluster::start(&run_dir, true).await?;
        for peer in of_the_cloud {
            let shown = run_one((peer, length), &run_dir, &cluster, testbed).await;
            verdict.add(peer, &shown, out)?;
        }
        cluster.stop().await;
    }
    if args.json {
        writeln!(out, "{}", serde_json::json!({ "peers": verdict.lines }))?;
    }
    Ok(verdict.all_ok)
}

/// What all of them came to.
struct Verdict {
    all_ok: bool,
    lines: Vec<serde_json::Value>,
}

impl Verdict {
    /// Tells of one as soon as it has ended.
    fn add(&mut self, peer: Peer, shown: &anyhow::Result<Shown>, out: &mut impl Write) -> anyhow::Result<()> {
        let name = peer.name();
        let ok = shown.as_ref().is_ok_and(|shown| shown.unequal.is_empty() && shown.compared > 0);
        self.all_ok &= ok;
        tell(&name, shown, out)?;
        let error = shown.as_ref().err().map(|error| format!("{error:#}"));
        let line = Line { name: &name, ok, shown: shown.as_ref().ok(), error };
        self.lines.push(serde_json::to_value(line)?);
        Ok(())
    }
}

impl Peer {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    const fn is_of_devices(self) -> bool {
        !matches!(
            self,
            Self::Prometheus | Self::Otel | Self::Promql | Self::Schemathesis | Self::Mail | Self::Oidc
        )
    }
}

/// The agent with a kind of device, and no cloud.
async fn run_devices(peer: Peer, run_dir: &RunDir) -> (Peer, anyhow::Result<Shown>) {
    let shown = async {
        let dir = run_dir.part(&peer.name())?;
        match peer {
            Peer::Escpos => devices::escpos::run(&dir).await,
            Peer::Serial => devices::serial::run(&dir).await,
            Peer::Modbus => devices::modbus::run(&dir).await,
            Peer::Nut => devices::nut::run(&dir).await,
            Peer::Snmp => devices::snmp::run(&dir).await,
            Peer::Mqtt => devices::mqtt::run(&dir).await,
            Peer::Reach => devices::reach::run(&dir).await,
            Peer::LogFile => devices::log_file::run(&dir).await,
            Peer::Statsd => devices::statsd::run(&dir).await,
            Peer::Scrape => devices::prometheus::run(&dir).await,
            Peer::HttpJson => devices::http_json::run(&dir).await,
            Peer::Otlp => devices::otlp::run(&dir).await,
            Peer::Sql => devices::sql::run(&dir).await,
            of_the_cloud => anyhow::bail!("{of_the_cloud:?} is no kind of device"),
        }
    };
    (peer, shown.await)
}

async fn run_one(
    (peer, length): (Peer, Length),
    run_dir: &RunDir,
    cluster: &Cluster,
    testbed: &Path,
) -> anyhow::Result<Shown> {
    let dir = run_dir.part(&peer.name())?;
    let mut stage = Stage::set(dir.clone(), cluster, testbed).await?;
    let shown = match peer {
        Peer::Prometheus => prometheus::run(&mut stage).await,
        Peer::Otel => otel::run(&stage).await,
        Peer::Promql => promql::run(cluster, &dir).await,
        Peer::Schemathesis => schemathesis::run(&stage, length).await,
        Peer::Mail => mail::run(cluster, &dir).await,
        Peer::Oidc => oidc::run(cluster, &dir).await,
        of_devices => anyhow::bail!("{of_devices:?} is a kind of device"),
    };
    stage.cloud.stop().await?;
    shown
}

fn tell(name: &str, shown: &anyhow::Result<Shown>, out: &mut impl Write) -> std::io::Result<()> {
    match shown {
        Err(error) => writeln!(out, "{name}: failed: {error:#}"),
        Ok(Shown { version, series, compared, unequal, more }) => {
            let verdict = if unequal.is_empty() { "all equal" } else { "NOT EQUAL" };
            let series = series.map(|series| format!(" {series} with series,")).unwrap_or_default();
            writeln!(out, "{name} ({version}): {compared} values or answers,{series} {verdict}; {more}")?;
            unequal.iter().try_for_each(|difference| writeln!(out, "  {difference}"))
        }
    }
}

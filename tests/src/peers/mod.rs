//! `cargo peers`: the product's interfaces against foreign programs, which are the judges of what is right.
//!
//! One file a peer. A peer is given a [`Stage`] (a cloud with TLS as a process of its own, on a private PostgreSQL, and an
//! onboarded store), brings its program, and says what it has compared. Nothing is installed here: `tests/peers.sh` does
//! that.

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
use serde::Serialize;

use self::stage::Stage;
use crate::cluster::Cluster;
use crate::run_dir::RunDir;

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
    let all = [Peer::Prometheus, Peer::Otel, Peer::Promql, Peer::Mail, Peer::Oidc, Peer::Schemathesis];
    let length = if args.long { Length::Long } else { Length::Short };
    let wanted = if args.names.is_empty() { all.to_vec() } else { args.names };
    let run_dir = RunDir::create("peers")?;
    let cluster = Cluster::start(&run_dir, true).await?;
    let (mut all_ok, mut lines) = (true, Vec::new());
    for peer in wanted {
        let name = peer.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let shown = run_one((peer, length), &run_dir, &cluster, testbed, &name).await;
        let ok = shown.as_ref().is_ok_and(|shown| shown.unequal.is_empty() && shown.compared > 0);
        all_ok &= ok;
        tell(&name, &shown, out)?;
        let error = shown.as_ref().err().map(|error| format!("{error:#}"));
        let line = Line { name: &name, ok, shown: shown.as_ref().ok(), error };
        lines.push(serde_json::to_value(line)?);
    }
    cluster.stop().await;
    if args.json {
        writeln!(out, "{}", serde_json::json!({ "peers": lines }))?;
    }
    Ok(all_ok)
}

async fn run_one(
    (peer, length): (Peer, Length),
    run_dir: &RunDir,
    cluster: &Cluster,
    testbed: &Path,
    name: &str,
) -> anyhow::Result<Shown> {
    let dir = run_dir.part(name)?;
    let mut stage = Stage::set(dir.clone(), cluster, testbed).await?;
    let shown = match peer {
        Peer::Prometheus => prometheus::run(&mut stage).await,
        Peer::Otel => otel::run(&stage).await,
        Peer::Promql => promql::run(cluster, &dir).await,
        Peer::Schemathesis => schemathesis::run(&stage, length).await,
        Peer::Mail => mail::run(cluster, &dir).await,
        Peer::Oidc => oidc::run(cluster, &dir).await,
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

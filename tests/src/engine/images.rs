//! The images: their base images, how they are built, and what must be true of them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::docker::{Engine, said, said_in_time};

pub(super) const AGENT: &str = concat!("storepulse/agent:", env!("CARGO_PKG_VERSION"));
pub(super) const CLOUD: &str = concat!("storepulse/cloud:", env!("CARGO_PKG_VERSION"));
/// A later version of the agent, and one that ends as soon as it is started; both are made of the real one.
pub(super) const NEXT: &str = "storepulse/agent:engine-next";
pub(super) const BROKEN: &str = "storepulse/agent:engine-broken";

/// Most bytes of the agent's image.
const AGENT_BYTES_MAX: u64 = 20_000_000;
/// How long a base image may take to come.
const PULL_LIMIT: Duration = Duration::from_secs(300);

/// Base images that are missing are pulled, or made here, since a machine without a link can pull none.
pub(super) async fn bases(
    engine: &Engine,
    repo: &Path,
    warm: Option<&Path>,
    builds: bool,
) -> anyhow::Result<String> {
    let mut told = Vec::new();
    for base in base_images(repo)?.iter().filter(|base| builds || !base.starts_with("rust:")) {
        if engine.has_image(base) {
            told.push(format!("{base} was there"));
            continue;
        }
        let mut pull = engine.command("docker");
        let pull = said_in_time(pull.args(["pull", "--quiet", base]));
        if tokio::time::timeout(PULL_LIMIT, pull).await.is_ok_and(|pulled| pulled.is_ok()) {
            told.push(format!("{base} pulled"));
            continue;
        }
        let mut command = engine.command(repo.join("tests/engine.sh"));
        command.args(["base", base]);
        let of_rust = base.starts_with("rust:");
        if let Some(warm) = warm.filter(|_| of_rust) {
            command.arg(warm);
        }
        said_in_time(&mut command).await?;
        told.push(match (of_rust, warm) {
            (true, None) => {
                format!("{base} made here, of Debian and this machine's Rust, with what cargo has downloaded")
            }
            (true, Some(_)) => {
                format!("{base} made here, of Debian and this machine's Rust, with what was compiled before")
            }
            (false, _) => format!("{base} made here, of Debian's packages"),
        });
    }
    Ok(told.join("; "))
}

/// What the Dockerfiles and the cloud's compose file name; Rust's comes first.
fn base_images(repo: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(repo.join("deploy/store/Dockerfile"))?;
    let rust = text.split_whitespace().find(|word| word.starts_with("rust:")).context("FROM rust:…")?;
    Ok(vec![rust.to_owned(), "postgres:15".to_owned(), "haproxy:2.8".to_owned()])
}

/// Builds one from the repository, as its Dockerfile says it.
pub(super) async fn build(engine: &Engine, repo: &Path, name: &str, folder: &str) -> anyhow::Result<String> {
    let mut command = engine.command("docker");
    command.args(["build", "--quiet", "--file"]).arg(repo.join(folder).join("Dockerfile"));
    let rust = base_images(repo)?.swap_remove(0);
    if engine
        .docker(&["image", "inspect", "--format", "{{.Config.Env}}", &rust])?
        .contains("CARGO_NET_OFFLINE")
    {
        // Made here: all that is compiled lies in it.
        command.args(["--network", "none"]);
    }
    said_in_time(command.args(["--tag", name]).arg(repo)).await?;
    examine(engine, name)
}

/// What must be true of it, however it was built.
pub(super) fn examine(engine: &Engine, name: &str) -> anyhow::Result<String> {
    let told = engine.docker(&["image", "inspect", name])?;
    let image: serde_json::Value = serde_json::from_str(&told)?;
    let (image, config) = (&image[0], &image[0]["Config"]);
    let bytes = image["Size"].as_u64().context("a size")?;
    let user = config["User"].as_str().unwrap_or_default();
    ensure!(user == "65532:65532", "{name} runs as {user:?}");
    ensure!(config["Healthcheck"]["Test"][2] == "health", "{name} has no health check of its own");
    let label = &config["Labels"]["org.opencontainers.image.version"];
    ensure!(label == env!("CARGO_PKG_VERSION"), "{name} is labelled as version {label}");
    ensure!(
        name != AGENT || bytes <= AGENT_BYTES_MAX,
        "{name} has {bytes} bytes, more than {AGENT_BYTES_MAX}"
    );
    let files = files(engine, name)?;
    for stranger in ["/sh", "/bash", "/busybox", "/apt", "/dpkg"] {
        ensure!(!files.iter().any(|file| file.ends_with(stranger)), "{name} holds {stranger}");
    }
    ensure!(files.iter().any(|file| file == "etc/ssl/certs/ca-certificates.crt"), "{name} trusts nobody");
    let version = engine.docker(&[
        "run",
        "--rm",
        "--read-only",
        "--network",
        "none",
        "--cap-drop",
        "ALL",
        name,
        "--version",
    ])?;
    ensure!(version.contains(env!("CARGO_PKG_VERSION")), "{name} says it is {version}");
    #[expect(clippy::cast_precision_loss, reason = "megabytes for people")]
    let megabytes = bytes as f64 / 1e6;
    Ok(format!("{name}, {megabytes:.1} MB, {} files, user {user}, {}", files.len(), version.trim()))
}

/// How large it is.
pub(super) fn bytes(engine: &Engine, name: &str) -> Option<u64> {
    engine.docker(&["image", "inspect", "--format", "{{.Size}}", name]).ok()?.trim().parse().ok()
}

/// Everything in it that is a file, without a leading slash.
fn files(engine: &Engine, name: &str) -> anyhow::Result<Vec<String>> {
    let id = engine.docker(&["create", name])?;
    let list = said(engine.command("sh").args(["-c", "docker export \"$1\" | tar -t", "list", id.trim()]));
    engine.docker(&["rm", id.trim()])?;
    Ok(list?.lines().filter(|line| !line.ends_with('/')).map(str::to_owned).collect())
}

/// Makes the later version and the broken one.
pub(super) fn variants(engine: &Engine) -> anyhow::Result<()> {
    let next = format!("FROM {AGENT}\nLABEL org.opencontainers.image.version=\"next\"\n");
    let broken = format!("FROM {AGENT}\nENTRYPOINT [\"storepulse-agent\", \"--version\"]\n");
    for (name, text) in [(NEXT, next), (BROKEN, broken)] {
        let script = "printf '%s' \"$1\" | docker build --quiet --tag \"$2\" -";
        said(engine.command("sh").args(["-c", script, "build", &text, name]))?;
    }
    Ok(())
}

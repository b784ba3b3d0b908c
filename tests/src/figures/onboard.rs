//! Onboarding a chain: tenant, stores, keys, package, and every key tried over HTTPS, before the tenant is open and after it.
//!
//! The limit is what the disk alone takes for it: two synced files a store and their folders, by as many threads. What else
//! bounds it is said on stderr, step by step: requests of the validation, and the transactions of the audit.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use storepulse_cloud::db::Db;
use storepulse_cloud::onboarding::{self, Contacts, How, Request};

use super::bench::Bench;
use super::figure::Figure;
use super::ingest::Rig;
use super::{progress, rounds};

const ROUNDS: usize = 5;
const SECONDS_MAX: f64 = 2.0;
/// As many as onboarding has.
const WRITERS: usize = 8;

/// Stores.
pub(super) const SIZES: [usize; 1] = [100];

pub(super) async fn measure(size: usize, bench: &mut Bench) -> anyhow::Result<Figure> {
    let dir = bench.part("onboard")?;
    let rig = bench.rig().await?;
    let door = Db::connect(&rig.db.config()).await?;
    let (mut run, mut bare) = (0, 0);
    let mut steps = Steps::default();
    let value = async || {
        run += 1;
        let (request, out) = (request(rig, run, size)?, dir.join(format!("chain-{run}")));
        let how = How { out, validate: true, stop_after: None };
        steps.begin();
        let begun = Instant::now();
        onboarding::run(&door, &request, &how, &mut steps).await?;
        Ok(begun.elapsed().as_secs_f64())
    };
    let limit = async || {
        bare += 1;
        let out = dir.join(format!("bare-{bare}"));
        let begun = Instant::now();
        tokio::task::spawn_blocking(move || write_and_sync(&out, size)).await??;
        Ok(begun.elapsed().as_secs_f64())
    };
    let figure = rounds::alternate(ROUNDS, value, limit).await?;
    progress::say(&format!("    the last one: {}", steps.told()))?;
    door.close().await;
    Ok(figure.at_most(SECONDS_MAX).binding())
}

fn request(rig: &Rig, run: usize, stores: usize) -> anyhow::Result<Request> {
    Ok(Request {
        tenant: format!("onboarded-{run}").parse()?,
        company: "Retail Corp".to_owned(),
        plan: "premium".to_owned(),
        contacts: Contacts { email: Some("billing@retail.example".to_owned()), ..Contacts::default() },
        stores: onboarding::numbered_stores(stores)?,
        cloud_url: rig.cloud_url(),
        ca: Some(std::fs::read_to_string(rig.ca())?),
    })
}

/// Two files a store and its folder, synced.
fn write_and_sync(out: &Path, stores: usize) -> anyhow::Result<()> {
    let one = |n: usize| -> std::io::Result<()> {
        let dir = out.join(n.to_string());
        std::fs::create_dir_all(&dir)?;
        for name in ["a", "b"] {
            let mut file = std::fs::File::create(dir.join(name))?;
            file.write_all(&[b'x'; 64])?;
            file.sync_all()?;
        }
        std::fs::File::open(&dir)?.sync_all()
    };
    std::thread::scope(|scope| {
        let share = |first: usize| move || (first..stores).step_by(WRITERS).try_for_each(one);
        let writers: Vec<_> = (0..WRITERS).map(|first| scope.spawn(share(first))).collect();
        writers.into_iter().try_for_each(|writer| match writer.join() {
            Ok(done) => Ok(done?),
            Err(_) => anyhow::bail!("a thread has panicked"),
        })
    })
}

/// When each step was said to be done.
#[derive(Debug, Default)]
struct Steps {
    said: Vec<(String, Duration)>,
    since: Option<Instant>,
    line: Vec<u8>,
}

impl Steps {
    fn begin(&mut self) {
        *self = Self { since: Some(Instant::now()), ..Self::default() };
    }

    fn told(&self) -> String {
        let all = self.said.iter().map(|(name, took)| format!("{name} {} ms", took.as_millis()));
        all.collect::<Vec<_>>().join(", ")
    }
}

impl Write for Steps {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if let Some(end) = self.line.iter().position(|b| *b == b'\n') {
            let line = String::from_utf8_lossy(&self.line[..end]).into_owned();
            self.line.drain(..=end);
            let name = line.split_whitespace().nth(1).unwrap_or_default().trim_end_matches(':').to_owned();
            let took = self.since.map(|since| since.elapsed()).unwrap_or_default();
            self.since = Some(Instant::now());
            self.said.push((name, took));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

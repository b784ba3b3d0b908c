//! The doctor: looks at everything between a device and the cloud, each thing by itself and within a limit of time, and says
//! what is wrong, what comes first of it, and what to do next.
//!
//! It changes nothing but a small file that it writes and removes again, and sends no key over a connection that is not trusted.
//! It works beside a running agent, which it asks, and without one; and without a configuration, which is then the first finding.
//! What only follows from something else is skipped, with its reason, so that the cause stands first.
//!
//! [`check`] is one thing, [`report`] the order of all; `disk`, `spool`, `key`, `clock`, `machine`, `network`, `agent`, `cloud`
//! and `device` each look at one part; [`limited`] holds what hangs.

mod agent;
mod check;
mod clock;
mod cloud;
mod device;
mod disk;
mod environment;
mod key;
mod limited;
mod listener;
mod machine;
mod network;
mod report;
mod spool;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use self::agent::Running;
pub(crate) use self::check::{Check, Outcome};
use self::clock::Known;
use self::cloud::Cloud;
use self::device::Looker;
use self::limited::blocking;
pub(crate) use self::report::Report;
use crate::bundle::Doctor;
use crate::config::Config;
use crate::finding::{Finding, Problem};
use crate::language::Language;
use crate::status::{Machine, Network};
use crate::time::{BoxClock, ClockSource, LastTrusted, SystemClock};

const CONFIGURATION: &str = "configuration";

/// For what the kernel tells of the box.
const BOX_LIMIT: Duration = Duration::from_secs(5);

/// Told after each check: how many are done, of how many, and which it is.
pub(crate) type Progress<'a> = &'a mut (dyn FnMut(usize, usize, &Check) + Send);

/// Looks at everything, within half a minute; without a configuration, at everything that needs none, and why there is none.
pub(crate) async fn run(path: &Path, config: Option<&Config>, progress: Progress<'_>) -> Report {
    examine(path, config, false, progress).await
}

/// The same, and further: every batch of the spool, and every speed of a line where nothing is heard. It takes minutes.
pub(crate) async fn run_deep(path: &Path, config: Option<&Config>, progress: Progress<'_>) -> Report {
    examine(path, config, true, progress).await
}

/// The same for a support bundle. It stays on a thread of its own: what it waits for need not be handed from one to another.
pub(crate) fn told(path: PathBuf) -> Doctor {
    Box::new(move |tell| {
        Box::pin(async move {
            let (progress, mut done) = mpsc::unbounded_channel();
            let runtime = Handle::current();
            let work = tokio::task::spawn_blocking(move || {
                let config = Config::load(&path).ok();
                // Whoever does not hear it any more has no use for the report either.
                let mut tell = |done, of, check: &Check| {
                    let _ = progress.send((done, of, check.name));
                };
                runtime.block_on(run(&path, config.as_ref(), &mut tell)).to_json(Language::En)
            });
            while let Some((done, of, name)) = done.recv().await {
                tell(done, of, name);
            }
            work.await.unwrap_or_else(|error| json!({ "checks": [], "problem": error.to_string() }))
        })
    })
}

async fn examine(path: &Path, config: Option<&Config>, deep: bool, progress: Progress<'_>) -> Report {
    let mut desk = Desk { done: 0, total: planned(config), report: Report::default(), progress };
    desk.add([configuration(path, config)]);
    let (machine, network) = look_at_box(config).await;
    desk.add(machine);
    desk.add(network);
    desk.add(device::overview(config));
    match config {
        Some(config) => with_configuration(config, deep, &mut desk).await,
        None => {
            let now_ms = crate::time::now_ms();
            let is_set = SystemClock::load().is_synchronised();
            desk.add([clock::judge(Known { now_ms, is_set, offset_ms: None })]);
        }
    }
    desk.report
}

/// Where checks come in.
struct Desk<'a> {
    done: usize,
    total: usize,
    report: Report,
    progress: Progress<'a>,
}

impl Desk<'_> {
    fn add(&mut self, checks: impl IntoIterator<Item = Check>) {
        for check in checks {
            self.tell(&check);
            self.report.checks.push(check);
        }
    }

    /// Tells of one that is added later, with the others of its part.
    fn tell(&mut self, check: &Check) {
        self.done += 1;
        (self.progress)(self.done, self.total.max(self.done), check);
    }
}

/// How many checks there will be.
fn planned(config: Option<&Config>) -> usize {
    const ALWAYS: usize = 1 + 5 + 4 + 2 + 1;
    // Folder, disk, write; spool, queue, losses, quarantine; key; agent, push listener, uplink; five of the cloud.
    const CONFIGURED: usize = 3 + 4 + 1 + 3 + 5;
    ALWAYS + config.map_or(0, |config| CONFIGURED + config.devices.len() * device::CHECKS_OF_ONE)
}

fn configuration(path: &Path, config: Option<&Config>) -> Check {
    let shown = path.display().to_string();
    let why = match (config, Config::load(path)) {
        // Whoever has one has read it; it may have changed since.
        (Some(_), Ok(_)) => return Check::pass(CONFIGURATION, format!("{shown} is right")),
        (None, Ok(_)) => "it could not be read a moment ago".to_owned(),
        (_, Err(error)) => error.to_string(),
    };
    Check::found(CONFIGURATION, Finding::new(Problem::ConfigBad).with("path", shown), why)
}

async fn look_at_box(config: Option<&Config>) -> (Vec<Check>, Vec<Check>) {
    let dir = config.map_or_else(|| Path::new("/").to_owned(), |config| config.state_dir.clone());
    let looked = blocking(BOX_LIMIT, move || {
        let machine = Machine::read(Path::new("/"), &dir);
        (
            machine::judge(&machine),
            machine::container(Path::new("/")),
            network::judge(&Network::read(Path::new("/"))),
        )
    });
    let Some((mut machine, container, network)) = looked.await else {
        let late = |name| Check::skipped(name, "the kernel does not answer in time");
        let machine =
            [machine::MEMORY, machine::TEMPERATURE, machine::POWER, machine::VERSION, machine::CONTAINER];
        let network = [network::LINK, network::ADDRESS, network::GATEWAY, network::NAME_SERVERS];
        return (machine.map(late).into(), network.map(late).into());
    };
    machine.push(container);
    (machine, network)
}

async fn with_configuration(config: &Config, deep: bool, desk: &mut Desk<'_>) {
    let system = SystemClock::load();
    let is_set = system.is_synchronised();
    let floor_ms = LastTrusted::new(&config.state_dir).floor_ms();
    let box_clock = BoxClock::new(Arc::new(system), floor_ms);
    let (store_key, key_check) = key::look(config);
    desk.add([key_check]);
    // The cloud takes longest, and needs nothing of the others.
    let cloud = cloud::look(config, store_key.as_ref(), &box_clock, is_set);
    let here = look_here(config, &box_clock, deep, desk);
    let (cloud, running) = tokio::join!(cloud, here);
    let Cloud { checks, offset_ms, is_reached } = cloud;
    desk.add(checks);
    let offset_ms = offset_ms.or_else(|| running.status.as_ref()?["clock"]["offset_ms"].as_i64());
    desk.add([clock::judge(Known { now_ms: box_clock.now_ms(), is_set, offset_ms })]);
    explain(&mut desk.report.checks, is_reached);
}

/// What is on this box: disk, spool, agent, devices.
async fn look_here(config: &Config, box_clock: &BoxClock, deep: bool, desk: &mut Desk<'_>) -> Running {
    desk.add(disk::look(&config.state_dir).await);
    desk.add(spool::look(&config.state_dir, box_clock.now_ms(), deep).await);
    let (running, checks) = agent::look(config).await;
    desk.add(checks);
    let looker = Looker { config, running: &running, clock: box_clock, deep };
    let devices = looker.look(&mut |checks| checks.iter().for_each(|check| desk.tell(check))).await;
    desk.report.checks.extend(devices);
    running
}

/// Takes back what something else explains.
fn explain(checks: &mut [Check], is_reached: bool) {
    let fails = |checks: &[Check], names: &[&str]| {
        checks.iter().any(|check| check.outcome == Outcome::Fail && names.contains(&check.name))
    };
    let network = [network::LINK, network::ADDRESS, network::GATEWAY];
    if is_reached {
        // Then it cannot be what is wrong, whatever the kernel says.
        checks.iter_mut().filter(|check| network.contains(&check.name)).for_each(Check::softened);
    } else if fails(checks, &network) {
        let way = [cloud::PROXY, cloud::NAME, cloud::CONNECTION];
        let derived = checks.iter_mut().filter(|check| way.contains(&check.name) && check.finding.is_some());
        derived.for_each(|check| check.explained("the network of this box does not lead out"));
    }
    let holds_up = [disk::FOLDER, disk::DISK, disk::WRITE, spool::SPOOL, agent::PUSH];
    if fails(checks, &holds_up) {
        let not_running = |check: &&mut Check| {
            check.finding.as_ref().is_some_and(|finding| finding.problem == Problem::NotRunning)
        };
        checks.iter_mut().filter(not_running).for_each(|check| check.explained("it cannot run like this"));
    }
}

#[cfg(test)]
mod tests;

//! Modbus units of pymodbus, on a line of pseudo-terminals and over TCP at once: several units on one line, all types and
//! both word orders, a broken probe, an address that does not exist, a unit that is silent, servers that end and come back
//! with other values. What was asked is told by pymodbus itself.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::shop::{Shop, values};
use super::tally::Tally;
use crate::peers::Shown;
use crate::peers::program::{self, Program};
use crate::wait;

const LIMIT: Duration = Duration::from_secs(20);
/// How often each device is asked, in milliseconds.
const INTERVAL_MS: u32 = 200;
/// Readings of a unit in which its pace is looked at.
const READINGS: u32 = 15;

/// A value that a unit is told to give, and how the agent is told to read it.
struct Told {
    unit: u8,
    table: &'static str,
    address: u16,
    kind: &'static str,
    order: &'static str,
    value: f64,
    scale: f64,
}

const fn told(
    unit: u8,
    table: &'static str,
    address: u16,
    kind: &'static str,
    value: f64,
    scale: f64,
) -> Told {
    Told { unit, table, address, kind, order: "big", value, scale }
}

const fn little(told: Told) -> Told {
    Told { order: "little", ..told }
}

/// Unit 1 has everything, unit 2 and 7 a temperature; there is no unit 9. `warmer` is added to the temperatures, in tenths.
fn all(warmer: f64) -> Vec<Told> {
    vec![
        told(1, "input", 0, "i16", -185.0 + warmer, 0.1),
        told(1, "input", 1, "u16", 40_651.0, 0.001),
        told(1, "input", 2, "i16", -1.0, 1.0),
        told(1, "holding", 16, "f32", -21.7, 1.0),
        little(told(1, "holding", 18, "f32", 23.1, 1.0)),
        told(1, "holding", 20, "i32", -100_000.0, 1.0),
        little(told(1, "holding", 22, "i32", 123_456_789.0, 1.0)),
        told(1, "holding", 24, "u32", 4_000_000_000.0, 1.0),
        little(told(1, "holding", 26, "u32", 70_000.0, 0.01)),
        told(1, "coil", 0, "bit", 1.0, 1.0),
        told(1, "coil", 1, "bit", 0.0, 1.0),
        told(1, "coil", 8, "bit", 1.0, 1.0),
        told(1, "discrete", 3, "bit", 1.0, 1.0),
        told(1, "discrete", 12, "bit", 0.0, 1.0),
        told(2, "input", 0, "i16", 41.0 + warmer, 0.1),
        told(7, "input", 1, "i16", -205.0 + warmer, 0.1),
        told(7, "input", 2, "i16", 546.0, 0.001),
    ]
}

impl Told {
    fn series(&self) -> String {
        format!("told.{}.{}", self.table, self.address)
    }

    /// As a decimal number: what people would write down.
    fn wanted(&self) -> f64 {
        let shown = format!("{:.3}", self.value * self.scale);
        shown.parse().unwrap_or(f64::NAN)
    }

    fn register(&self) -> String {
        let Self { table, address, kind, order, scale, .. } = self;
        let more =
            if *kind == "bit" { String::new() } else { format!(", type: {kind}, word_order: {order}") };
        let metric = self.series();
        format!(
            "        - {{ metric: {metric}, table: {table}, address: {address}, scale: {scale}{more} }}\n"
        )
    }
}

/// What pymodbus is to ask for itself: unit, function, address, count.
fn expected() -> BTreeSet<[u16; 4]> {
    BTreeSet::from([
        [1, 1, 0, 2],
        [1, 1, 8, 1],
        [1, 2, 3, 1],
        [1, 2, 12, 1],
        [1, 3, 16, 12],
        [1, 4, 0, 3],
        [1, 4, 9, 1],
        [1, 4, 900, 1],
        [2, 4, 0, 1],
        [7, 4, 1, 2],
        [9, 4, 0, 1],
    ])
}

/// The devices of one way: `rtu-…` or `tcp-…`.
fn devices(way: &str, target: &str) -> String {
    let head = |name: &str, unit: u8| {
        format!(
            "  {way}-{name}:\n    modbus:\n      {target}\n      unit: {unit}\n      interval: {INTERVAL_MS}ms\n      timeout: 300ms\n      jitter: 50ms\n"
        )
    };
    let one = |metric: &str, address: u16| {
        format!("      registers: [{{ metric: {metric}, table: input, address: {address}, scale: 0.1 }}]\n")
    };
    let registers: String = all(0.0).iter().filter(|told| told.unit == 1).map(Told::register).collect();
    [
        head("all", 1),
        // Its probe is broken.
        format!(
            "      registers:\n{registers}        - {{ metric: told.broken, table: input, address: 9 }}\n"
        ),
        head("refused", 1) + &one("told.missing", 900),
        head("second", 2) + &one("told.input.0", 0),
        head("preset", 7) + "      preset: xy-md02\n",
        head("absent", 9) + &one("told.absent", 0),
    ]
    .concat()
}

/// A server of pymodbus.
struct Server {
    python: PathBuf,
    dir: PathBuf,
    way: Vec<String>,
}

impl Server {
    fn start(&self, told: &[Told]) -> anyhow::Result<Program> {
        let name = &self.way[0];
        let units = self.dir.join(format!("{name}.json"));
        let mut list: Vec<Value> = told
            .iter()
            .map(|t| json!({"unit": t.unit, "table": t.table, "address": t.address, "type": t.kind, "order": t.order, "value": t.value}))
            .collect();
        list.push(json!({"unit": 1, "table": "input", "address": 9, "type": "u16", "order": "big", "value": 0x8000}));
        std::fs::write(&units, serde_json::to_vec(&list)?)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/modbus_server.py");
        let mut args = vec![script.display().to_string(), units.display().to_string()];
        args.push(self.asked().display().to_string());
        args.extend(self.way.iter().cloned());
        Program::start(&self.python, &args, &[], &self.dir.join(format!("{name}.log")))
    }

    fn asked(&self) -> PathBuf {
        self.dir.join(format!("{}-asked.jsonl", self.way[0]))
    }
}

pub(crate) async fn run(dir: &Path) -> anyhow::Result<Shown> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/venv/bin/python");
    let version =
        program::version(&python, &["-c", "import pymodbus as p; print('pymodbus', p.__version__)"])?;
    let [ours, theirs] = ["line-ours", "line-theirs"].map(|end| dir.join(end));
    // Our end is left to us alone: with `ptmx` socat does not keep it open itself, which would make it the holder.
    let ends = [(&ours, ",ptmx,ignoreeof"), (&theirs, "")]
        .map(|(end, more)| format!("pty,rawer,link={}{more}", end.display()));
    let mut socat = Program::start(Path::new("socat"), &ends, &[], &dir.join("socat.log"))?;
    wait::until("socat to make a line", LIMIT, async || {
        let _ = socat.has_ended()?;
        Ok((ours.exists() && theirs.exists()).then_some(()))
    })
    .await
    .with_context(|| socat.said())?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let server = |way: &[&str]| {
        let way = way.iter().map(|part| (*part).to_owned()).collect();
        Server { python: python.clone(), dir: dir.to_owned(), way }
    };
    let serial = server(&["serial", &theirs.display().to_string()]);
    let tcp = server(&["tcp", "127.0.0.1", &port.to_string()]);
    let devices = devices("rtu", &format!("port: {}", ours.display()))
        + &devices("tcp", &format!("tcp: 127.0.0.1:{port}"));
    let running = [serial.start(&all(0.0))?, tcp.start(&all(0.0))?];
    let shop = Shop::open(dir, &devices).await?;
    let mut tally = Tally::default();
    for way in ["rtu", "tcp"] {
        reads(&shop, &mut tally, way, &all(0.0))
            .await
            .with_context(|| running.each_ref().map(Program::said).join("\n"))?;
    }
    for way in ["rtu", "tcp"] {
        refuses_and_is_silent(&shop, &mut tally, way).await?;
        keeps_its_pace(&shop, &mut tally, way).await?;
    }
    drop(running);
    for (way, kind) in [("rtu", "timeout"), ("tcp", "refused")] {
        for name in ["all", "second", "preset"] {
            let id = format!("{way}-{name}");
            let device = shop.until(&id, "unreachable", |d| {
                d["state"] == "unreachable" && d["last_error"]["kind"] == kind
            });
            tally.same(
                &format!("{id} without its server"),
                device.await?["state"].as_str(),
                Some("unreachable"),
            );
        }
    }
    let running = [serial.start(&all(30.0))?, tcp.start(&all(30.0))?];
    for way in ["rtu", "tcp"] {
        reads(&shop, &mut tally, way, &all(30.0))
            .await
            .with_context(|| running.each_ref().map(Program::said).join("\n"))?;
    }
    shop.close().await?;
    let mut requests = 0;
    for server in [&serial, &tcp] {
        requests += asked(&mut tally, server)?;
    }
    Ok(tally.shown(
        version,
        format!("{requests} requests, on a line of socat and over TCP; both servers were started twice"),
    ))
}

/// The agent shows what the units were told.
async fn reads(shop: &Shop, tally: &mut Tally, way: &str, told: &[Told]) -> anyhow::Result<()> {
    for (name, unit) in [("all", 1), ("second", 2), ("preset", 7)] {
        let id = format!("{way}-{name}");
        let (first, series) = told
            .iter()
            .find(|told| told.unit == unit)
            .map(|told| (told.wanted(), if unit == 7 { "hw.temperature".to_owned() } else { told.series() }))
            .context("a unit that was told nothing")?;
        let device = shop
            .until(&id, &format!("{series} = {first}"), |d| {
                d["state"] == "ok" && values(d).get(&series) == Some(&first)
            })
            .await?;
        let shown = values(&device);
        for told in told.iter().filter(|told| told.unit == unit) {
            let series = match (unit, told.address) {
                (7, 1) => "hw.temperature".to_owned(),
                (7, _) => "hw.humidity".to_owned(),
                _ => told.series(),
            };
            tally.same(&format!("{id} {series}"), shown.get(&series).copied(), Some(told.wanted()));
        }
        tally.holds(&format!("{id} shows a broken probe"), !shown.contains_key("told.broken"));
    }
    Ok(())
}

/// What a unit refuses, and a unit that is not there.
async fn refuses_and_is_silent(shop: &Shop, tally: &mut Tally, way: &str) -> anyhow::Result<()> {
    let refused = shop.until_state(&format!("{way}-refused"), "fault").await?;
    tally.same(
        &format!("{way}: kind of a missing address"),
        refused["last_error"]["kind"].as_str(),
        Some("exception"),
    );
    let text = refused["last_error"]["text"].as_str().unwrap_or_default();
    tally.holds(&format!("{way}: {text:?} names no exception 2"), text.ends_with("illegal data address"));
    let broken = shop.device(&format!("{way}-all")).await?;
    tally.holds(
        &format!("{way}: a broken probe is not counted"),
        broken["errors"]["parse"].as_u64() > Some(0),
    );
    let absent = shop.until_state(&format!("{way}-absent"), "unreachable").await?;
    tally.same(&format!("{way}: kind of silence"), absent["last_error"]["kind"].as_str(), Some("timeout"));
    for device in [&refused, &absent] {
        tally.holds(&format!("{way}: no answer is a value"), values(device).is_empty());
    }
    Ok(())
}

/// The silent unit does not keep the others from their pace.
async fn keeps_its_pace(shop: &Shop, tally: &mut Tally, way: &str) -> anyhow::Result<()> {
    let id = format!("{way}-second");
    let before = shop.device(&id).await?;
    let (since, first) = (Instant::now(), before["samples"].as_u64().unwrap_or_default());
    shop.until(&id, "its readings", |d| d["samples"].as_u64() >= Some(first + u64::from(READINGS))).await?;
    let (took, at_most) = (since.elapsed(), Duration::from_millis(u64::from(INTERVAL_MS * READINGS * 3 / 2)));
    tally.holds(&format!("{id}: {READINGS} readings took {took:?}, at most {at_most:?}"), took <= at_most);
    Ok(())
}

/// What was asked, as pymodbus has it: what was to be read and nothing else, neighbours together.
fn asked(tally: &mut Tally, server: &Server) -> anyhow::Result<usize> {
    let log = std::fs::read_to_string(server.asked())?;
    let requests: Vec<[u16; 4]> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let distinct: BTreeSet<[u16; 4]> = requests.iter().copied().collect();
    tally.same(&format!("{}: what was asked", server.way[0]), distinct, expected());
    Ok(requests.len())
}

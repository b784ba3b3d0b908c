//! socat joins two pseudo-terminals; at one end is the agent, at the other scales and a barcode scanner that pyserial
//! speaks for, in a script made of tables of bytes. What the devices were told to say must be what the agent shows, and
//! what was scanned must be nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::shop::{Shop, values};
use super::tally::Tally;
use crate::peers::Shown;
use crate::peers::program::{self, Program};
use crate::wait;

/// Scales that are asked, with what they may be asked, and one that talks.
const SCALES: [(&str, &[&str]); 5] = [
    ("toledo_8217", &["57"]),
    ("nci", &["570d"]),
    ("cas", &["05", "11"]),
    ("toledo_br", &["05"]),
    ("cas_stream", &[]),
];
const SCANNER: &str = "scanner";
/// How long a port may take to be there.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a replugged device may take to be known.
const PLUGGED_WITHIN: Duration = Duration::from_secs(2);
/// What must be nowhere.
const SCANNED: [&str; 5] =
    ["5901234123457", "4111111111111111", "LOYALTY-70042", "wallet-9f31", "4006381333930"];

pub(crate) async fn run(dir: &Path) -> anyhow::Result<Shown> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/venv/bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/serial_devices.py");
    let socat =
        program::version(Path::new("/bin/sh"), &["-c", "socat -V | sed -n 's/ version//; 2s/ on .*//p'"])?;
    let pyserial =
        program::version(&python, &["-c", "import serial; print('pyserial', serial.__version__)"])?;

    let roles: Vec<&str> = SCALES.iter().map(|(role, _)| *role).chain([SCANNER]).collect();
    let mut cables = BTreeMap::from([(SCANNER, joined(dir, SCANNER, "").await?)]);
    for (role, _) in SCALES {
        cables.insert(role, plug(dir, role).await?);
    }
    let mut arguments = vec![script.into_os_string(), dir.into()];
    arguments
        .extend(roles.iter().map(|role| format!("{role}={}", end(dir, role, "device").display()).into()));
    let devices = Program::start(&python, &arguments, &[], &dir.join("devices.log"))?;
    let shop = Shop::open(dir, &configuration(dir)).await?;

    let mut tally = Tally::default();
    let compared = async {
        weights(dir, &shop, &mut tally).await?;
        without_weight(dir, &shop, &mut tally).await?;
        trouble(dir, &shop, &mut tally).await?;
        held(dir, &shop, &mut cables, &mut tally).await?;
        scanner(dir, &shop, &mut tally).await?;
        let slowest = replug(dir, &shop, &mut cables, &mut tally).await?;
        asked(dir, &mut tally)?;
        nowhere(dir, &shop, &mut tally).await?;
        anyhow::Ok(slowest)
    };
    let slowest = compared.await.with_context(|| devices.said())?;
    shop.close().await?;
    let more = format!("{} devices; replugged and known within {slowest:?}", roles.len());
    Ok(tally.shown(format!("{socat}, {pyserial}"), more))
}

fn configuration(dir: &Path) -> String {
    let mut text = String::new();
    for (role, _) in SCALES {
        let port = end(dir, role, "agent");
        let more = "interval: 250ms, timeout: 200ms, jitter: 50ms, stale_after: 1s, weight: true";
        text += &format!(
            "  {}:\n    scale: {{ port: {}, protocol: {role}, {more} }}\n",
            id(role),
            port.display()
        );
    }
    let port = end(dir, SCANNER, "agent");
    text + &format!("  {SCANNER}:\n    scanner: {{ port: {}, no_read: NR, length: true }}\n", port.display())
}

fn id(role: &str) -> String {
    role.replace('_', "-")
}

/// One end of a cable.
fn end(dir: &Path, role: &str, whose: &str) -> PathBuf {
    dir.join(format!("{role}.{whose}"))
}

/// A cable between the agent and a device.
async fn plug(dir: &Path, role: &str) -> anyhow::Result<Program> {
    // Otherwise socat has the agent's end open itself.
    joined(dir, role, ",ptmx").await
}

async fn joined(dir: &Path, role: &str, how: &str) -> anyhow::Result<Program> {
    let ends = ["agent", "device"].map(|whose| end(dir, role, whose));
    let [agent, device] = ends.each_ref().map(|end| format!("pty,rawer,link={}", end.display()));
    let arguments = [agent + how, device];
    let socat = Program::start(Path::new("socat"), &arguments, &[], &dir.join(format!("{role}.socat.log")))?;
    let there = async || Ok(ends.iter().all(|end| end.exists()).then_some(()));
    wait::until("socat to join two ports", LIMIT, there).await.with_context(|| socat.said())?;
    Ok(socat)
}

/// Tells a device what to say, all at once.
fn say(dir: &Path, role: &str, words: &str) -> anyhow::Result<()> {
    let new = dir.join(format!("{role}.new"));
    std::fs::write(&new, words)?;
    Ok(std::fs::rename(new, dir.join(role))?)
}

/// Tells all scales what to say.
fn all_say(dir: &Path, words: &str) -> anyhow::Result<()> {
    SCALES.iter().try_for_each(|(role, _)| say(dir, role, words))
}

fn value(device: &Value, name: &str) -> Option<f64> {
    values(device).get(&format!("retail.scale.{name}")).copied()
}

fn weighs(device: &Value, kg: f64) -> bool {
    // One sends pounds, in thousandths of them.
    value(device, "weight").is_some_and(|weight| (weight - kg).abs() < 0.0006)
}

/// Weights at rest.
async fn weights(dir: &Path, shop: &Shop, tally: &mut Tally) -> anyhow::Result<()> {
    for kg in [1.234, 15.005, 0.004] {
        all_say(dir, &format!("stable {kg}"))?;
        for (role, _) in SCALES {
            let device = shop.until(&id(role), &format!("{role}: {kg} kg"), |d| weighs(d, kg)).await?;
            let weight = value(&device, "weight");
            let is_exact = role == "nci" || weight == Some(kg);
            tally.holds(&format!("{role}: {weight:?} instead of {kg} kg"), is_exact);
            tally.same(&format!("{role}: state at {kg} kg"), &device["state"], &Value::from("ok"));
            if kg < 0.02 {
                tally.same(&format!("{role}: drift"), value(&device, "idle.weight"), weight);
                tally.same(&format!("{role}: zero at {kg} kg"), value(&device, "zero"), Some(0.0));
            }
        }
    }
    Ok(())
}

/// A scale without a weight is a scale that is well: it counts, and weighs nothing.
async fn without_weight(dir: &Path, shop: &Shop, tally: &mut Tally) -> anyhow::Result<()> {
    for (words, counter) in [("motion", "unstable"), ("over", "overload"), ("under", "underload")] {
        all_say(dir, words)?;
        for (role, _) in SCALES {
            let what = format!("{role}: {words}");
            let before = shop.until(&id(role), &what, |d| value(d, counter) > Some(0.0)).await?;
            let after = shop.until(&id(role), &what, |d| value(d, counter) > value(&before, counter)).await?;
            tally.same(&format!("{what}: good readings"), value(&after, "reads"), value(&before, "reads"));
            tally.same(&format!("{what}: state"), &after["state"], &Value::from("ok"));
        }
    }
    Ok(())
}

/// Garbage and silence are errors of their kind, and pass.
async fn trouble(dir: &Path, shop: &Shop, tally: &mut Tally) -> anyhow::Result<()> {
    all_say(dir, "garbage")?;
    for (role, _) in SCALES {
        let device = shop.until_state(&id(role), "fault").await?;
        let framing = device["errors"]["framing"].as_u64();
        tally.holds(&format!("{role}: garbage is {}", device["errors"]), framing > Some(0));
    }
    all_say(dir, "silent")?;
    for (role, _) in SCALES.into_iter().filter(|(_, asked)| !asked.is_empty()) {
        let device = shop.until_state(&id(role), "unreachable").await?;
        tally.same(&format!("{role}: silence"), &device["last_error"]["kind"], &Value::from("timeout"));
    }
    all_say(dir, "stable 2.5")?;
    for (role, _) in SCALES {
        let is_back = |device: &Value| device["state"] == "ok" && weighs(device, 2.5);
        shop.until(&id(role), &format!("{role}: 2.5 kg"), is_back).await?;
    }
    Ok(())
}

/// A port that socat has open as well is left alone, and its holder is named, until that lets go of it.
async fn held(
    dir: &Path,
    shop: &Shop,
    cables: &mut BTreeMap<&str, Program>,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let is_busy = |device: &Value| device["last_error"]["kind"] == "busy_port";
    let device = shop.until(SCANNER, "busy_port", is_busy).await?;
    let text = device["last_error"]["text"].as_str().unwrap_or_default();
    tally.holds(&format!("scanner: the holder is not named: {text}"), text.contains("(socat)"));
    tally.same("scanner: state of a held port", &device["state"], &Value::from("unreachable"));
    cables.remove(SCANNER);
    cables.insert(SCANNER, plug(dir, SCANNER).await?);
    shop.until_state(SCANNER, "ok").await?;
    Ok(())
}

async fn scanner(dir: &Path, shop: &Shop, tally: &mut Tally) -> anyhow::Result<()> {
    let scans: [&[u8]; 14] = [
        b"]E05901234123457\r",
        b"]E00036000291452\r\n",
        b"]E05901234123457\r]E05901234123457\r",
        b"]E473513537\r",
        b"]C0LOYALTY-70042\r",
        b"]C10109501101530003\x1d10ABC\r",
        b"]A0ABC-123\r",
        b"]Q1https://pay.example/wallet-9f31\r",
        b"]d20109501101530003\r",
        b"4111111111111111\r",
        b"NR\r",
        b"]E04006381333930\r",
        b"]L0no end but a pause",
        b"\x00\xff\xfe4111111111111111\x80\r",
    ];
    let hex = |scan: &&[u8]| scan.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    say(dir, SCANNER, &scans.iter().map(hex).collect::<Vec<_>>().join("\n"))?;
    let sent = async || Ok((!dir.join(SCANNER).exists()).then_some(()));
    wait::until("the scanner to scan", LIMIT, sent).await?;
    let total = |device: &Value| values(device).get("retail.scanner.scans").copied();
    let device = shop.until(SCANNER, "all scans", |d| total(d) == Some(12.0)).await?;
    let shown = values(&device);
    for (series, theirs) in [
        ("scans", 12.0),
        ("scans{symbology=\"ean13\"}", 4.0),
        ("scans{symbology=\"ean8\"}", 1.0),
        ("scans{symbology=\"code128\"}", 1.0),
        ("scans{symbology=\"gs1_128\"}", 1.0),
        ("scans{symbology=\"code39\"}", 1.0),
        ("scans{symbology=\"qr\"}", 1.0),
        ("scans{symbology=\"gs1_datamatrix\"}", 1.0),
        ("scans{symbology=\"pdf417\"}", 1.0),
        ("scans{symbology=\"unknown\"}", 1.0),
        ("no_reads", 1.0),
        ("check_digit.errors", 1.0),
        ("duplicates", 2.0),
    ] {
        tally.same(
            &format!("scanner: {series}"),
            shown.get(&format!("retail.scanner.{series}")).copied(),
            Some(theirs),
        );
    }
    let device = shop.until(SCANNER, "framing", |d| d["errors"]["framing"].as_u64() > Some(0)).await?;
    tally.same("scanner: errors of garbage", device["errors"]["framing"].as_u64(), Some(1));
    Ok(())
}

/// Pulls all cables and plugs them in again; says how long it took until all devices were known.
async fn replug(
    dir: &Path,
    shop: &Shop,
    cables: &mut BTreeMap<&str, Program>,
    tally: &mut Tally,
) -> anyhow::Result<Duration> {
    let missing = |device: &Value| device["errors"]["missing_port"].as_u64();
    let mut before = BTreeMap::new();
    for role in cables.keys() {
        before.insert(*role, (missing(&shop.device(&id(role)).await?), plugged(dir, &id(role))?));
    }
    cables.clear();
    for (role, (missed, _)) in &before {
        let is_gone = |device: &Value| device["state"] == "unreachable" && missing(device) > *missed;
        let device = shop.until(&id(role), &format!("{role}: no port"), is_gone).await?;
        let last = &device["last_error"]["kind"];
        tally.same(&format!("{role}: the last error"), last, &Value::from("missing_port"));
    }
    for role in before.keys() {
        cables.insert(role, plug(dir, role).await?);
    }
    let since = Instant::now();
    let mut slowest = Duration::ZERO;
    for (role, (_, events)) in &before {
        let known = async || Ok((plugged(dir, &id(role))? > *events).then_some(()));
        wait::until(&format!("the event that {role} is plugged in"), LIMIT, known).await?;
        slowest = since.elapsed();
        tally.holds(&format!("{role}: known {slowest:?} after it was plugged in"), slowest <= PLUGGED_WITHIN);
        shop.until_state(&id(role), "ok").await?;
    }
    Ok(slowest)
}

/// What has been written into the spool so far: bytes that are there stay there for a while.
fn spooled(dir: &Path) -> anyhow::Result<Vec<u8>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir.join("state"))? {
        let path = entry?.path();
        if path.is_file() {
            all.extend(std::fs::read(path)?);
        }
    }
    Ok(all)
}

fn holds(all: &[u8], word: &str) -> usize {
    all.windows(word.len()).filter(|window| *window == word.as_bytes()).count()
}

/// Events that a device was plugged in. A page of the spool may stand in its files more than once, so they are told apart
/// by their time, which stands between device and kind.
fn plugged(dir: &Path, id: &str) -> anyhow::Result<usize> {
    const KIND: &[u8] = b"device.plugged";
    let all = spooled(dir)?;
    let mut found = BTreeSet::new();
    for (at, _) in all.iter().enumerate().filter(|(_, byte)| **byte == KIND[0]) {
        let before = &all[at.saturating_sub(id.len() + size_of::<i64>())..at];
        if all[at..].starts_with(KIND)
            && let Some(begin) = before.windows(id.len()).position(|window| window == id.as_bytes())
        {
            found.insert(before[begin..].to_vec());
        }
    }
    Ok(found.len())
}

/// What the scales were asked.
fn asked(dir: &Path, tally: &mut Tally) -> anyhow::Result<()> {
    for (role, allowed) in SCALES.into_iter().filter(|(_, allowed)| !allowed.is_empty()) {
        let text = std::fs::read_to_string(dir.join(format!("{role}.asked")))?;
        let others: Vec<&str> = text.lines().filter(|line| !allowed.contains(line)).collect();
        tally.same(&format!("{role}: asked something else"), others, Vec::new());
    }
    let log = std::fs::read_to_string(dir.join("devices.log"))?;
    tally.same("written to who only talks", log.contains("only talks"), false);
    Ok(())
}

/// Looks for what was scanned.
async fn nowhere(dir: &Path, shop: &Shop, tally: &mut Tally) -> anyhow::Result<()> {
    let mut all = spooled(dir)?;
    tally.holds("the spool holds no scans at all", holds(&all, "retail.scanner.scans") > 0);
    all.extend(shop.device(SCANNER).await?.to_string().into_bytes());
    for word in SCANNED {
        tally.same(&format!("{word} in spool and status"), holds(&all, word), 0);
    }
    Ok(())
}

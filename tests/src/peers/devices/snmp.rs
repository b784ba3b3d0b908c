//! Two agents of SNMP: snmpsim says what stands in `tests/peers/snmp/public.snmprec`, which is also the judge; Net-SNMP's snmpd
//! tells of this machine, and is strict about version 3.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::shop::{Shop, values};
use super::tally::Tally;
use crate::peers::Shown;
use crate::peers::program::{self, Program};
use crate::wait;

const LIMIT: Duration = Duration::from_secs(20);
const SIGNED: &str = "signed with this";
const HIDDEN: &str = "hidden with this";

/// What stands in the record, by series: object, and what its number is multiplied by. Version 1 has no counters of 64 bits.
const TOLD: &[(&str, &str, f64)] = &[
    ("retail.device.uptime", "1.3.6.1.2.1.1.3.0", 0.01),
    ("retail.printer.pages", "1.3.6.1.2.1.43.10.2.1.4.1.1", 1.0),
    ("retail.ups.alarms", "1.3.6.1.2.1.33.1.6.1.0", 1.0),
    ("hw.battery.charge", "1.3.6.1.2.1.33.1.2.4.0", 0.01),
    ("hw.battery.time_left", "1.3.6.1.2.1.33.1.2.3.0", 60.0),
    ("hw.temperature", "1.3.6.1.2.1.33.1.2.7.0", 1.0),
    ("hw.voltage{hw.sensor_location=\"battery\"}", "1.3.6.1.2.1.33.1.2.5.0", 0.1),
    ("hw.voltage{hw.sensor_location=\"input\"}", "1.3.6.1.2.1.33.1.3.3.1.3.1", 1.0),
    ("hw.voltage{hw.sensor_location=\"input.2\"}", "1.3.6.1.2.1.33.1.3.3.1.3.2", 1.0),
    ("hw.voltage{hw.sensor_location=\"output\"}", "1.3.6.1.2.1.33.1.4.4.1.2.1", 1.0),
    ("retail.ups.load", "1.3.6.1.2.1.33.1.4.4.1.5.1", 0.01),
    ("hw.temperature{sensor=\"1001\"}", "1.3.6.1.2.1.99.1.1.1.4.1001", 0.1),
    ("hw.temperature{hw.sensor_location=\"freezer\"}", "1.3.6.1.4.1.99999.1.1.0", 1.0),
];
const WIDE: &[(&str, &str, f64)] = &[
    ("hw.network.io.receive{interface=\"GigabitEthernet1/0/1\"}", "1.3.6.1.2.1.31.1.1.1.6.1", 1.0),
    ("hw.network.io.transmit{interface=\"GigabitEthernet1/0/1\"}", "1.3.6.1.2.1.31.1.1.1.10.1", 1.0),
    // The second has none, so its counters of 32 bits are read.
    ("hw.network.io.receive{interface=\"GigabitEthernet1/0/2\"}", "1.3.6.1.2.1.2.2.1.10.2", 1.0),
];
const NARROW: &[(&str, &str, f64)] = &[
    ("hw.network.io.receive{interface=\"GigabitEthernet1/0/1\"}", "1.3.6.1.2.1.2.2.1.10.1", 1.0),
    ("hw.network.io.transmit{interface=\"GigabitEthernet1/0/2\"}", "1.3.6.1.2.1.2.2.1.16.2", 1.0),
];
const APC: &[(&str, &str, f64)] = &[
    ("hw.battery.charge", "1.3.6.1.4.1.318.1.1.1.2.2.1.0", 0.01),
    ("hw.battery.time_left", "1.3.6.1.4.1.318.1.1.1.2.2.3.0", 0.01),
    ("hw.temperature", "1.3.6.1.4.1.318.1.1.1.2.2.2.0", 1.0),
    ("retail.ups.load", "1.3.6.1.4.1.318.1.1.1.4.2.3.0", 0.01),
];
/// What is made of more than one number of the record: bits A4 are lowPaper, lowToner and jammed; 500 of 2,000; 100 of 250.
const MADE: &[(&str, f64)] = &[
    ("hw.errors{interface=\"GigabitEthernet1/0/1\"}", 15.0),
    ("hw.network.up{interface=\"GigabitEthernet1/0/1\"}", 1.0),
    ("hw.network.up{interface=\"GigabitEthernet1/0/2\"}", 0.0),
    ("hw.status", 1.0),
    ("hw.status{hw.id=\"own\"}", 0.0),
    ("retail.printer.cover.open", 0.0),
    ("retail.printer.jammed", 1.0),
    ("retail.printer.offline", 0.0),
    ("retail.printer.paper.state", 1.0),
    ("retail.printer.supply.level{supply=\"1.1\"}", 0.25),
    ("retail.printer.toner.state", 1.0),
    ("retail.printer.tray.level{tray=\"1.1\"}", 0.4),
    ("retail.ups.low_battery", 1.0),
    ("retail.ups.on_battery", 1.0),
];
/// Levels of -3 and -2, a sensor that is not well, an interface whose name is free text, and 32767 where that stands for none.
const NOT_SHOWN: &[&str] = &[
    "retail.printer.supply.level{supply=\"1.2\"}",
    "retail.printer.supply.level{supply=\"1.3\"}",
    "retail.printer.tray.level{tray=\"1.2\"}",
    "hw.temperature{sensor=\"1002\"}",
    "hw.network.up{interface=\"to the back office\"}",
    "hw.temperature{hw.sensor_location=\"none\"}",
];

fn free_port() -> anyhow::Result<u16> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn record(file: &Path) -> anyhow::Result<BTreeMap<String, f64>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let fields = text.lines().map(|line| line.split('|').collect::<Vec<_>>());
    Ok(fields.filter_map(|fields| Some((fields[0].to_owned(), fields[2].parse().ok()?))).collect())
}

fn start_snmpsim(dir: &Path, data: &Path, port: u16) -> anyhow::Result<Program> {
    let program =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/venv/bin/snmpsim-command-responder");
    let data = format!("--data-dir={}", data.display());
    let cache = format!("--cache-dir={}", dir.join("snmpsim-cache").display());
    let endpoint = format!("--agent-udpv4-endpoint=127.0.0.1:{port}");
    let (signed, hidden) = (format!("--v3-auth-key={SIGNED}"), format!("--v3-priv-key={HIDDEN}"));
    let args = [
        "--process-user=root",
        "--process-group=root",
        &cache,
        "--v3-engine-id=80004fb805636c6f75644dab22cc",
        &data,
        &endpoint,
        "--v3-user=reader",
        &signed,
        "--v3-auth-proto=SHA256",
        &hidden,
        "--v3-priv-proto=AES128",
    ];
    // It would look for files of its own in the home of whoever runs this.
    Program::start(&program, &args, &[("HOME", dir.display().to_string())], &dir.join("snmpsim.log"))
}

fn start_snmpd(dir: &Path, port: u16) -> anyhow::Result<Program> {
    let folder = dir.join("snmpd");
    std::fs::create_dir_all(&folder)?;
    let config = format!(
        "agentAddress udp:127.0.0.1:{port}\ncreateUser reader SHA-256 \"{SIGNED}\" AES \"{HIDDEN}\"\n\
         createUser elder SHA \"{SIGNED}\" AES \"{HIDDEN}\"\ncreateUser signer SHA-512 \"{SIGNED}\"\n\
         rouser reader authPriv\nrouser elder authPriv\nrouser signer authNoPriv\n"
    );
    std::fs::write(folder.join("snmpd.conf"), config)?;
    // Without this it would keep its users and its number of starts in the system.
    let environment = [("SNMP_PERSISTENT_DIR", folder.display().to_string()), ("MIBS", String::new())];
    let config = folder.join("snmpd.conf").display().to_string();
    Program::start(
        Path::new("/usr/sbin/snmpd"),
        &["-f", "-Lo", "-C", "-c", &config],
        &environment,
        &dir.join("snmpd.log"),
    )
}

fn device(id: &str, port: u16, more: &str) -> String {
    format!(
        "  {id}:\n    snmp: {{ target: '127.0.0.1:{port}', interval: 1s, timeout: 400ms, jitter: 1ms, {more} }}\n"
    )
}

fn user(name: &str, auth: (&str, &str), privacy: Option<&str>, context: &str) -> String {
    let (protocol, password) = auth;
    let privacy = privacy
        .map(|password| format!(", privacy: {{ protocol: aes128, password: {password} }}"))
        .unwrap_or_default();
    format!(
        "version: 3, v3: {{ user: {name}, auth: {{ protocol: {protocol}, password: {password} }}{privacy}, context: '{context}' }}"
    )
}

/// GET of hrPrinterDetectedErrorState.1, in version 2c.
const ASKED: &[u8] =
    b"\x30\x29\x02\x01\x01\x04\x06public\xa0\x1c\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x11\
\x30\x0f\x06\x0b\x2b\x06\x01\x02\x01\x19\x03\x05\x01\x02\x01\x05\x00";

/// snmpsim says that it listens before it does, so it is asked. Who asks too early is refused, which is not what is to be seen.
async fn until_it_answers(program: &Program, port: u16) -> anyhow::Result<()> {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(("127.0.0.1", port)).await?;
    let answers = async || {
        // A refusal is told by the next call, whichever that is.
        if socket.send(ASKED).await.is_err() {
            return Ok(None);
        }
        let mut answer = [0; 1_500];
        let read = tokio::time::timeout(Duration::from_millis(200), socket.recv(&mut answer)).await;
        Ok(matches!(read, Ok(Ok(_))).then_some(()))
    };
    wait::until("snmpsim to answer", LIMIT, answers).await.with_context(|| program.said())
}

/// Net-SNMP says its version once its ports are open.
async fn until_it_has_said(program: &Program, log: &Path, what: &str) -> anyhow::Result<()> {
    let has_said = async || {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        Ok(text.contains(what).then_some(()))
    };
    wait::until(what, LIMIT, has_said).await.with_context(|| program.said())
}

/// Devices on both agents: each version, and what goes wrong.
fn devices(sim: u16, snmpd: u16) -> String {
    let all = "views: [system, interfaces, printer, ups, sensors], oids: [\
        { metric: 'hw.temperature{hw.sensor_location=\"freezer\"}', oid: 1.3.6.1.4.1.99999.1.1.0 }, \
        { metric: 'hw.status{hw.id=\"own\"}', oid: 1.3.6.1.4.1.99999.1.2.0, states: { 1: 1, 2: 0 } }, \
        { metric: 'hw.temperature{hw.sensor_location=\"none\"}', oid: 1.3.6.1.4.1.99999.1.3.0, invalid: [32767] }]";
    let reader = |privacy, context| user("reader", ("sha256", SIGNED), Some(privacy), context);
    let interfaces = "views: [system, interfaces]";
    [
        device("v1", sim, &format!("version: 1, {all}")),
        device("v2c", sim, &format!("version: 2c, {all}")),
        device("v3", sim, &format!("{}, {all}", reader(HIDDEN, "public"))),
        device("apc", sim, "version: 2c, views: [apc_ups]"),
        device("community", sim, "version: 2c, community: unknown"),
        device("object", sim, "version: 2c, oids: [{ metric: a.b, oid: 1.3.6.1.4.1.99999.9.0 }]"),
        device("net-snmp", snmpd, &format!("{}, {interfaces}", reader(HIDDEN, ""))),
        device(
            "sha1",
            snmpd,
            &format!("{}, {interfaces}", user("elder", ("sha1", SIGNED), Some(HIDDEN), "")),
        ),
        device("signed", snmpd, &format!("{}, {interfaces}", user("signer", ("sha512", SIGNED), None, ""))),
        device("user", snmpd, &user("nobody", ("sha256", SIGNED), Some(HIDDEN), "")),
        device("password", snmpd, &user("reader", ("sha256", "signed with that"), Some(HIDDEN), "")),
        device("privacy", snmpd, &reader("hidden with that", "")),
    ]
    .concat()
}

fn compare(
    tally: &mut Tally,
    id: &str,
    device: &Value,
    told: &[(&str, &str, f64)],
    record: &BTreeMap<String, f64>,
) {
    let shown = values(device);
    for (series, object, scale) in told {
        // A product with 0.1 has digits that stand in no record.
        let told = record.get(*object).map(|number| (number * scale * 1e6).round() / 1e6);
        let shown = shown.get(*series).map(|number| (number * 1e6).round() / 1e6);
        tally.same(&format!("{id}: {series}"), shown, told);
    }
}

/// Bytes that the kernel has counted on the loopback interface.
fn loopback_received() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/sys/class/net/lo/statistics/rx_bytes")?;
    Ok(text.trim().parse()?)
}

async fn compare_with_the_record(
    shop: &Shop,
    tally: &mut Tally,
    record: &BTreeMap<String, f64>,
) -> anyhow::Result<()> {
    for id in ["v1", "v2c", "v3"] {
        let device = shop.until_state(id, "ok").await?;
        compare(tally, id, &device, TOLD, record);
        compare(tally, id, &device, if id == "v1" { NARROW } else { WIDE }, record);
        let shown = values(&device);
        for (series, told) in MADE {
            tally.same(&format!("{id}: {series}"), shown.get(*series).copied(), Some(*told));
        }
        for series in NOT_SHOWN {
            tally.holds(&format!("{id}: {series} is shown"), !shown.contains_key(*series));
        }
        tally.holds(&format!("{id}: a name is told"), !device.to_string().contains("back office"));
    }
    let apc = shop.until_state("apc", "ok").await?;
    compare(tally, "apc", &apc, APC, record);
    tally.same("apc: on battery", values(&apc).get("retail.ups.on_battery").copied(), Some(0.0));
    tally.same("apc: replace", values(&apc).get("retail.ups.replace_battery").copied(), Some(1.0));
    Ok(())
}

async fn compare_with_the_machine(shop: &Shop, tally: &mut Tally) -> anyhow::Result<()> {
    let before = loopback_received()?;
    for id in ["net-snmp", "sha1", "signed"] {
        let received = "hw.network.io.receive{interface=\"lo\"}";
        shop.until_state(id, "ok").await?;
        // Net-SNMP keeps its table for some seconds.
        let has_moved = |device: &Value| values(device).get(received).is_some_and(|count| *count >= before);
        let device = shop.until(id, "counters that go on", has_moved).await?;
        let after = loopback_received()?;
        let shown = values(&device);
        tally.holds(&format!("{id}: {received} is beyond the kernel's"), shown[received] <= after);
        tally.same(&format!("{id}: lo"), shown.get("hw.network.up{interface=\"lo\"}").copied(), Some(1.0));
        tally.holds(
            &format!("{id}: its uptime"),
            shown.get("retail.device.uptime").is_some_and(|up| (0.0..120.0).contains(up)),
        );
    }
    Ok(())
}

async fn see_what_goes_wrong(shop: &Shop, tally: &mut Tally) -> anyhow::Result<()> {
    for (id, state, kind) in [
        ("community", "unreachable", "timeout"),
        ("object", "ok", "unsupported"),
        ("user", "unreachable", "denied"),
        ("password", "unreachable", "denied"),
        // Who cannot decrypt a question cannot answer it.
        ("privacy", "unreachable", "timeout"),
    ] {
        let device = shop.until_state(id, state).await?;
        let kinds: Vec<_> =
            device["errors"].as_object().into_iter().flatten().map(|(kind, _)| kind.clone()).collect();
        tally.same(id, kinds, vec![kind.to_owned()]);
    }
    Ok(())
}

pub(crate) async fn run(dir: &Path) -> anyhow::Result<Shown> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/venv/bin/python");
    let ask = "import importlib.metadata as m; print('snmpsim', m.version('snmpsim'))";
    let version = program::version(&venv, &["-c", ask])?;
    let snmpd_version = std::process::Command::new("/usr/sbin/snmpd").arg("-v").output()?.stdout;
    let snmpd_version = String::from_utf8_lossy(&snmpd_version);
    let snmpd_version =
        snmpd_version.lines().find(|line| !line.is_empty()).unwrap_or_default().trim().to_owned();

    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/snmp/public.snmprec");
    let data = dir.join("snmpsim-data");
    std::fs::create_dir_all(&data)?;
    std::fs::copy(&original, data.join("public.snmprec"))?;
    let record = record(&original)?;
    let (sim_port, snmpd_port) = (free_port()?, free_port()?);
    let sim = start_snmpsim(dir, &data, sim_port)?;
    let snmpd = start_snmpd(dir, snmpd_port)?;
    until_it_answers(&sim, sim_port).await?;
    until_it_has_said(&snmpd, &dir.join("snmpd.log"), "NET-SNMP version").await?;
    let shop = Shop::open(dir, &devices(sim_port, snmpd_port)).await?;
    let mut tally = Tally::default();
    compare_with_the_record(&shop, &mut tally, &record).await.with_context(|| sim.said())?;
    compare_with_the_machine(&shop, &mut tally).await.with_context(|| snmpd.said())?;
    see_what_goes_wrong(&shop, &mut tally).await?;

    drop((sim, snmpd));
    for id in ["v1", "v2c", "v3", "net-snmp"] {
        let device = shop.until_state(id, "unreachable").await?;
        tally.holds(&format!("{id}: nobody there is refused"), device["errors"]["refused"].is_u64());
    }
    // It comes back with its door open, and its paper out.
    let text = std::fs::read_to_string(&original)?.replace("|4x|A4", "|4x|48");
    std::fs::write(data.join("public.snmprec"), text)?;
    let _sim = start_snmpsim(dir, &data, sim_port)?;
    let _snmpd = start_snmpd(dir, snmpd_port)?;
    for id in ["v1", "v2c", "v3"] {
        let is_open = |device: &Value| {
            device["state"] == "ok" && values(device).get("retail.printer.cover.open") == Some(&1.0)
        };
        let device = shop.until(id, "an open door", is_open).await?;
        tally.same(
            &format!("{id}: paper"),
            values(&device).get("retail.printer.paper.state").copied(),
            Some(2.0),
        );
    }
    // It has started once more than the agent knew, and its clock began again.
    shop.until_state("net-snmp", "ok").await?;
    tally.holds("an agent of version 3 that started again is read", true);
    shop.close().await?;
    Ok(tally.shown(version, format!("with {snmpd_version}; both killed and started again")))
}

//! Shops for tests and pictures: one where all is well, one where much is wrong, one with sixty devices.

use std::collections::BTreeMap;
use std::net::IpAddr;

use storepulse_shared::batch::Loss;
use storepulse_shared::ids::DeviceId;

use super::strip::Days;
use crate::board::{Board, DeviceState, DeviceStatus, Exchange, LastError, SLOT_MS, SLOTS, Slot, Strip};
use crate::finding::{Finding, Problem};
use crate::language::Language;
use crate::local::reader::{Reader, Session};
use crate::spool::{LaneStatus, Quarantined, SpoolStatus, WritesStatus};
use crate::status::{AgentStatus, Identity, Interface, Machine, Network, Places, Verdict};
use crate::time::{Authority, ClockStatus};
use crate::uplink::{Cause, UplinkBoard, UplinkState, UplinkStatus};

/// Now, in these shops: 2026-11-22 10:42:10 UTC.
pub(super) const NOW: i64 = 1_795_344_130_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

pub(super) fn id(text: &str) -> DeviceId {
    text.parse().unwrap()
}

/// Who may only look.
pub(super) fn reader(language: Language) -> Reader {
    Reader { language, session: None, can_sign_in: true }
}

/// Who knew the PIN.
pub(super) fn signed_in(language: Language) -> Reader {
    let session = Session { csrf: "c5rf-t0ken".to_owned(), minutes_left: 27 };
    Reader { language, session: Some(session), can_sign_in: true }
}

/// A device that answered so long ago.
pub(super) fn device(
    kind: &'static str,
    state: Option<DeviceState>,
    age_ms: i64,
    values: &[(&str, f64)],
) -> DeviceStatus {
    let (board, name) = (Board::default(), id("any"));
    board.add(&name, kind);
    board.good(&name, NOW - age_ms, values);
    let mut status = board.snapshot().remove(&name).unwrap();
    status.state = state;
    status.samples = 12_345;
    status
}

/// With failed readings of this kind.
pub(super) fn failed(
    mut device: DeviceStatus,
    count: u64,
    age_ms: i64,
    kind: &'static str,
    text: &str,
) -> DeviceStatus {
    let at_ms = NOW - age_ms;
    let (asked, answered) = ("01 03 00 00 00 02 c4 0b".to_owned(), String::new());
    let bytes = Some(Exchange { at_ms, asked, answered });
    device.last_error = Some(LastError { at_ms, kind, text: text.to_owned(), bytes });
    device.errors.insert(kind, count);
    device
}

fn lane(lane: &'static str, waiting: u64, oldest_ms: Option<i64>) -> LaneStatus {
    LaneStatus {
        lane,
        open_rows: 3,
        waiting_batches: waiting.div_ceil(600),
        waiting_samples: waiting,
        waiting_bytes: waiting * 3,
        oldest_ms,
    }
}

fn uplink() -> UplinkStatus {
    let mut uplink = UplinkBoard::default().get();
    uplink.state = UplinkState::Connected;
    uplink.last_ack_ms = Some(NOW - 8_000);
    uplink.acked_batches = 4_711;
    uplink.bytes_per_s = Some(125_000);
    uplink
}

fn spool() -> SpoolStatus {
    SpoolStatus {
        epoch: None,
        lanes: vec![lane("critical", 0, None), lane("normal", 0, Some(NOW - 5_000)), lane("bulk", 0, None)],
        epochs: Vec::new(),
        acked_batches: 812,
        quarantine: Vec::new(),
        losses: 0,
        lost_samples: 0,
        lost_samples_day: 0,
        latest_losses: Vec::new(),
        bytes: 18_400_000,
        writes: WritesStatus { day: 20_000, bytes: 0, bytes_max: None, commits: 0, window_ms: 0 },
    }
}

fn machine() -> Machine {
    Machine {
        host_name: Some("gateway-017".to_owned()),
        system: Some("Debian GNU/Linux 13 (trixie)".to_owned()),
        kernel: Some("6.12.48".to_owned()),
        uptime_s: Some(1_209_600),
        disk_bytes: Some(31_900_000_000),
        disk_free_bytes: Some(21_300_000_000),
        memory_bytes: Some(2_030_000_000),
        memory_free_bytes: Some(1_240_000_000),
        temperature: Some(51.0),
        under_voltage: Some(false),
    }
}

/// All is well.
pub(super) fn status() -> AgentStatus {
    let ok = Some(DeviceState::Ok);
    let devices = BTreeMap::from([
        (
            id("fridge-dairy"),
            device(
                "modbus",
                ok,
                4_000,
                &[
                    ("hw.temperature", 4.12),
                    ("hw.humidity", 0.65),
                    ("retail.cabinet.door.open", 0.0),
                    ("retail.cabinet.setpoint", 4.0),
                ],
            ),
        ),
        (
            id("printer-1"),
            device(
                "escpos",
                ok,
                2_000,
                &[("retail.printer.paper.state", 0.0), ("retail.printer.cover.open", 0.0)],
            ),
        ),
        (
            id("scale-deli"),
            device("scale", ok, 1_000, &[("retail.scale.weight", 1.245), ("retail.scale.reads", 812.0)]),
        ),
        (id("ups-main"), device("nut", ok, 9_000, &[("hw.battery.charge", 0.98), ("retail.ups.load", 0.31)])),
    ]);
    AgentStatus {
        version: "1.4.0",
        verdict: Verdict::from_findings(Vec::new()),
        now_ms: NOW,
        started_ms: NOW - 26 * HOUR,
        clock: ClockStatus {
            trusted: true,
            authority: Some(Authority::Ntp),
            trusted_since_ms: Some(NOW - 26 * HOUR),
            offset_ms: Some(12),
            repairing: false,
            steps: 0,
        },
        identity: Identity {
            tenant: Some("mercado-sol".to_owned()),
            store: Some("SP-017".to_owned()),
            key_id: Some("k7Qm2xTz".to_owned()),
            problem: None,
            finding: None,
        },
        places: Places::default(),
        spool_problem: None,
        uplink: uplink(),
        spool: spool(),
        machine: machine(),
        network: Network {
            interfaces: vec![Interface {
                name: "eth0".to_owned(),
                connected: Some(true),
                addresses: vec![IpAddr::from([192, 168, 1, 20])],
            }],
            gateway: Some(IpAddr::from([192, 168, 1, 1])),
            gateway_interface: Some("eth0".to_owned()),
            name_servers: vec!["192.168.1.1".to_owned()],
        },
        maintenance_until_ms: None,
        devices,
    }
}

fn loss(samples: u64, reason: &str, from: i64, to: i64) -> Loss {
    let epoch = "0b7e1c9a-5a43-4c80-9f0c-0d6a3f8f7a11";
    let json = serde_json::json!({
        "id": format!("{epoch}/1"), "lane": "bulk", "from": from, "to": to, "samples": samples, "reason": reason,
    });
    serde_json::from_value(json).unwrap()
}

/// A printer without paper, a silent fridge, a scale that talks rubbish, no name server, losses.
pub(super) fn troubled() -> AgentStatus {
    let mut shop = status();
    let (fridge, printer, scale) = (id("fridge-dairy"), id("printer-1"), id("scale-deli"));
    let silent = device(
        "modbus",
        Some(DeviceState::Unreachable),
        42 * MINUTE,
        &[("hw.temperature", 4.12), ("hw.humidity", 0.65)],
    );
    let timeout = "no answer from unit 1 within 500ms: is it on, is the cable in, is the address right?";
    shop.devices.insert(fridge.clone(), failed(silent, 84, 6_000, "timeout", timeout));
    shop.devices.insert(
        printer.clone(),
        device("escpos", Some(DeviceState::Ok), 2_000, &[("retail.printer.paper.state", 2.0)]),
    );
    let rubbish = device("scale", Some(DeviceState::Fault), 3 * HOUR, &[("retail.scale.weight", 1.245)]);
    let framing = "bytes that are no frame: is the speed 9600 8N1?";
    shop.devices.insert(scale.clone(), failed(rubbish, 5_120, 1_000, "framing", framing));
    shop.devices.insert(
        id("pos-02"),
        device("http_json", Some(DeviceState::Stale), 9 * MINUTE, &[("retail.pos.up", 1.0)]),
    );
    shop.devices.insert(id("scanner-3"), {
        let mut new = device("scanner", None, 0, &[]);
        new.last_good_ms = None;
        new
    });
    let ups = shop.devices.remove(&id("ups-main")).unwrap();
    shop.devices.insert(id("ups-main"), failed(ups, 3, 5 * HOUR, "timeout", "no answer"));
    shop.uplink.state = UplinkState::Failing;
    shop.uplink.cause = Some(Cause::Dns);
    shop.uplink.reason =
        Some("error sending request: dns error: failed to lookup address information".to_owned());
    shop.uplink.since_ms = Some(NOW - 2 * HOUR);
    shop.uplink.last_ack_ms = Some(NOW - 2 * HOUR - 7_000);
    shop.uplink.next_attempt_ms = Some(NOW + 24_000);
    shop.uplink.failures = 31;
    shop.spool.lanes = vec![
        lane("critical", 41, Some(NOW - 2 * HOUR)),
        lane("normal", 82_400, Some(NOW - 2 * HOUR)),
        lane("bulk", 310_000, Some(NOW - 26 * HOUR)),
    ];
    shop.spool.losses = 2;
    shop.spool.lost_samples = 18_300;
    shop.spool.latest_losses = vec![
        loss(18_000, "spool_full", NOW - 30 * HOUR, NOW - 27 * HOUR),
        loss(300, "thinned", NOW - 27 * HOUR, NOW - 26 * HOUR),
    ];
    shop.spool.quarantine = vec![Quarantined {
        batch: "0b7e1c9a/42".to_owned(),
        samples: 186,
        refusal: "span_too_long: 31 h from the first to the last sample".to_owned(),
    }];
    shop.verdict = Verdict::from_findings(vec![
        Finding::new(Problem::CloudDns)
            .with("host", "ingest.example.com")
            .since(Some(NOW - 2 * HOUR))
            .shown_by("failed to lookup address information"),
        Finding::new(Problem::PaperOut).of(&printer).since(Some(NOW - 61 * MINUTE)),
        Finding::new(Problem::DeviceSilent).of(&fridge).since(Some(NOW - 42 * MINUTE)).shown_by(timeout),
        Finding::new(Problem::LineWrong)
            .of(&scale)
            .with("path", "/dev/ttyUSB1")
            .with("line", "9600 8N1")
            .since(Some(NOW - 3 * HOUR)),
        Finding::new(Problem::SamplesLost).with("samples", "18300"),
        Finding::new(Problem::DeviceStale).of(&id("pos-02")),
        Finding::new(Problem::Quarantined).with("batches", "1"),
    ]);
    shop
}

/// Sixty devices, of which four do not answer; most have hours with troubles behind them.
pub(super) fn sixty() -> AgentStatus {
    let mut shop = troubled();
    for no in 0..60 - shop.devices.len() {
        let metric = format!("hw.temperature{{sensor=\"rack-{no:02}\"}}");
        let value = f64::from(u8::try_from(no).unwrap()) / 7.0 - 4.0;
        shop.devices.insert(
            id(&format!("fridge-{no:02}")),
            device("modbus", Some(DeviceState::Ok), 3_000, &[(&metric, value)]),
        );
    }
    shop
}

/// Their last hours: well, or with the troubles that their state suggests.
pub(super) fn days(shop: &AgentStatus) -> Days {
    let state = |no: usize, slot: usize, device: &DeviceStatus| match slot {
        0..9 => None,
        88.. if device.state != Some(DeviceState::Ok) => device.state,
        slot if (slot * 7 + no * 5).is_multiple_of(41) => Some(DeviceState::Unreachable),
        slot if (slot + no) % 37 == 3 => Some(DeviceState::Stale),
        _ => Some(DeviceState::Ok),
    };
    let day = |no: usize, device: &DeviceStatus| strip((0..SLOTS).map(|slot| state(no, slot, device)));
    shop.devices.iter().enumerate().map(|(no, (id, device))| (id.clone(), day(no, device))).collect()
}

/// A strip of these states.
pub(super) fn strip(states: impl Iterator<Item = Option<DeviceState>>) -> Strip {
    let slot = |worst: Option<DeviceState>| {
        let ok = worst.map(|state| if state == DeviceState::Ok { 1.0 } else { 0.6 });
        let known = if worst.is_some() { 1.0 } else { 0.0 };
        Slot { ok, known, worst, changes: u16::from(ok.is_some_and(|ok| ok < 1.0)) }
    };
    Strip { from_ms: NOW - 24 * HOUR, slot_ms: SLOT_MS, slots: states.map(slot).collect() }
}

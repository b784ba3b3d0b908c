//! The devices of the reference store and what each of their metrics does.

use super::signal::Signal;

const GIB: f64 = 1_073_741_824.0;
/// What operating systems count memory and disks in.
const PAGE: f64 = 4_096.0;

/// One device.
pub(super) struct Device {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) every_ms: i64,
    pub(super) metrics: Vec<(&'static str, Signal)>,
}

/// All of them, in the order in which they are read.
pub(super) fn all() -> Vec<Device> {
    let mut devices = vec![the_box()];
    devices.extend((1..=5).map(pos));
    devices.extend((1..=5).map(printer));
    devices.extend((1..=8).map(fridge));
    devices
}

/// Fifty devices with ten metrics each, every ten seconds.
pub(super) fn dense() -> Vec<Device> {
    (1..=50).map(|n| pos_and_box(n, 10_000)).collect()
}

/// Ten devices with ten metrics each, every minute.
pub(super) fn chain() -> Vec<Device> {
    (1..=10).map(|n| pos_and_box(n, 60_000)).collect()
}

/// A POS terminal that also tells of the box it runs on.
fn pos_and_box(n: u32, every_ms: i64) -> Device {
    let mut device = pos(n);
    device.every_ms = every_ms;
    device.metrics.push(("system.memory.usage", Signal::drift(0.7 * GIB, 3e6, PAGE)));
    device.metrics.push(("system.network.io.receive", Signal::counter(20_000.0, 8_123_456_789.0)));
    device
}

fn the_box() -> Device {
    let metrics = vec![
        ("system.cpu.utilization", Signal::noise(0.12, 0.09, 0.001)),
        ("system.memory.limit", Signal::Constant(2.0 * GIB)),
        ("system.memory.usage", Signal::drift(0.7 * GIB, 3e6, PAGE)),
        ("system.uptime", Signal::clock(30.0, 864_000.0)),
        ("system.network.io.receive", Signal::counter(60_000.0, 8_123_456_789.0)),
        ("system.network.io.transmit", Signal::counter(45_000.0, 2_345_678_901.0)),
        ("system.filesystem.limit", Signal::Constant(29.0 * GIB)),
        ("system.filesystem.usage", Signal::drift(6.0 * GIB, 50_000.0, PAGE)),
        ("system.temperature", Signal::drift(47.0, 0.4, 0.1)),
        ("system.disk.temperature", Signal::drift(38.0, 0.1, 1.0)),
    ];
    Device { id: "gateway".to_owned(), kind: "host", every_ms: 30_000, metrics }
}

fn pos(n: u32) -> Device {
    let metrics = vec![
        ("retail.pos.up", Signal::Constant(1.0)),
        ("retail.pos.transactions", Signal::counter(0.4, 52_300.0)),
        ("retail.pos.errors", Signal::counter(0.002, 17.0)),
        ("retail.scanner.scans", Signal::counter(5.0, 731_200.0)),
        ("retail.drawer.opens", Signal::counter(0.3, 20_440.0)),
        ("retail.drawer.open", Signal::state(0.05, 0.9)),
        ("system.cpu.utilization", Signal::noise(0.25, 0.15, 0.01)),
        ("hw.temperature", Signal::drift(41.0, 0.4, 0.1)),
    ];
    Device { id: format!("pos-{n:02}"), kind: "pos", every_ms: 30_000, metrics }
}

fn printer(n: u32) -> Device {
    let metrics = vec![
        ("hw.status", Signal::Constant(1.0)),
        ("retail.printer.cover.open", Signal::state(0.001, 0.5)),
        ("retail.printer.paper.state", Signal::state(0.002, 0.05)),
        ("retail.printer.lines", Signal::counter(25.0, 1_403_000.0)),
        ("hw.errors", Signal::counter(0.001, 4.0)),
    ];
    Device { id: format!("printer-{n}"), kind: "escpos", every_ms: 60_000, metrics }
}

fn fridge(n: u32) -> Device {
    let metrics = vec![
        ("hw.temperature", Signal::drift(if n > 5 { -19.0 } else { 4.0 }, 0.3, 0.1)),
        ("hw.humidity", Signal::noise(0.66, 0.05, 0.01)),
        ("retail.cabinet.door.open", Signal::state(0.06, 0.8)),
    ];
    Device { id: format!("fridge-{n}"), kind: "modbus", every_ms: 300_000, metrics }
}

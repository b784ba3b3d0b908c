//! The metrics we know: name, unit, kind, meaning and source, one line each.
//!
//! Names are OpenTelemetry's where it has one, else `retail.<class>.<thing>`, and `agent.…` for the agent
//! itself; units are UCUM and stand here, not in the name. A metric of valid form that is not listed is
//! accepted, its unit unknown.

/// How the values of a metric behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A value that goes up and down.
    Gauge,
    /// A cumulative count; it falls only when its source restarts.
    Counter,
    /// A number that stands for a state; the names are listed from 0.
    State(&'static [&'static str]),
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// UCUM unit; `1` is a ratio or a boolean.
    pub unit: &'static str,
    /// How its values behave.
    pub kind: MetricKind,
    /// What it says.
    pub meaning: &'static str,
    /// Who defined it.
    pub source: &'static str,
}

use MetricKind::{Counter, Gauge, State};

const OTEL: &str = "OpenTelemetry semantic conventions";
const UPOS: &str = "UnifiedPOS statistics";
const OWN: &str = "StorePulse";

const fn metric(
    name: &'static str,
    unit: &'static str,
    kind: MetricKind,
    meaning: &'static str,
    source: &'static str,
) -> Metric {
    Metric { name, unit, kind, meaning, source }
}

const BOOLEAN: MetricKind = State(&["no", "yes"]);
const DEVICE_STATE: MetricKind = State(&["ok", "stale", "fault", "unreachable"]);

/// Every metric we know, sorted by name.
pub const METRICS: &[Metric] = &[
    metric("agent.clock.offset", "s", Gauge, "true time minus the clock of the box, once known", OWN),
    metric("agent.collector.errors", "{error}", Counter, "failed readings of a device", OWN),
    metric("agent.cpu.time", "s", Counter, "processor time that the agent has used", OWN),
    metric("agent.device.age", "s", Gauge, "since the last good reading of a device", OWN),
    metric("agent.device.state", "1", DEVICE_STATE, "whether a device answers; no answer is not zero", OWN),
    metric("agent.devices", "{device}", Gauge, "devices of an agent, by state", OWN),
    metric("agent.memory.usage", "By", Gauge, "memory that the agent uses", OWN),
    metric("agent.spool.bytes", "By", Gauge, "what the spool takes on the disk", OWN),
    metric("agent.spool.lost", "{sample}", Counter, "discarded and reported since the start", OWN),
    metric("agent.spool.oldest.age", "s", Gauge, "age of the oldest that the cloud does not have", OWN),
    metric("agent.spool.waiting", "{sample}", Gauge, "sealed, and not in the cloud; by lane", OWN),
    metric("agent.uptime", "s", Gauge, "since the agent started", OWN),
    metric("hw.battery.charge", "1", Gauge, "charge of a battery", OTEL),
    metric("hw.errors", "{error}", Counter, "errors that a device reports", OTEL),
    metric("hw.humidity", "1", Gauge, "relative humidity", OWN),
    metric("hw.status", "1", State(&["failed", "ok"]), "whether a device reports itself well", OTEL),
    metric("hw.temperature", "Cel", Gauge, "temperature", OTEL),
    metric("hw.voltage", "V", Gauge, "voltage", OTEL),
    metric("retail.cabinet.door.open", "1", BOOLEAN, "door of a cabinet", OWN),
    metric("retail.drawer.open", "1", BOOLEAN, "cash drawer", OWN),
    metric("retail.drawer.opens", "{open}", Counter, "openings of the cash drawer", UPOS),
    metric("retail.pos.database.duration", "s", Gauge, "how long the till's database took to answer", OWN),
    metric("retail.pos.errors", "{error}", Counter, "errors that a POS terminal reports", OWN),
    metric("retail.pos.last_transaction.age", "s", Gauge, "since the last completed transaction", OWN),
    metric("retail.pos.sales", "{currency}", Gauge, "amount sold, in the currency of the store", OWN),
    metric("retail.pos.transactions", "{transaction}", Counter, "completed transactions of a lane", OWN),
    metric("retail.pos.up", "1", BOOLEAN, "POS software runs", OWN),
    metric("retail.printer.cover.open", "1", BOOLEAN, "cover of a printer", UPOS),
    metric("retail.printer.lines", "{line}", Counter, "lines printed", UPOS),
    metric("retail.printer.paper.state", "1", State(&["ok", "near_end", "out"]), "paper roll", UPOS),
    metric("retail.scale.reads", "{read}", Counter, "good readings of a scale", UPOS),
    metric("retail.scanner.scans", "{scan}", Counter, "good scans", UPOS),
    metric("system.cpu.load_average.1m", "{thread}", Gauge, "processes that run or wait to", OTEL),
    metric("system.cpu.throttled", "1", BOOLEAN, "the processor is slowed down: heat or supply", OWN),
    metric("system.cpu.utilization", "1", Gauge, "share of all processors in use", OTEL),
    metric("system.disk.io.read", "By", Counter, "bytes read from the box's disks", OTEL),
    metric("system.disk.io.write", "By", Counter, "bytes written to the box's disks", OTEL),
    metric("system.disk.temperature", "Cel", Gauge, "temperature of the box's disk", OWN),
    metric("system.disk.wear", "1", Gauge, "used life of the box's flash; above 1 past its end", OWN),
    metric("system.filesystem.limit", "By", Gauge, "size of the spool's file system", OTEL),
    metric("system.filesystem.usage", "By", Gauge, "used bytes of the spool's file system", OTEL),
    metric("system.memory.limit", "By", Gauge, "memory of the box", OTEL),
    metric("system.memory.usage", "By", Gauge, "memory in use", OTEL),
    metric("system.network.io.receive", "By", Counter, "bytes received, without loopback", OTEL),
    metric("system.network.io.transmit", "By", Counter, "bytes sent, without loopback", OTEL),
    metric("system.paging.usage", "By", Gauge, "swap in use", OTEL),
    metric("system.power.undervoltage", "1", BOOLEAN, "the supply of the box is too low now", OWN),
    metric("system.power.undervoltage.seen", "1", BOOLEAN, "it was too low since the box started", OWN),
    metric("system.temperature", "Cel", Gauge, "highest temperature that the box reports", OWN),
    metric("system.uptime", "s", Gauge, "since the box started", OTEL),
];

/// The metric of this name, if we know it.
#[must_use]
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.binary_search_by_key(&name, |m| m.name).ok().map(|at| &METRICS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_sorted_and_its_names_are_metrics() {
        for pair in METRICS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} stands before {}", pair[0].name, pair[1].name);
        }
        for metric in METRICS {
            assert_eq!(crate::series::parse(metric.name).unwrap().labels, [], "{}", metric.name);
            assert!(!metric.unit.is_empty() && !metric.meaning.is_empty());
        }
    }

    #[test]
    fn a_metric_is_found_by_its_name() {
        assert_eq!(find("hw.temperature").unwrap().unit, "Cel");
        assert_eq!(find("hw.temperatures"), None);
    }
}

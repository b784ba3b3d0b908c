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
const FISCAL_MEMORY: MetricKind = State(&["ok", "near_full", "full", "error"]);
const PRINTER_ERROR: MetricKind = State(&["none", "recoverable", "unrecoverable"]);

/// Every metric we know, sorted by name.
pub const METRICS: &[Metric] = &[
    metric(
        "agent.clock.offset",
        "s",
        Gauge,
        "the true time minus what the box's clock shows, once it is known",
        OWN,
    ),
    metric("agent.collector.errors", "{error}", Counter, "failed readings of a device", OWN),
    metric("agent.cpu.time", "s", Counter, "processor time that the agent has used", OWN),
    metric("agent.device.age", "s", Gauge, "since the last good reading of a device", OWN),
    metric("agent.device.state", "1", DEVICE_STATE, "whether a device answers; no answer is not zero", OWN),
    metric("agent.devices", "{device}", Gauge, "devices of an agent, by state", OWN),
    metric("agent.maintenance", "1", BOOLEAN, "whether somebody works in the shop; its alerts wait", OWN),
    metric("agent.memory.usage", "By", Gauge, "memory that the agent uses", OWN),
    metric("agent.spool.bytes", "By", Gauge, "what the spool takes on the disk", OWN),
    metric(
        "agent.spool.lost",
        "{sample}",
        Counter,
        "samples discarded and reported since the agent started",
        OWN,
    ),
    metric("agent.spool.oldest.age", "s", Gauge, "age of the oldest that the cloud does not have", OWN),
    metric(
        "agent.spool.waiting",
        "{sample}",
        Gauge,
        "sealed samples that the cloud does not have, by lane",
        OWN,
    ),
    metric("agent.uptime", "s", Gauge, "since the agent started", OWN),
    metric("hw.battery.charge", "1", Gauge, "charge of a battery", OTEL),
    metric("hw.battery.time_left", "s", Gauge, "until a battery is empty, as its device estimates", OTEL),
    metric("hw.energy", "J", Counter, "energy that a meter has counted", OTEL),
    metric("hw.errors", "{error}", Counter, "errors that a device reports", OTEL),
    metric("hw.fan.speed", "rpm", Gauge, "speed of a fan", OTEL),
    metric("hw.humidity", "1", Gauge, "relative humidity", OWN),
    metric("hw.network.io.receive", "By", Counter, "bytes that an interface of a device received", OTEL),
    metric("hw.network.io.transmit", "By", Counter, "bytes that an interface of a device sent", OTEL),
    metric(
        "hw.network.link_quality",
        "1",
        Gauge,
        "quality of a radio link, from 0 to 1, as its receiver sees it",
        OWN,
    ),
    metric("hw.network.signal", "dB[mW]", Gauge, "strength of a radio signal", OWN),
    metric("hw.network.up", "1", BOOLEAN, "whether an interface of a device has a link", OTEL),
    metric("hw.power", "W", Gauge, "power", OTEL),
    metric("hw.pressure", "Pa", Gauge, "pressure of the air", OWN),
    metric("hw.status", "1", State(&["failed", "ok"]), "whether a device reports itself well", OTEL),
    metric("hw.temperature", "Cel", Gauge, "temperature", OTEL),
    metric("hw.voltage", "V", Gauge, "voltage", OTEL),
    metric("retail.cabinet.alarm", "1", BOOLEAN, "alarm of a cabinet's controller, by error.type", OWN),
    metric(
        "retail.cabinet.controller.status",
        "1",
        Gauge,
        "status bits of a cabinet's controller, as in its manual",
        OWN,
    ),
    metric(
        "retail.cabinet.defrost",
        "1",
        BOOLEAN,
        "a cabinet defrosts; its temperature says little meanwhile",
        OWN,
    ),
    metric("retail.cabinet.door.open", "1", BOOLEAN, "door of a cabinet", OWN),
    metric("retail.cabinet.setpoint", "Cel", Gauge, "temperature that a cabinet is to have", OWN),
    metric("retail.device.uptime", "s", Gauge, "since a device started, as it says", OWN),
    metric("retail.drawer.open", "1", BOOLEAN, "cash drawer", OWN),
    metric("retail.drawer.opens", "{open}", Counter, "openings of the cash drawer", UPOS),
    metric("retail.endpoint.connect.duration", "s", Gauge, "time to connect over TCP", OWN),
    metric("retail.endpoint.dns.duration", "s", Gauge, "time to resolve a host name", OWN),
    metric("retail.endpoint.flaps", "{flap}", Counter, "times that an endpoint went away", OWN),
    metric("retail.endpoint.ping.duration", "s", Gauge, "time to the answer to an ICMP echo request", OWN),
    metric("retail.endpoint.tls.duration", "s", Gauge, "time of a TLS handshake", OWN),
    metric(
        "retail.endpoint.tls.expiry",
        "s",
        Gauge,
        "until the server's certificate ends; negative: it has ended",
        OWN,
    ),
    metric("retail.endpoint.up", "1", BOOLEAN, "whether every check of an endpoint succeeds", OWN),
    metric("retail.log.records", "{record}", Counter, "lines of a log that said something", OWN),
    metric(
        "retail.log.truncations",
        "{truncation}",
        Counter,
        "times that a log was cut while it was read",
        OWN,
    ),
    metric("retail.pos.database.duration", "s", Gauge, "how long the till's database took to answer", OWN),
    metric("retail.pos.errors", "{error}", Counter, "errors that a POS terminal reports", OWN),
    metric("retail.pos.last_transaction.age", "s", Gauge, "since the last completed transaction", OWN),
    metric("retail.pos.sales", "{currency}", Gauge, "amount sold, in the currency of the store", OWN),
    metric("retail.pos.transactions", "{transaction}", Counter, "completed transactions of a lane", OWN),
    metric("retail.pos.up", "1", BOOLEAN, "POS software runs", OWN),
    metric("retail.printer.clock.skew", "s", Gauge, "how far a printer's clock is ahead of the box's", OWN),
    metric("retail.printer.cover.open", "1", BOOLEAN, "cover of a printer", UPOS),
    metric("retail.printer.cutter.error", "1", BOOLEAN, "the cutter of a printer is stuck", UPOS),
    metric("retail.printer.document.open", "1", BOOLEAN, "a document of a fiscal printer is open", OWN),
    metric("retail.printer.error", "1", PRINTER_ERROR, "whether a printer reports an error", UPOS),
    metric("retail.printer.fiscal.close.needed", "1", BOOLEAN, "a fiscal printer wants its daily close", OWN),
    metric("retail.printer.fiscal.closings", "{closing}", Counter, "daily closes of a fiscal printer", OWN),
    metric("retail.printer.fiscal.memory.state", "1", FISCAL_MEMORY, "memory of a fiscal printer", OWN),
    metric("retail.printer.jammed", "1", BOOLEAN, "paper jam", OWN),
    metric("retail.printer.lines", "{line}", Counter, "lines printed", UPOS),
    metric("retail.printer.offline", "1", BOOLEAN, "a printer says that it is offline", OWN),
    metric("retail.printer.online", "1", BOOLEAN, "whether a printer says that it can print", OWN),
    metric("retail.printer.pages", "{page}", Counter, "pages or sheets printed", OWN),
    metric("retail.printer.paper.state", "1", State(&["ok", "near_end", "out"]), "paper roll", UPOS),
    metric("retail.printer.service", "1", BOOLEAN, "a printer asks for service", OWN),
    metric("retail.printer.supply.level", "1", Gauge, "what is left of a toner or another supply", OWN),
    metric("retail.printer.toner.state", "1", State(&["ok", "low", "out"]), "toner or ink", OWN),
    metric("retail.printer.tray.level", "1", Gauge, "what is left in a paper tray", OWN),
    metric(
        "retail.scale.idle.weight",
        "kg",
        Gauge,
        "weight of an empty platform: the drift of its zero",
        OWN,
    ),
    metric("retail.scale.last_weighing.age", "s", Gauge, "since something was last weighed", OWN),
    metric("retail.scale.overload", "{read}", Counter, "readings above the capacity of a scale", OWN),
    metric("retail.scale.reads", "{read}", Counter, "good readings of a scale", UPOS),
    metric("retail.scale.underload", "{read}", Counter, "readings below the zero of a scale", OWN),
    metric("retail.scale.unstable", "{read}", Counter, "readings while the platform moved", OWN),
    metric("retail.scale.weight", "kg", Gauge, "weight at rest", OWN),
    metric("retail.scale.zero", "1", BOOLEAN, "a scale is at its zero", OWN),
    metric(
        "retail.scanner.check_digit.errors",
        "{error}",
        Counter,
        "EAN and UPC with a wrong check digit",
        OWN,
    ),
    metric(
        "retail.scanner.duplicates",
        "{scan}",
        Counter,
        "good scans of the same data within a second",
        OWN,
    ),
    metric("retail.scanner.length", "By", Gauge, "length of the last good scan", OWN),
    metric("retail.scanner.no_reads", "{scan}", Counter, "scans that read nothing", UPOS),
    metric("retail.scanner.scans", "{scan}", Counter, "good scans", UPOS),
    metric("retail.statsd.dropped", "{datagram}", Counter, "datagrams that the box had no room for", OWN),
    metric("retail.statsd.lines", "{line}", Counter, "lines of StatsD that were taken", OWN),
    metric("retail.ups.alarms", "{alarm}", Gauge, "alarms that a UPS reports", OWN),
    metric("retail.ups.load", "1", Gauge, "share of a UPS's power in use", OWN),
    metric("retail.ups.low_battery", "1", BOOLEAN, "the battery of a UPS is low", OWN),
    metric("retail.ups.on_battery", "1", BOOLEAN, "a UPS runs on its battery", OWN),
    metric("retail.ups.overload", "1", BOOLEAN, "a UPS is overloaded", OWN),
    metric("retail.ups.replace_battery", "1", BOOLEAN, "the battery of a UPS must be replaced", OWN),
    metric("retail.ups.status.unknown", "{word}", Gauge, "words of a UPS's status that are not known", OWN),
    metric(
        "system.cpu.load_average.1m",
        "{thread}",
        Gauge,
        "processes that run or want to, over a minute",
        OTEL,
    ),
    metric("system.cpu.throttled", "1", BOOLEAN, "the processor is slowed down: heat or supply", OWN),
    metric("system.cpu.utilization", "1", Gauge, "share of all processors in use", OTEL),
    metric("system.disk.io.read", "By", Counter, "bytes read from the box's disks", OTEL),
    metric("system.disk.io.write", "By", Counter, "bytes written to the box's disks", OTEL),
    metric("system.disk.temperature", "Cel", Gauge, "temperature of the box's disk", OWN),
    metric(
        "system.disk.wear",
        "1",
        Gauge,
        "used life of the box's flash, in tenths; above 1 it is past its end",
        OWN,
    ),
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

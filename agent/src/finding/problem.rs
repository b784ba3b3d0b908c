//! The list of problems, the most fundamental first.

use serde::{Serialize, Serializer};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nobody has to come.
    Note,
    /// Something is not read, or not sent: a hand is needed. What was read is kept.
    Degraded,
    /// Samples cannot be taken or kept.
    Broken,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $severity:ident, [$($particular:literal),*];)*) => {
        /// What can be wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Problem { $($(#[$doc])* $variant,)* }

        impl Problem {
            /// All of them, the most fundamental first.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in JSON and in the files of words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// What its words may name beside `device`.
            #[must_use]
            pub const fn particulars(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($particular),*],)* }
            }
        }
    };
}

problems! {
    /// The configuration cannot be read or is not right.
    ConfigBad = "config_bad", Broken, ["path"];
    /// The state folder cannot be written.
    StateDenied = "state_denied", Broken, ["path"];
    /// The disk of the spool is full.
    DiskFull = "disk_full", Broken, ["path", "free"];
    /// The spool is damaged.
    SpoolDamaged = "spool_damaged", Broken, ["path"];
    /// The spool does not take samples.
    SpoolFailing = "spool_failing", Broken, [];
    /// Another program listens where the agent would.
    ListenerTaken = "listener_taken", Broken, ["address", "holder"];
    /// The agent does not run.
    NotRunning = "not_running", Broken, ["address"];
    /// The key's file cannot be read.
    KeyUnreadable = "key_unreadable", Degraded, ["path"];
    /// The key is mistyped or no key at all.
    KeyMistyped = "key_mistyped", Degraded, [];
    /// The clock of the box is wrong.
    ClockWrong = "clock_wrong", Degraded, ["off"];
    /// No interface of the network is connected.
    LinkDown = "link_down", Degraded, [];
    /// No address of the network.
    NoAddress = "no_address", Degraded, ["interface"];
    /// No way out of the shop's network.
    NoGateway = "no_gateway", Degraded, [];
    /// The cloud's name does not resolve.
    CloudDns = "cloud_dns", Degraded, ["host"];
    /// The cloud can be reached only through a proxy.
    ProxyNeeded = "proxy_needed", Degraded, ["host", "proxy"];
    /// The proxy does not answer, or refuses.
    ProxyFailing = "proxy_failing", Degraded, ["proxy"];
    /// Nobody answers at the cloud's address.
    CloudUnreachable = "cloud_unreachable", Degraded, ["host"];
    /// Something in the shop's network answers in the cloud's place.
    CaptivePortal = "captive_portal", Degraded, ["host"];
    /// The clock makes good certificates look bad.
    TlsClock = "tls_clock", Degraded, ["host"];
    /// The cloud's certificate has expired.
    TlsExpired = "tls_expired", Degraded, ["host"];
    /// The cloud's certificate is not one that is trusted.
    TlsUntrusted = "tls_untrusted", Degraded, ["host"];
    /// The encrypted connection is not made.
    TlsFailing = "tls_failing", Degraded, ["host"];
    /// The cloud refuses the key.
    KeyRefused = "key_refused", Degraded, ["key_id"];
    /// The cloud has suspended the tenant or the store.
    Suspended = "suspended", Degraded, [];
    /// The cloud answers that there is nothing for this agent.
    WrongPlace = "wrong_place", Degraded, ["host"];
    /// The cloud asks to wait.
    CloudBusy = "cloud_busy", Note, [];
    /// The cloud answers with errors.
    CloudFailing = "cloud_failing", Degraded, ["host"];
    /// Samples were discarded.
    SamplesLost = "samples_lost", Degraded, ["samples"];
    /// The cloud refused a batch; it is kept for people.
    Quarantined = "quarantined", Note, ["batches"];
    /// A port is not there.
    PortMissing = "port_missing", Degraded, ["path"];
    /// The agent may not open a port.
    PortDenied = "port_denied", Degraded, ["path"];
    /// Another program has a port.
    PortHeld = "port_held", Degraded, ["path", "holder"];
    /// Bytes that make no sense: speed or format differ.
    LineWrong = "line_wrong", Degraded, ["path", "line"];
    /// Another device than the configured one is there.
    WrongDevice = "wrong_device", Degraded, ["path"];
    /// The device's name does not resolve.
    DeviceDns = "device_dns", Degraded, ["host"];
    /// The device refuses connections.
    DeviceRefused = "device_refused", Degraded, [];
    /// The device does not let us in.
    DeviceDenied = "device_denied", Degraded, [];
    /// The device does not answer.
    DeviceSilent = "device_silent", Degraded, [];
    /// The device has not said anything for long.
    DeviceStale = "device_stale", Degraded, [];
    /// The device answers with an error.
    DeviceFault = "device_fault", Degraded, [];
    /// The device's certificate is not accepted.
    DeviceTls = "device_tls", Degraded, [];
    /// This box or this device cannot do what is configured.
    NotSupported = "not_supported", Degraded, [];
    /// The part of the agent that reads the device failed.
    AgentDefect = "agent_defect", Degraded, [];
    /// The till's software does not run.
    PosDown = "pos_down", Degraded, [];
    /// A printer has no paper.
    PaperOut = "paper_out", Degraded, [];
    /// Paper is stuck in a printer.
    PaperJam = "paper_jam", Degraded, [];
    /// A printer's cover is open.
    CoverOpen = "cover_open", Degraded, [];
    /// A printer has no toner or ink.
    TonerOut = "toner_out", Degraded, [];
    /// The fiscal memory of a printer is full, or nearly.
    FiscalMemory = "fiscal_memory", Degraded, [];
    /// A fiscal printer wants its daily close.
    FiscalClose = "fiscal_close", Degraded, [];
    /// A printer reports an error.
    PrinterError = "printer_error", Degraded, [];
    /// A printer is offline.
    PrinterOffline = "printer_offline", Degraded, [];
    /// A UPS's battery is low.
    BatteryLow = "battery_low", Degraded, [];
    /// A UPS runs on its battery.
    OnBattery = "on_battery", Degraded, [];
    /// A UPS has to feed more than it can.
    UpsOverload = "ups_overload", Degraded, [];
    /// A UPS's battery must be replaced.
    BatteryWorn = "battery_worn", Degraded, [];
    /// A cabinet's controller reports an alarm.
    CabinetAlarm = "cabinet_alarm", Degraded, [];
    /// A printer's paper ends soon.
    PaperLow = "paper_low", Note, [];
    /// A device has more values than are taken.
    TooManyValues = "too_many_values", Note, [];
    /// The disk is nearly full.
    DiskLow = "disk_low", Degraded, ["path", "free"];
    /// The disk is slow to make writes durable.
    DiskSlow = "disk_slow", Note, ["path", "took"];
    /// The box has little memory left.
    MemoryLow = "memory_low", Degraded, ["free"];
    /// The box is too warm.
    BoxHot = "box_hot", Degraded, ["temperature"];
    /// The box's power supply is too weak.
    UnderVoltage = "under_voltage", Degraded, [];
    /// The clock is right, but nobody sets it.
    ClockUnset = "clock_unset", Note, [];
    /// A connected adapter is no device of the configuration.
    PortUnassigned = "port_unassigned", Note, ["path"];
    /// No device is configured.
    NoDevices = "no_devices", Note, [];
    /// Somebody works here; the alerts wait.
    Maintenance = "maintenance", Note, ["until"];
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

//! A device's last error as a problem: the kinds of errors of all collectors, each with its words.

use storepulse_shared::ids::DeviceId;

use super::{Finding, Problem};

/// What is known of where a device is read; nothing of it has to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Its serial port, as the configuration names it.
    pub port: Option<String>,
    /// Who has that port open.
    pub holder: Option<String>,
    /// The speed and format of its line, such as `9600 8N1`.
    pub line: Option<String>,
}

impl Place {
    /// A device on this serial port, if it has one.
    #[must_use]
    pub fn on(port: Option<&str>) -> Self {
        Self { port: port.map(str::to_owned), ..Self::default() }
    }
}

/// The problem that an error of this kind ([`FaultKind::name`](crate::collector::FaultKind::name)) is, with the error's own
/// text as evidence.
#[must_use]
pub fn of_fault(kind: &str, device: &DeviceId, place: &Place, evidence: impl Into<String>) -> Finding {
    let mut finding = Finding::new(problem_of(kind, place.port.is_some())).of(device).shown_by(evidence);
    let known = [("path", &place.port), ("holder", &place.holder), ("line", &place.line)];
    for (name, value) in known {
        if let Some(value) = value {
            finding = finding.with(name, value);
        }
    }
    finding
}

fn problem_of(kind: &str, on_port: bool) -> Problem {
    match kind {
        "timeout" => Problem::DeviceSilent,
        "missing_port" => Problem::PortMissing,
        "busy_port" => Problem::PortHeld,
        "denied" if on_port => Problem::PortDenied,
        "denied" => Problem::DeviceDenied,
        // Half a frame, a wrong sum and noise have one cause on a line: speed, format or the cable.
        "checksum" | "framing" | "short_frame" if on_port => Problem::LineWrong,
        "wrong_device" => Problem::WrongDevice,
        "refused" => Problem::DeviceRefused,
        "dns" => Problem::DeviceDns,
        "tls" => Problem::DeviceTls,
        "unsupported" => Problem::NotSupported,
        "too_many_series" => Problem::TooManyValues,
        "internal" => Problem::AgentDefect,
        // checksum, exception, framing, nak, parse, short_frame, too_large
        _ => Problem::DeviceFault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::FaultKind;
    use crate::language::Language;

    #[test]
    fn every_kind_of_error_is_a_problem_with_words() {
        use FaultKind::*;
        let device: DeviceId = "scale-1".parse().unwrap();
        let port = Place { holder: None, ..Place::on(Some("/dev/ttyUSB3")) };
        for (kind, on_port, elsewhere) in [
            (Timeout, Problem::DeviceSilent, Problem::DeviceSilent),
            (Checksum, Problem::LineWrong, Problem::DeviceFault),
            (ShortFrame, Problem::LineWrong, Problem::DeviceFault),
            (Framing, Problem::LineWrong, Problem::DeviceFault),
            (Nak, Problem::DeviceFault, Problem::DeviceFault),
            (Exception, Problem::DeviceFault, Problem::DeviceFault),
            (BusyPort, Problem::PortHeld, Problem::PortHeld),
            (MissingPort, Problem::PortMissing, Problem::PortMissing),
            (Refused, Problem::DeviceRefused, Problem::DeviceRefused),
            (Dns, Problem::DeviceDns, Problem::DeviceDns),
            (Tls, Problem::DeviceTls, Problem::DeviceTls),
            (Parse, Problem::DeviceFault, Problem::DeviceFault),
            (WrongDevice, Problem::WrongDevice, Problem::WrongDevice),
            (TooLarge, Problem::DeviceFault, Problem::DeviceFault),
            (TooManySeries, Problem::TooManyValues, Problem::TooManyValues),
            (Denied, Problem::PortDenied, Problem::DeviceDenied),
            (Unsupported, Problem::NotSupported, Problem::NotSupported),
            (Internal, Problem::AgentDefect, Problem::AgentDefect),
        ] {
            let found = of_fault(kind.name(), &device, &port, "no answer");
            assert_eq!(found.problem, on_port, "{kind:?}");
            assert_eq!(found.evidence.as_deref(), Some("no answer"));
            assert_eq!(of_fault(kind.name(), &device, &Place::default(), "").problem, elsewhere, "{kind:?}");
            assert!(found.text(Language::En).contains("scale-1"), "{kind:?}: {}", found.text(Language::En));
        }
        let found = of_fault("busy_port", &device, &port, "").text(Language::Pt);
        assert_eq!(found, "Não é possível ler scale-1 porque outro programa está com /dev/ttyUSB3 aberto");
    }
}

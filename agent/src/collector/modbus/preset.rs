//! Registers of known devices, as data: `presets.yaml` beside this file, in the same form as `registers:`, each with the
//! source that it was taken from.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::register::Register;

const TEXT: &str = include_str!("presets.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Preset {
    /// Which device, for people.
    #[serde(rename = "device")]
    _device: String,
    /// Where its registers were found.
    #[serde(rename = "source")]
    _source: String,
    registers: Vec<Register>,
}

/// The registers of a device.
///
/// # Errors
/// No such preset; the text names those that there are.
pub(super) fn find(name: &str) -> Result<Vec<Register>, String> {
    let mut presets = load()?;
    match presets.remove(name) {
        Some(preset) => Ok(preset.registers),
        None => {
            let names: Vec<&str> = presets.keys().map(String::as_str).collect();
            Err(format!("preset: {name:?} is not one of {}", names.join(", ")))
        }
    }
}

fn load() -> Result<BTreeMap<String, Preset>, String> {
    serde_yaml::from_str(TEXT).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use storepulse_shared::catalogue;

    use super::super::Settings;
    use super::*;
    use crate::collector::Collector as _;

    #[test]
    fn every_preset_is_whole_and_documented() {
        let presets = load().unwrap();
        assert_eq!(presets.len(), 6);
        for (name, preset) in presets {
            assert!(!preset._device.is_empty() && !preset._source.is_empty(), "{name}");
            assert!(Settings::ABOUT.example.contains(&name), "the example does not name {name}");
            let mut seen: Vec<&str> = preset.registers.iter().map(|r| r.metric.as_str()).collect();
            for series in &seen {
                let metric = series.split('{').next().unwrap_or_default();
                assert!(catalogue::find(metric).is_some(), "{name}: {metric} is not in the catalogue");
                assert!(Settings::ABOUT.metrics.contains(&metric), "{name}: {metric} is not in the document");
            }
            seen.sort_unstable();
            assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "{name}: {seen:?}");
        }
    }

    #[test]
    fn presets_read_what_their_sources_show() {
        let value = |preset: &str, metric: &str, data: &[u8], first: u16| {
            let registers = find(preset).unwrap();
            registers.iter().find(|r| r.metric == metric).unwrap().value(data, first)
        };
        // The listing's own examples: 0x0131 is 30.5, 0xFF33 is -20.5, 0x0222 is 54.6 %.
        assert_eq!(value("xy-md02", "hw.temperature", &[0x01, 0x31], 1), Some(30.5));
        assert_eq!(value("xy-md02", "hw.temperature", &[0xff, 0x33], 1), Some(-20.5));
        assert_eq!(value("xy-md02", "hw.humidity", &[0x01, 0x31, 0x02, 0x22], 1), Some(0.546));
        for (phase, defrost) in [(0, Some(0.0)), (1, Some(1.0)), (4, Some(1.0)), (7, None)] {
            assert_eq!(value("jci-tc3", "retail.cabinet.defrost", &[0xf0 | phase, 0xff], 0x557), defrost);
        }
        assert_eq!(value("dixell-xr", "retail.cabinet.controller.status", &[0x03, 0xff], 1_280), Some(3.0));
        assert_eq!(value("eastron-sdm230", "hw.energy", &[0x3f, 0x80, 0, 0], 72), Some(3_600_000.0));
        assert!(find("dixel").unwrap_err().contains("dixell-xr"));
    }
}

//! Sensors: ENTITY-SENSOR-MIB (RFC 3433). A value is `value * 10^(scale - precision)` of its type's unit.

use super::label::index;
use super::value::{Name, Value};
use super::{Device, add, below};
use crate::collector::fault::Fault;
use crate::collector::poll::Reading;

const SENSOR: &[u32] = &[1, 3, 6, 1, 2, 1, 99, 1, 1, 1];
const TYPE: u32 = 1;
const SCALE: u32 = 2;
const PRECISION: u32 = 3;
const VALUE: u32 = 4;
const STATUS: u32 = 5;
const SENSORS_MAX: usize = 64;
/// The sensor works.
const OK: i64 = 1;
/// RFC 3433: these stand for an underflow and an overflow.
const NO_VALUES: [i64; 2] = [-1_000_000_000, 1_000_000_000];

impl Device<'_> {
    pub(super) async fn read_sensors(&mut self, reading: &mut Reading) -> Result<(), Fault> {
        let (sensors, _) = self.client.walk(&below(SENSOR, &[VALUE]), SENSORS_MAX).await?;
        let columns = [TYPE, SCALE, PRECISION, STATUS];
        let names: Vec<Name> = sensors
            .iter()
            .flat_map(|(index, _)| columns.iter().map(|column| below(SENSOR, &below(&[*column], index))))
            .collect();
        let details = self.client.get(&names).await?;
        for ((arcs, value), details) in sensors.iter().zip(details.chunks(columns.len())) {
            let whole: Vec<i64> = details.iter().filter_map(Value::whole).collect();
            let (Some(value), Some(number), &[kind, scale, precision, OK]) =
                (value.whole(), index(arcs), &whole[..])
            else {
                continue;
            };
            if let Some((metric, value)) = measured(kind, scale, precision, value) {
                add(reading, metric, Some(("sensor", &number)), value);
            }
        }
        Ok(())
    }
}

/// The metric of a type, and the value in its unit.
fn measured(kind: i64, scale: i64, precision: i64, value: i64) -> Option<(&'static str, f64)> {
    if NO_VALUES.contains(&value) {
        return None;
    }
    let (metric, unit) = match kind {
        3 | 4 => ("hw.voltage", 1.0),
        6 => ("hw.power", 1.0),
        8 => ("hw.temperature", 1.0),
        9 => ("hw.humidity", 0.01),
        10 => ("hw.fan.speed", 1.0),
        _ => return None,
    };
    // yocto is 1, units 9, yotta 17, in steps of a thousand.
    if !(1..=17).contains(&scale) || !(-8..=9).contains(&precision) {
        return None;
    }
    let exponent = i32::try_from(3 * (scale - 9) - precision).ok()?;
    let value = f64::from(i32::try_from(value).ok()?);
    // Dividing by a power of ten that a double holds gives the nearest double; multiplying by its inverse does not.
    let value = if exponent < 0 { value / 10_f64.powi(-exponent) } else { value * 10_f64.powi(exponent) };
    Some((metric, value * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_and_precision_give_the_unit() {
        assert_eq!(measured(8, 9, 1, 235), Some(("hw.temperature", 23.5)));
        assert_eq!(measured(8, 8, 0, 23_500), Some(("hw.temperature", 23.5)));
        assert_eq!(measured(4, 8, 0, 11_950), Some(("hw.voltage", 11.95)));
        assert_eq!(measured(6, 10, 0, 2), Some(("hw.power", 2_000.0)));
        assert_eq!(measured(9, 9, 0, 50), Some(("hw.humidity", 0.5)));
        assert_eq!(measured(10, 9, 0, 4_200), Some(("hw.fan.speed", 4_200.0)));
    }

    #[test]
    fn what_is_no_measurement_is_none() {
        assert_eq!(measured(8, 9, 0, 1_000_000_000), None);
        assert_eq!(measured(12, 9, 0, 1), None);
        assert_eq!(measured(8, 0, 0, 1), None);
        assert_eq!(measured(8, 9, 99, 1), None);
    }
}

//! UPSs: UPS-MIB (RFC 1628), and the tree of APC for those that have only that.

use super::value::{Name, Value};
use super::{Device, add, below};
use crate::collector::changes::Condition;
use crate::collector::fault::Fault;
use crate::collector::poll::Reading;

const UPS: &[u32] = &[1, 3, 6, 1, 2, 1, 33, 1];
/// Below [`UPS`]: what stands for each line of a UPS that has several.
const INPUT_VOLTAGE: &[u32] = &[3, 3, 1, 3];
const OUTPUT_VOLTAGE: &[u32] = &[4, 4, 1, 2];
const OUTPUT_LOAD: &[u32] = &[4, 4, 1, 5];
const LINES_MAX: usize = 9;
const APC: &[u32] = &[1, 3, 6, 1, 4, 1, 318, 1, 1, 1];

/// A number: where it stands, its metric and place, what it is multiplied by, and what it is at most before that.
struct Number(&'static [u32], &'static str, Option<&'static str>, f64, i64);

const NUMBERS: &[Number] = &[
    Number(&[2, 3, 0], "hw.battery.time_left", None, 60.0, 1 << 20),
    Number(&[2, 4, 0], "hw.battery.charge", None, 0.01, 100),
    Number(&[2, 5, 0], "hw.voltage", Some("battery"), 0.1, 100_000),
    Number(&[2, 7, 0], "hw.temperature", None, 1.0, 200),
    Number(&[6, 1, 0], "retail.ups.alarms", None, 1.0, 1_000),
];
const APC_NUMBERS: &[Number] = &[
    Number(&[2, 2, 1, 0], "hw.battery.charge", None, 0.01, 100),
    Number(&[2, 2, 2, 0], "hw.temperature", None, 1.0, 200),
    Number(&[2, 2, 3, 0], "hw.battery.time_left", None, 0.01, 1 << 32),
    Number(&[3, 2, 1, 0], "hw.voltage", Some("input"), 1.0, 10_000),
    Number(&[4, 2, 1, 0], "hw.voltage", Some("output"), 1.0, 10_000),
    Number(&[4, 2, 3, 0], "retail.ups.load", None, 0.01, 1_000),
];

/// A state: where it stands, its metric, which numbers are a yes and which a no, and its events.
struct State(&'static [u32], &'static str, &'static [i64], &'static [i64], Condition);

const ON_BATTERY: Condition =
    Condition { event: "ups.battery", begins: "on battery", ends: "on mains again" };
const LOW_BATTERY: Condition = Condition {
    event: "ups.low_battery",
    begins: "the battery is low",
    ends: "the battery is not low any more",
};
const REPLACE_BATTERY: Condition = Condition {
    event: "ups.replace_battery",
    begins: "the battery must be replaced",
    ends: "the battery need not be replaced any more",
};
const ALARM: Condition =
    Condition { event: "ups.alarm", begins: "it reports an alarm", ends: "its alarm is over" };

const STATES: &[State] = &[
    // normal; low, depleted
    State(&[2, 1, 0], "retail.ups.low_battery", &[3, 4], &[2], LOW_BATTERY),
    // normal, bypass, booster, reducer; battery
    State(&[4, 1, 0], "retail.ups.on_battery", &[5], &[3, 4, 6, 7], ON_BATTERY),
];
const APC_STATES: &[State] = &[
    State(&[2, 1, 1, 0], "retail.ups.low_battery", &[3], &[2], LOW_BATTERY),
    State(&[2, 2, 4, 0], "retail.ups.replace_battery", &[2], &[1], REPLACE_BATTERY),
    // onBattery; onLine, boost, bypasses, trim
    State(&[4, 1, 1, 0], "retail.ups.on_battery", &[3], &[2, 4, 6, 9, 10, 12], ON_BATTERY),
];

impl Device<'_> {
    pub(super) async fn read_ups(&mut self, reading: &mut Reading) -> Result<(), Fault> {
        self.read_scalars(UPS, NUMBERS, STATES, reading).await?;
        let alarms = reading.values.iter().find(|(series, _)| series == "retail.ups.alarms");
        if let Some((_, count)) = alarms {
            let holds = *count > 0.0;
            self.changes.note(reading, ALARM, holds);
        }
        for (column, metric, place, scale) in [
            (INPUT_VOLTAGE, "hw.voltage", Some("input"), 1.0),
            (OUTPUT_VOLTAGE, "hw.voltage", Some("output"), 1.0),
            (OUTPUT_LOAD, "retail.ups.load", None, 0.01),
        ] {
            let (lines, _) = self.client.walk(&below(UPS, column), LINES_MAX).await?;
            for (at, (_, value)) in lines.iter().enumerate() {
                let Some(value) = value.whole().filter(|value| (0..=10_000).contains(value)) else {
                    continue;
                };
                let line =
                    place.map_or_else(|| format!("line.{}", at + 1), |place| format!("{place}.{}", at + 1));
                let place = if at == 0 { place } else { Some(&*line) };
                add_number(reading, metric, place, value, scale);
            }
        }
        Ok(())
    }

    pub(super) async fn read_apc_ups(&mut self, reading: &mut Reading) -> Result<(), Fault> {
        self.read_scalars(APC, APC_NUMBERS, APC_STATES, reading).await
    }

    async fn read_scalars(
        &mut self,
        base: &[u32],
        numbers: &[Number],
        states: &[State],
        reading: &mut Reading,
    ) -> Result<(), Fault> {
        let places = numbers.iter().map(|number| number.0).chain(states.iter().map(|state| state.0));
        let names: Vec<Name> = places.map(|place| below(base, place)).collect();
        let values = self.client.get(&names).await?;
        let (of_numbers, of_states) = values.split_at(numbers.len());
        for (Number(_, metric, place, scale, highest), value) in numbers.iter().zip(of_numbers) {
            let lowest = if *metric == "hw.temperature" { -100 } else { 0 };
            if let Some(value) = value.whole().filter(|value| (lowest..=*highest).contains(value)) {
                add_number(reading, metric, *place, value, *scale);
            }
        }
        for (State(_, metric, yes, no, condition), value) in states.iter().zip(of_states) {
            let holds = match value {
                Value::Whole(value) if yes.contains(value) => true,
                Value::Whole(value) if no.contains(value) => false,
                // It does not know, or there is no such object.
                _ => continue,
            };
            reading.flag(*metric, holds);
            self.changes.note(reading, *condition, holds);
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "bounded where it is read")]
fn add_number(reading: &mut Reading, metric: &str, place: Option<&str>, value: i64, scale: f64) {
    // A product with 0.1 or 0.01 has digits that nobody measured.
    let value = (value as f64 * scale * 1e6).round() / 1e6;
    add(reading, metric, place.map(|place| ("hw.sensor_location", place)), value);
}

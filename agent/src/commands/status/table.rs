//! The devices, one a line in columns: which, what it shows, how old that is, how it is.

use serde_json::Value;
use storepulse_shared::catalogue::{self, MetricKind};
use storepulse_shared::ids::AGENT_DEVICE;
use storepulse_shared::series;

use super::Page;
use crate::commands::screen::{Tone, columns, cut, fit};
use crate::status::units;

/// Between two columns.
const GAP: usize = 2;
/// The narrowest column of values that says anything.
const VALUES_MIN: usize = 12;
/// The narrowest column of names; where there is no room for it, a device has two lines.
const NAME_MIN: usize = 16;

struct Line {
    name: String,
    values: String,
    age: String,
    state: String,
    tone: Tone,
    error: Option<String>,
}

impl Page {
    pub(super) fn devices(&mut self, devices: &Value, now_ms: i64) {
        // The agent's own figures are no device in the shop.
        let devices = devices.as_object().into_iter().flatten().filter(|(id, _)| *id != AGENT_DEVICE);
        let lines: Vec<Line> = devices.map(|(id, device)| self.line(id, device, now_ms)).collect();
        if lines.is_empty() {
            return self.lines.push(self.words.no_devices.to_owned());
        }
        self.lines.push(self.screen.paint(Tone::Bold, self.words.devices));
        let widest =
            |of: fn(&Line) -> &str| lines.iter().map(|line| columns(of(line))).max().unwrap_or_default();
        let (age, state) = (widest(|line| &line.age), widest(|line| &line.state));
        let width = self.screen.width();
        let left = width.saturating_sub(age + state + 2 * GAP);
        let name = widest(|line| &line.name).min(left.min(width / 3).max(NAME_MIN));
        // On a narrow screen what a device shows gives way: its age and its state say more.
        let values = left.checked_sub(name + GAP).filter(|room| *room >= VALUES_MIN);
        let gap = " ".repeat(GAP);
        for line in &lines {
            let state = self.screen.paint(line.tone, &fit(&line.state, state));
            let end = format!("{gap}{}{gap}{}", fit(&line.age, age), state.trim_end());
            if left < name {
                self.lines.push(cut(&line.name, width));
                self.lines.push(end);
            } else {
                let values = values.map(|room| self.screen.paint(line.tone, &fit(&line.values, room)));
                let values = values.map(|values| gap.clone() + &values).unwrap_or_default();
                self.lines.push(format!("{}{values}{end}", fit(&line.name, name)));
            }
            if let Some(error) = &line.error {
                self.wrapped(GAP, Tone::Dim, error);
            }
        }
    }

    fn line(&self, id: &str, device: &Value, now_ms: i64) -> Line {
        let state = device["state"].as_str().unwrap_or("unknown");
        let error = device["last_error"]["text"].as_str().filter(|_| state != "ok");
        Line {
            name: format!("{id} ({})", device["kind"].as_str().unwrap_or("-")),
            values: shown(&device["values"]),
            age: self.age(&device["last_good_ms"], now_ms),
            state: self.words.state(state).to_owned(),
            tone: match state {
                "ok" => Tone::Good,
                "stale" | "unknown" => Tone::Dim,
                _ => Tone::Bad,
            },
            error: error.map(str::to_owned),
        }
    }
}

/// What a device shows, as `temperature 4.2 °C, humidity 0.65`.
fn shown(values: &Value) -> String {
    let values = values.as_object().into_iter().flatten();
    let all = values.filter_map(|(name, reading)| Some(value(name, reading["value"].as_f64()?)));
    all.collect::<Vec<_>>().join(", ")
}

/// A value as people read it: with its unit, or the name of its state.
fn value(name: &str, value: f64) -> String {
    let Ok(parsed) = series::parse(name) else { return format!("{name} {value}") };
    let known = catalogue::find(parsed.metric);
    let short =
        ["retail.", "hw.", "system.", "agent."].iter().find_map(|prefix| parsed.metric.strip_prefix(prefix));
    let labels: Vec<&str> = parsed.labels.iter().map(|(_, value)| value.as_ref()).collect();
    let of = if labels.is_empty() { String::new() } else { format!("[{}]", labels.join(" ")) };
    let said = match known.map(|metric| (metric.kind, metric.unit)) {
        Some((MetricKind::State(states), _)) => {
            state(states, value).map_or_else(|| value.to_string(), str::to_owned)
        }
        Some((_, "By")) if value >= 0.0 => units::bytes(whole(value)),
        Some((_, "s")) if value.abs() >= 60.0 => {
            units::duration(i64::try_from(whole(value.abs())).unwrap_or(0).saturating_mul(1_000))
        }
        Some((_, "Cel")) => format!("{} °C", short_number(value)),
        Some((_, "1")) | None => short_number(value),
        Some((_, unit)) if unit.starts_with('{') => short_number(value),
        Some((_, unit)) => format!("{} {unit}", short_number(value)),
    };
    format!("{}{of} {said}", short.unwrap_or(parsed.metric))
}

fn state(states: &'static [&'static str], value: f64) -> Option<&'static str> {
    let state = states.get(usize::try_from(whole(value)).ok()?)?;
    (value.fract() == 0.0 && value >= 0.0).then_some(state)
}

/// Three digits behind the point at most.
fn short_number(value: f64) -> String {
    format!("{}", (value * 1_000.0).round() / 1_000.0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float ends at the limits"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_with_their_units() {
        for (series, number, said) in [
            ("hw.temperature", 4.200_000_1, "temperature 4.2 °C"),
            ("hw.humidity", 0.65, "humidity 0.65"),
            ("retail.printer.paper.state", 2.0, "printer.paper.state out"),
            ("retail.printer.paper.state", 7.0, "printer.paper.state 7"),
            ("hw.temperature{hw.id=\"back\"}", -18.0, "temperature[back] -18 °C"),
            ("system.memory.limit", 1_000_000_000.0, "memory.limit 1 GB"),
            ("retail.device.uptime", 7_200.0, "device.uptime 2 h"),
            ("retail.scale.weight", 1.25, "scale.weight 1.25 kg"),
            ("own.thing", 3.0, "own.thing 3"),
        ] {
            assert_eq!(value(series, number), said);
        }
    }
}

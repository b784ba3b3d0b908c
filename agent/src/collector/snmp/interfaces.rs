//! Interfaces: IF-MIB (RFC 2863). Counters of 64 bits where there are any; version 1 has none.

use std::collections::HashSet;

use super::label::label;
use super::settings::Version;
use super::value::{Name, Value};
use super::{Device, add, below};
use crate::collector::fault::{Fault, FaultKind};
use crate::collector::poll::Reading;

const IF_ENTRY: &[u32] = &[1, 3, 6, 1, 2, 1, 2, 2, 1];
const IF_X_ENTRY: &[u32] = &[1, 3, 6, 1, 2, 1, 31, 1, 1, 1];
const DESCR: u32 = 2;
const OPER_STATUS: u32 = 8;
const IN_OCTETS: u32 = 10;
const IN_ERRORS: u32 = 14;
const OUT_OCTETS: u32 = 16;
const OUT_ERRORS: u32 = 20;
const X_NAME: u32 = 1;
const X_HC_IN: u32 = 6;
const X_HC_OUT: u32 = 10;

/// Whether `ifOperStatus` says that there is a link; being tested, unknown and the like are neither.
const fn is_up(status: i64) -> Option<bool> {
    match status {
        1 => Some(true),
        // down, notPresent, lowerLayerDown
        2 | 6 | 7 => Some(false),
        _ => None,
    }
}

struct Interface {
    label: String,
    index: Name,
}

impl Device<'_> {
    pub(super) async fn read_interfaces(&mut self, reading: &mut Reading) -> Result<(), Fault> {
        let interfaces = self.find_interfaces().await?;
        let has_wide = self.settings.version != Version::V1;
        let columns = [
            below(IF_ENTRY, &[OPER_STATUS]),
            below(IF_ENTRY, &[IN_ERRORS]),
            below(IF_ENTRY, &[OUT_ERRORS]),
            if has_wide { below(IF_X_ENTRY, &[X_HC_IN]) } else { below(IF_ENTRY, &[IN_OCTETS]) },
            if has_wide { below(IF_X_ENTRY, &[X_HC_OUT]) } else { below(IF_ENTRY, &[OUT_OCTETS]) },
        ];
        let names: Vec<Name> = interfaces
            .iter()
            .flat_map(|interface| columns.iter().map(|column| below(column, &interface.index)))
            .collect();
        let mut values = self.client.get(&names).await?;
        if has_wide {
            self.fill_in_narrow(&interfaces, &mut values, columns.len()).await?;
        }
        for (interface, values) in interfaces.iter().zip(values.chunks(columns.len())) {
            self.add_interface(&interface.label, values, reading);
        }
        Ok(())
    }

    /// Names of interfaces that may be labels, each once.
    async fn find_interfaces(&mut self) -> Result<Vec<Interface>, Fault> {
        let rows_max = self.settings.interfaces_max;
        let (mut rows, mut has_more) = self.client.walk(&below(IF_X_ENTRY, &[X_NAME]), rows_max).await?;
        if rows.is_empty() {
            (rows, has_more) = self.client.walk(&below(IF_ENTRY, &[DESCR]), rows_max).await?;
        }
        if has_more {
            let text = format!("more than {rows_max} interfaces (interfaces_max): the others are left out");
            self.note(FaultKind::TooManySeries, text);
        }
        let mut seen = HashSet::new();
        let (mut interfaces, mut refused) = (Vec::new(), 0);
        for (index, value) in rows {
            let name = if let Value::Bytes(bytes) = &value { label(bytes) } else { None };
            match name {
                Some(name) if seen.insert(name.to_owned()) => {
                    interfaces.push(Interface { label: name.to_owned(), index });
                }
                _ => refused += 1,
            }
        }
        if refused > 0 {
            let text =
                format!("{refused} interfaces left out: their names are taken twice, or could be free text");
            self.note(FaultKind::Parse, text);
        }
        Ok(interfaces)
    }

    /// Devices that speak version 2c and have only counters of 32 bits are still sold.
    async fn fill_in_narrow(
        &mut self,
        interfaces: &[Interface],
        values: &mut [Value],
        columns: usize,
    ) -> Result<(), Fault> {
        let mut places = Vec::new();
        let mut names = Vec::new();
        for (at, interface) in interfaces.iter().enumerate() {
            for (column, narrow) in [(3, IN_OCTETS), (4, OUT_OCTETS)] {
                let place = at * columns + column;
                if values.get(place) == Some(&Value::Missing) {
                    places.push(place);
                    names.push(below(IF_ENTRY, &below(&[narrow], &interface.index)));
                }
            }
        }
        for (place, value) in places.into_iter().zip(self.client.get(&names).await?) {
            values[place] = value;
        }
        Ok(())
    }

    fn add_interface(&mut self, interface: &str, values: &[Value], reading: &mut Reading) {
        let [status, in_errors, out_errors, received, sent] = values else { return };
        let label = Some(("interface", interface));
        if let Some(up) = status.whole().and_then(is_up) {
            add(reading, "hw.network.up", label, f64::from(u8::from(up)));
        }
        let both = [("in", in_errors), ("out", out_errors)];
        let errors: Vec<f64> = both
            .iter()
            .filter_map(|(way, count)| self.count(&format!("errors {way} {interface}"), count))
            .collect();
        if !errors.is_empty() {
            add(reading, "hw.errors", label, errors.iter().sum());
        }
        for (metric, count) in [("hw.network.io.receive", received), ("hw.network.io.transmit", sent)] {
            if let Some(count) = self.count(&format!("{metric} {interface}"), count) {
                add(reading, metric, label, count);
            }
        }
    }

    fn count(&mut self, what: &str, value: &Value) -> Option<f64> {
        match value {
            Value::Count(count) => Some(self.counters.wide(what, *count)),
            Value::Whole(count) => {
                let count = u32::try_from(*count).ok()?;
                Some(self.counters.narrow(what, count, self.identity.has_restarted))
            }
            _ => None,
        }
    }
}

//! Who the device is, and since when it runs: sysObjectID, sysUpTime and sysName of RFC 3418. The name is compared and never told.

use super::value::{Name, Value};
use super::{Device, below};
use crate::collector::fault::Fault;
use crate::collector::poll::Reading;

const SYSTEM: &[u32] = &[1, 3, 6, 1, 2, 1, 1];
const OBJECT_ID: &[u32] = &[2, 0];
const UP_TIME: &[u32] = &[3, 0];
const NAME: &[u32] = &[5, 0];

/// Hundredths of a second after which sysUpTime begins again: 497 days.
const UP_TIME_WRAPS: i64 = 1 << 32;
/// A device that was so near to that has not restarted.
const NEAR: i64 = 24 * 3_600 * 100;

/// Who it was when it was last asked.
#[derive(Debug, Default)]
pub(super) struct Identity {
    model: Option<Name>,
    name: Option<Vec<u8>>,
    up_time: Option<i64>,
    /// It has started again since the reading before.
    pub has_restarted: bool,
}

impl Identity {
    fn take(&mut self, model: &Value, name: &Value, up_time: Option<i64>, reading: &mut Reading) {
        if let Value::Name(model) = model {
            if self.model.as_ref().is_some_and(|before| before != model) {
                reading.event("device.replaced", "a device of another make or model answers at its address");
            }
            self.model = Some(model.clone());
        }
        if let Value::Bytes(name) = name {
            if self.name.as_ref().is_some_and(|before| before != name) {
                reading.event("device.replaced", "a device of another name (sysName) answers at its address");
            }
            self.name = Some(name.clone());
        }
        self.has_restarted = match (self.up_time, up_time) {
            (Some(before), Some(now)) => now < before && before < UP_TIME_WRAPS - NEAR,
            _ => false,
        };
        if self.has_restarted {
            reading.event("device.restarted", "the device has started again");
        }
        self.up_time = up_time.or(self.up_time);
    }
}

impl Device<'_> {
    /// Asks who it is. Every agent has these, so this is also how silence is noticed.
    pub(super) async fn identify(&mut self, reading: &mut Reading) -> Result<(), Fault> {
        let names = [OBJECT_ID, UP_TIME, NAME].map(|rest| below(SYSTEM, rest));
        let values = self.client.get(&names).await?;
        if let [model, up_time, name] = &values[..] {
            self.identity.take(model, name, up_time.whole(), reading);
        }
        Ok(())
    }

    pub(super) fn add_uptime(&self, reading: &mut Reading) {
        if let Some(hundredths) = self.identity.up_time.and_then(|up| u32::try_from(up).ok()) {
            reading.value("retail.device.uptime", f64::from(hundredths) / 100.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(readings: &[(&[u32], &str, i64)]) -> Vec<String> {
        let mut identity = Identity::default();
        let mut reading = Reading::default();
        for (model, name, up_time) in readings {
            let name = Value::Bytes(name.as_bytes().to_vec());
            identity.take(&Value::Name(model.to_vec()), &name, Some(*up_time), &mut reading);
        }
        reading.events.into_iter().map(|(kind, _)| kind.into_owned()).collect()
    }

    #[test]
    fn a_restart_is_told_from_a_clock_that_began_again() {
        assert_eq!(events(&[(&[1], "a", 500), (&[1], "a", 900)]), [""; 0]);
        assert_eq!(events(&[(&[1], "a", 900), (&[1], "a", 30)]), ["device.restarted"]);
        assert_eq!(events(&[(&[1], "a", UP_TIME_WRAPS - 50), (&[1], "a", 30)]), [""; 0]);
    }

    #[test]
    fn another_device_at_the_address_is_told() {
        assert_eq!(events(&[(&[1], "a", 1), (&[2], "a", 2)]), ["device.replaced"]);
        assert_eq!(events(&[(&[1], "a", 1), (&[1], "b", 2)]), ["device.replaced"]);
    }
}

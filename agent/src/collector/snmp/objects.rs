//! Objects of one's own, as the configuration lists them.

use super::Device;
use super::settings::Object;
use super::value::{Name, Value};
use crate::collector::fault::{Fault, FaultKind};
use crate::collector::poll::Reading;

/// What a value is for an object.
#[derive(Debug, PartialEq)]
enum Read {
    Value(f64),
    /// It stands for none.
    None,
    /// It is no number, or no state that is listed.
    Bad,
}

impl Object {
    fn read(&self, value: &Value) -> Read {
        let Some(number) = value.number() else { return Read::Bad };
        if self.invalid.contains(&number) {
            return Read::None;
        }
        if self.states.is_empty() {
            return Read::Value(number * self.scale + self.offset);
        }
        value.whole().and_then(|whole| self.states.get(&whole)).map_or(Read::Bad, |state| Read::Value(*state))
    }
}

impl Device<'_> {
    pub(super) async fn read_objects(&mut self, reading: &mut Reading) -> Result<(), Fault> {
        let names: Vec<Name> = self.settings.oids.iter().map(|object| object.oid.clone()).collect();
        let values = self.client.get(&names).await?;
        for (object, value) in self.settings.oids.iter().zip(&values) {
            let metric = &object.metric;
            if *value == Value::Missing {
                let text =
                    format!("it has no object for {metric}; see its oid, and whether it ends in an index");
                self.ctx.sink.error(FaultKind::Unsupported, text);
                continue;
            }
            match object.read(value) {
                Read::Value(value) => reading.value(metric.as_str(), value),
                Read::None => {}
                Read::Bad => {
                    let text = format!("{metric}: its object is no number, or no state that is listed");
                    self.ctx.sink.error(FaultKind::Parse, text);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(yaml: &str) -> Object {
        serde_yaml::from_str(&format!("{{ metric: a, oid: 1.3.6.1, {yaml} }}")).unwrap()
    }

    #[test]
    fn numbers_are_scaled_and_sentinels_are_none() {
        let object = object("scale: 0.5, offset: -1, invalid: [-1, 32767]");
        assert_eq!(object.read(&Value::Whole(10)), Read::Value(4.0));
        assert_eq!(object.read(&Value::Bytes(b"10".to_vec())), Read::Value(4.0));
        assert_eq!(object.read(&Value::Whole(32_767)), Read::None);
        assert_eq!(object.read(&Value::Bytes(b"ten".to_vec())), Read::Bad);
        assert_eq!(object.read(&Value::Other), Read::Bad);
    }

    #[test]
    fn a_state_that_is_not_listed_is_no_reading() {
        let object = object("states: { 1: 1, 2: 0 }");
        assert_eq!(object.read(&Value::Whole(2)), Read::Value(0.0));
        assert_eq!(object.read(&Value::Whole(3)), Read::Bad);
    }
}

//! The key: whether it can be read, and whether it is one; it is recognised offline by its check digits.

use storepulse_shared::key::StoreKey;

use super::check::Check;
use crate::config::{Config, KeyError, KeySource};
use crate::finding::{Finding, Problem};

pub(super) const KEY: &str = "key";

/// Reads it.
pub(super) fn look(config: &Config) -> (Option<StoreKey>, Check) {
    match KeySource::new(&config.cloud, &config.state_dir).read() {
        Ok(key) => {
            let id = key.id().map_or_else(|| "imported".to_owned(), |id| format!("id {id}"));
            let evidence = format!("tenant {}, store {}, {id}", key.tenant(), key.store());
            (Some(key), Check::pass(KEY, evidence))
        }
        Err(error) => (None, Check::found(KEY, of(&error), error.to_string())),
    }
}

fn of(error: &KeyError) -> Finding {
    match error {
        KeyError::Read { path, .. } => {
            Finding::new(Problem::KeyUnreadable).with("path", path.display().to_string())
        }
        KeyError::Form { .. } => Finding::new(Problem::KeyMistyped),
        // Its text begins with the path.
        KeyError::Own(error) => {
            let text = error.to_string();
            let path = text.split(": ").next().unwrap_or_default().to_owned();
            Finding::new(Problem::KeyUnreadable).with("path", path)
        }
    }
}

//! `check`: is the configuration right, and is what it names there? Starts nothing and changes nothing.

use std::io::Write;
use std::process::ExitCode;

use super::BAD_CONFIG;
use crate::config::{Config, KeySource};
use crate::uplink;

pub(super) fn run(config: &Config, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let key = match KeySource::new(&config.cloud, &config.state_dir).read() {
        Ok(key) => {
            let id = key.id().map_or_else(|| "imported".to_owned(), |id| format!("id {id}"));
            Ok(format!("tenant {}, store {}, {id}", key.tenant(), key.store()))
        }
        Err(error) => Err(error.to_string()),
    };
    let tls = uplink::check(&config.cloud).map(|()| config.cloud.url.clone()).map_err(|e| e.to_string());
    let mut good = true;
    let tokens = config.push.iter().flat_map(|push| &push.tokens);
    let tokens = tokens.map(|token| {
        let read = token.read().map(|read| format!("{}, id {}", token.name, read.id()));
        ("push token", read.map_err(|e| e.to_string()))
    });
    for (what, finding) in [("key", key), ("cloud", tls)].into_iter().chain(tokens) {
        good &= finding.is_ok();
        let (mark, text) = match finding {
            Ok(text) => ("ok  ", text),
            Err(text) => ("BAD ", text),
        };
        writeln!(out, "{mark} {what}: {text}")?;
    }
    writeln!(out, "ok   devices: {}", config.devices.len())?;
    for (id, kind) in &config.devices {
        writeln!(out, "     {id}: {}", kind.name())?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(BAD_CONFIG) })
}

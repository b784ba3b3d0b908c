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
    good &= check_page(config, out)?;
    writeln!(out, "ok   devices: {}", config.devices.len())?;
    for (id, kind) in &config.devices {
        writeln!(out, "     {id}: {}", kind.name())?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(BAD_CONFIG) })
}

/// Who sees the page, and whether it has a PIN.
fn check_page(config: &Config, out: &mut impl Write) -> std::io::Result<bool> {
    let local = &config.local;
    let reach = if local.listen.ip().is_loopback() { "this box only" } else { "the network sees it" };
    let Some(pin) = local.pin() else {
        writeln!(out, "ok   page: {}, {reach}; it only shows: no local.pin_file", local.listen)?;
        return Ok(true);
    };
    if let Err(error) = pin.read() {
        writeln!(out, "BAD  page: {error}")?;
        return Ok(false);
    }
    writeln!(out, "ok   page: {}, {reach}; with a PIN", local.listen)?;
    for warning in pin.warnings() {
        writeln!(out, "WARN page: {warning}")?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_that_is_none_is_bad_and_one_that_others_can_read_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let text =
            "cloud: {url: 'https://cloud.example', key_file: k}\nstate_dir: s\nlocal: {pin_file: page.pin}\n";
        let config = Config::parse(text, &dir.path().join("agent.yaml")).unwrap();
        let checked = || {
            let mut out = Vec::new();
            let good = check_page(&config, &mut out).unwrap();
            (good, String::from_utf8(out).unwrap())
        };
        let (good, text) = checked();
        assert!(!good && text.starts_with("BAD  page: PIN file "), "{text}");
        std::fs::write(dir.path().join("page.pin"), "73910").unwrap();
        let (good, text) = checked();
        assert!(!good && text.contains("6 to 12 digits") && !text.contains("73910"), "{text}");
        std::fs::write(dir.path().join("page.pin"), "739105").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o604);
        std::fs::set_permissions(dir.path().join("page.pin"), mode).unwrap();
        let (good, text) = checked();
        assert!(good && text.contains("with a PIN") && text.contains("WARN page: others"), "{text}");
    }
}

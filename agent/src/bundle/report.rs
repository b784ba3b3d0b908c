//! The parts of a bundle, what matters most first.

use serde_json::Value;

use super::gather::Gathered;
use super::section::{Keep, Section};
use super::told::{self, NOTHING};

/// Columns of tables, as the fields are called.
const LANES: [&str; 6] =
    ["lane", "open_rows", "waiting_batches", "waiting_samples", "waiting_bytes", "oldest_ms"];
const EPOCHS: [&str; 7] =
    ["epoch", "forwarded", "sealed", "through", "waiting_batches", "waiting_samples", "losses"];
const LOSSES: [&str; 8] = ["id", "lane", "from", "to", "samples", "events", "reason", "seqs"];
const ITEMS: [&str; 10] =
    ["id", "batch", "lane", "refused_ms", "samples", "events", "from_ms", "to_ms", "refusal", "replayed"];
const PORTS: [&str; 5] = ["path", "usb", "product", "holder", "links"];
const CHECKS: [&str; 7] = ["outcome", "name", "device", "text", "next", "evidence", "problem"];
const INTERFACES: [&str; 3] = ["name", "connected", "addresses"];

/// All parts. The sum of their limits leaves room for what is around them.
pub(super) fn sections(of: &Gathered) -> Vec<Section<'_>> {
    let new = |id, title, kib| Section::new(id, title, kib, &of.configuration.redactor);
    vec![
        verdict(of, new("verdict", "Verdict and findings", 48)),
        doctor(of, new("doctor", "Doctor", 96)),
        devices(of, new("devices", "Devices", 256)),
        agent(of, new("agent", "Agent and uplink", 32)),
        spool(of, new("spool", "Spool", 64)),
        losses(of, new("losses", "Losses", 64)),
        quarantine(of, new("quarantine", "Quarantine", 96)),
        ports(of, new("ports", "Serial ports", 32)),
        network(of, new("network", "Network", 32)),
        machine(of, new("box", "Box and versions", 32)),
        container(of, new("container", "Container and limits", 96)),
        configuration(of, new("configuration", "Configuration", 256)),
        log(of, new("log", "Last lines of the log", 384)),
        kernel(of, new("kernel", "Messages of the kernel", 96)),
        environment(of, new("environment", "Environment, names only", 16)),
        machines_status(of, new("status-json", "Status, for machines", 384)),
    ]
}

fn status(of: &Gathered) -> &Value {
    of.agent.status.as_ref().unwrap_or(&Value::Null)
}

fn pairs(section: &mut Section<'_>, value: &Value) {
    let fields = told::fields(value);
    let pairs: Vec<(&str, String)> =
        fields.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    section.pairs(&pairs);
}

/// Rows under heads that are called like the fields.
fn table(section: &mut Section<'_>, list: &Value, columns: &[&str], none: &str) {
    let rows = told::rows(list, columns);
    if rows.is_empty() {
        return section.say_as("note", none);
    }
    let heads: Vec<String> =
        columns.iter().map(|name| name.trim_end_matches("_ms").replace('_', " ")).collect();
    section.table(&heads.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
}

fn verdict<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    section.is_open = true;
    if let Some(problem) = &of.configuration.problem {
        section.say_as("verdict broken", "The configuration is not right:");
        section.say(problem);
    }
    let verdict = match &of.agent.status {
        Ok(status) => &status["verdict"],
        Err(why) => {
            section.say_as("verdict broken", "The agent does not run, or does not answer:");
            section.say(why);
            return section;
        }
    };
    match verdict["level"].as_str() {
        Some("ok") => section.say_as("verdict ok", "Everything is read, kept and sent."),
        Some("degraded") => {
            section.say_as("verdict degraded", "Something needs a hand; what was read is kept.")
        }
        Some("broken") => section.say_as("verdict broken", "Samples cannot be taken or kept."),
        _ => section.say_as("note", "This agent gives no verdict."),
    }
    let columns = ["text", "next", "device", "since_ms", "evidence", "problem"];
    table(&mut section, &verdict["findings"], &columns, "No findings.");
    section
}

fn doctor<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    section.is_open = true;
    match &of.doctor {
        Some(report) => {
            section.say("What is wrong, the most fundamental first:");
            table(&mut section, &report["findings"], &CHECKS, "Nothing that it looks at.");
            section.say("Everything that was looked at:");
            table(&mut section, &report["checks"], &CHECKS, "Nothing was checked.");
        }
        None => section.say_as("note", "The doctor was not asked."),
    }
    section
}

fn devices<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    section.is_open = true;
    let devices: Vec<(&String, &Value)> = status(of)["devices"].as_object().into_iter().flatten().collect();
    if devices.is_empty() {
        section.say_as("note", "No device is known.");
        return section;
    }
    let row = |(id, device): &(&String, &Value)| {
        let of_field = |name: &str| told::cell(name, &device[name]);
        let error = &device["last_error"];
        let error = match error["text"].as_str() {
            Some(text) => {
                format!("{} {}: {text}", told::cell("at_ms", &error["at_ms"]), told::cell("", &error["kind"]))
            }
            None => NOTHING.to_owned(),
        };
        let mut row = vec![(*id).clone()];
        row.extend(["kind", "state", "last_good_ms", "attempts", "samples", "errors"].map(of_field));
        row.push(error);
        row
    };
    let heads = ["device", "kind", "state", "last good", "attempts", "samples", "errors", "last error"];
    section.table(&heads, &devices.iter().map(row).collect::<Vec<_>>());
    history(of, &mut section);
    for (id, device) in devices {
        let values = device["values"].as_object().into_iter().flatten();
        let value = |(series, reading): (&String, &Value)| {
            format!(
                "{id}  {series} = {}  at {}",
                told::cell("", &reading["value"]),
                told::cell("t_ms", &reading["t"])
            )
        };
        let mut lines: Vec<String> = values.map(value).collect();
        let seen = device["seen"].as_object().into_iter().flatten();
        lines.extend(seen.map(|(name, value)| format!("{id}  seen: {name} = {value}")));
        if let Some(at_ms) = device["exchange"]["at_ms"].as_i64() {
            let bytes = |name: &str| {
                of.configuration
                    .redactor
                    .clean_exchange(device["exchange"][name].as_str().unwrap_or_default())
            };
            lines.push(format!("{id}  asked {} at {}", bytes("asked"), told::time(at_ms)));
            lines.push(format!("{id}  answered {}", bytes("answered")));
        }
        section.lines(&lines, Keep::First);
    }
    section
}

fn history(of: &Gathered, section: &mut Section<'_>) {
    let strip = |(id, history): (&String, &Value)| Some(format!("{:<24} {}", id, told::strip(history)?));
    let strips: Vec<String> = of.agent.history.iter().filter_map(strip).collect();
    if strips.is_empty() {
        return;
    }
    section.say_as(
        "note",
        "The last 24 hours, a sign for each part: = well, S stale, F fault, U unreachable, · not known.",
    );
    section.lines(&strips, Keep::First);
}

fn agent<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    section.is_open = true;
    let status = status(of);
    if status.is_null() {
        section.say_as("note", "The agent does not run, or does not answer.");
        return section;
    }
    section.pairs(
        &["version", "now_ms", "started_ms", "maintenance_until_ms"]
            .map(|name| (name.trim_end_matches("_ms"), told::cell(name, &status[name]))),
    );
    for (title, name) in
        [("Whose key it has", "identity"), ("The way to the cloud", "uplink"), ("The clock", "clock")]
    {
        section.say(title);
        pairs(&mut section, &status[name]);
    }
    section
}

fn spool<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    match &of.spool {
        Ok(spool) => {
            pairs(&mut section, spool);
            table(&mut section, &spool["lanes"], &LANES, "No lanes.");
            table(&mut section, &spool["epochs"], &EPOCHS, "No epochs.");
        }
        Err(why) => section.say(why),
    }
    section
}

fn losses<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    let Ok(spool) = &of.spool else {
        section.say_as("note", "The spool cannot be read.");
        return section;
    };
    let (losses, samples) = (told::cell("", &spool["losses"]), told::cell("", &spool["lost_samples"]));
    section.say(&format!("Records: {losses}, samples: {samples}. The latest, newest first:"));
    let mut latest = spool["latest_losses"].clone();
    for loss in latest.as_array_mut().into_iter().flatten() {
        for name in ["from", "to"] {
            loss[name] = loss[name].as_i64().map(told::time).into();
        }
    }
    table(&mut section, &latest, &LOSSES, "Nothing was lost.");
    section
}

fn quarantine<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    match &of.quarantine {
        Ok(items) => table(&mut section, items, &ITEMS, "Nothing is in quarantine."),
        Err(why) => section.say(why),
    }
    section
}

fn ports<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    let none = "No serial port with hardware behind it; is /dev passed into the container?";
    table(&mut section, &of.ports, &PORTS, none);
    section
}

fn network<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    pairs(&mut section, &of.network);
    table(&mut section, &of.network["interfaces"], &INTERFACES, "No interfaces.");
    section
}

fn machine<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    section.pairs(&[
        ("agent that made this", env!("CARGO_PKG_VERSION").to_owned()),
        ("agent that runs", told::cell("", &status(of)["version"])),
        ("architecture", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
    ]);
    pairs(&mut section, &of.machine);
    section
}

fn container<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    for (what, text) in &of.container {
        match text.contains('\n') {
            true => {
                section.say(what);
                section.text(text);
            }
            false => section.pairs(&[(what, text.clone())]),
        }
    }
    section
}

fn configuration<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    section.pairs(&[("file", of.config_path.display().to_string())]);
    for unread in &of.configuration.unread {
        section.say_as("note", &format!("A file with a secret could not be read: {unread}. What looks like a secret is hidden even so."));
    }
    match &of.configuration.text {
        Ok(text) => section.text(text),
        Err(why) => section.say(why),
    }
    section
}

fn log<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    match &of.agent.log {
        Ok(lines) if lines.is_empty() => section.say_as("note", "It has said nothing yet."),
        Ok(lines) => section.lines(lines, Keep::Last),
        Err(why) => section.say(why),
    }
    section
}

fn kernel<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    match &of.kernel {
        Ok(lines) => section.lines(lines, Keep::Last),
        Err(why) => section.say(why),
    }
    section
}

fn environment<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    section.lines(&of.environment, Keep::First);
    section
}

fn machines_status<'a>(of: &'a Gathered, mut section: Section<'a>) -> Section<'a> {
    match &of.agent.status {
        Ok(status) => section.json(status),
        Err(why) => section.say(why),
    }
    section
}

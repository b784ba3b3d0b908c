//! `/setup`: what should be there, what is, and what to ask.

use std::path::PathBuf;
use std::time::Duration;

use maud::{Markup, html};

use super::{For, form, hidden, sign_in};
use crate::collector::Plan;
use crate::inventory::{Expected, Instead, Inventory, SeenPort};
use crate::local::setup::words::Words;

/// What the page shows.
pub(in crate::local::setup) struct Home<'a> {
    pub inventory: &'a Inventory,
    /// By the clock of the box, Unix milliseconds UTC.
    pub now_ms: i64,
}

/// The whole of it.
pub(in crate::local::setup) fn home(whom: For<'_>, home: &Home<'_>) -> Markup {
    let words = whom.words;
    let Inventory { devices, ports } = home.inventory;
    html! {
        h1 { (words.say("title")) }
        (count(words, home.inventory))
        section.card #expected {
            h2 { (words.say("devices")) }
            ul.things {
                @for device in devices { (expected(words, device, home.now_ms)) }
            }
        }
        section.card #ports {
            h2 { (words.say("ports")) }
            @if ports.is_empty() { p.soft { (words.say("ports_none")) } }
            ul.things {
                @for port in ports { (seen(whom, port)) }
            }
        }
        section.card #probe {
            h2 { (words.say("probe")) }
            p.soft { (words.say("probe_note")) }
            (sign_in(whom, "/setup"))
            (ask_all(whom, ports))
            (ask_host(whom))
        }
        p { a href="/label" { (words.say("label")) } }
    }
}

fn count(words: Words, inventory: &Inventory) -> Markup {
    let count = inventory.count();
    let (answering, expected) = (count.answering.to_string(), count.expected.to_string());
    let mut parts = vec![if count.expected == 0 {
        words.say("count_none").to_owned()
    } else {
        words.fill("count", &[("answering", &answering), ("expected", &expected)])
    }];
    parts.push(words.count("unassigned", count.unassigned));
    if count.held > 0 {
        parts.push(words.count("held", count.held));
    }
    html! {
        p.count data-expected=(expected) data-found=(answering) data-unassigned=(count.unassigned)
            data-held=(count.held) { (parts.join(", ")) }
    }
}

fn expected(words: Words, device: &Expected, now_ms: i64) -> Markup {
    let id = device.id.as_str();
    let standing = device.standing.name();
    let said = words.find(&format!("standing.{standing}")).unwrap_or(standing);
    let good = match device.known.last_good_ms {
        Some(at) => words.ago(at, now_ms),
        None => words.say("never").to_owned(),
    };
    html! {
        li data-expected=(id) data-found=(standing) {
            p { strong { a href={ "/device/" (id) } { (id) } } " (" (words.kind(device.kind)) "): " span.standing { (said) } }
            dl.facts {
                dt { (words.say("place")) } dd { (device.place.as_deref().unwrap_or(words.say("this_box"))) }
                @if let Some(port) = device.port.as_ref().filter(|port| device.place.as_deref() != port.to_str()) {
                    dt { "\u{2192}" } dd { (port.display()) }
                }
                @if let Some(adapter) = &device.adapter { dt { (words.say("adapter")) } dd { (adapter) } }
                @if let Some(socket) = &device.socket { dt { (words.say("socket")) } dd { (socket.display()) } }
                dt { (words.say("last_good")) } dd { (good) }
                @if let Some(instead) = &device.instead {
                    dt { (words.say("instead")) } dd.instead { (found_instead(words, instead)) }
                }
            }
            (steps(words, device))
        }
    }
}

fn found_instead(words: Words, instead: &Instead) -> String {
    match instead {
        Instead::Holder(holder) => words.fill("instead.holder", &[("holder", holder)]),
        Instead::SameMake { name, usb } => {
            words.fill("instead.same_make", &[("name", &name.to_string_lossy()), ("usb", usb)])
        }
        Instead::FreePorts(names) => {
            let names: Vec<_> = names.iter().map(|name: &PathBuf| name.to_string_lossy()).collect();
            words.fill("instead.free", &[("names", &names.join(", "))])
        }
        Instead::Nothing => words.say("instead.nothing").to_owned(),
        Instead::Error(why) => why.clone(),
    }
}

/// The guided steps that a kind has.
fn steps(words: Words, device: &Expected) -> Markup {
    match device.kind {
        "escpos" => html! { p { a href={ "/setup/drawer/" (device.id) } { (words.say("drawer_step")) } } },
        "scale" => html! { p { a href={ "/setup/scale/" (device.id) } { (words.say("scale_step")) } } },
        _ => html! {},
    }
}

fn seen(whom: For<'_>, port: &SeenPort) -> Markup {
    let words = whom.words;
    let devices: Vec<&str> = port.devices.iter().map(|id| id.as_str()).collect();
    let (state, said) = if let Some(holder) = port.stranger() {
        ("held", words.fill("port.held", &[("holder", holder)]))
    } else if port.is_probed() {
        ("probed", words.say("port.probed").to_owned())
    } else if devices.is_empty() {
        ("unassigned", words.say("port.unassigned").to_owned())
    } else {
        ("assigned", words.fill("port.assigned", &[("devices", &devices.join(", "))]))
    };
    let name = port.entry.stable_name().to_string_lossy();
    let inside = html! {
        (hidden("place", &name))
        button { (words.say("probe_one")) }
        " " span.soft { (takes(words, Plan::of_port())) }
    };
    html! {
        li data-port=(port.entry.path.display()) data-state=(state) {
            p { strong { (port.entry.path.display()) } ": " (said) }
            dl.facts {
                @if let Some(adapter) = port.adapter() { dt { (words.say("adapter")) } dd { (adapter) } }
                @if let Some(socket) = port.entry.socket() { dt { (words.say("socket")) } dd { (socket.display()) } }
            }
            @if port.is_free() { (form(whom, "/setup/probe", "probe", &inside)) }
        }
    }
}

fn ask_all(whom: For<'_>, ports: &[SeenPort]) -> Markup {
    let words = whom.words;
    let free = ports.iter().filter(|port| port.is_free() && port.is_unassigned()).count();
    if free == 0 {
        return html! { p.soft { (words.say("no_free")) } };
    }
    let plan = (0..free).fold(Plan::default(), |plan, _| plan.and(Plan::of_port()));
    let inside = html! {
        (hidden("place", ""))
        button { (words.say("probe_all")) }
        " " span.soft { (takes(words, plan)) }
    };
    form(whom, "/setup/probe", "probe", &inside)
}

fn ask_host(whom: For<'_>) -> Markup {
    let words = whom.words;
    let inside = html! {
        label {
            (words.say("host"))
            input name="place" required maxlength="253" autocapitalize="none" autocomplete="off" spellcheck="false";
        }
        button { (words.say("probe_host")) }
        " " span.soft { (takes(words, Plan::of_host())) }
    };
    form(whom, "/setup/probe", "probe", &inside)
}

fn takes(words: Words, plan: Plan) -> String {
    let at_least_one = |span: Duration| words.span(span.max(Duration::from_secs(1)));
    words.fill("takes", &[("silent", &at_least_one(plan.silent)), ("longest", &at_least_one(plan.longest))])
}

#[cfg(test)]
mod tests {
    use super::super::{HOSTILE, assert_harmless, reader};
    use super::*;
    use crate::collector::PortEntry;
    use crate::inventory::{Known, Standing};
    use crate::language::Language;

    fn device(kind: &'static str, standing: Standing, instead: Option<Instead>) -> Expected {
        Expected {
            id: format!("{kind}-1").parse().unwrap(),
            kind,
            place: Some("/dev/serial/by-id/x".to_owned()),
            is_on_a_port: true,
            port: Some("/dev/ttyUSB0".into()),
            adapter: Some("FT232R, 0403:6001:A1".to_owned()),
            socket: None,
            standing,
            known: Known { last_good_ms: Some(0), ..Known::default() },
            instead,
        }
    }

    fn port(product: &str, holder: Option<&str>) -> SeenPort {
        let entry = PortEntry {
            path: "/dev/ttyUSB1".into(),
            links: Vec::new(),
            usb: None,
            product: Some(product.to_owned()),
            holder: holder.map(str::to_owned),
        };
        SeenPort { entry, devices: Vec::new(), reader: None }
    }

    fn shown(is_signed_in: bool, inventory: &Inventory) -> Markup {
        let whom = reader(is_signed_in);
        home(For::new(&whom), &Home { inventory, now_ms: 240_000 })
    }

    #[test]
    fn the_count_stands_at_the_top_in_every_language() {
        let devices =
            vec![device("scale", Standing::Answers, None), device("escpos", Standing::Silent, None)];
        let inventory = Inventory { devices, ports: vec![port("x", None)] };
        for (language, line) in [
            (Language::En, "1 of 2 devices answer, 1 port unassigned"),
            (Language::Es, "Responden 1 de 2 dispositivos, 1 puerto sin asignar"),
            (Language::Pt, "Respondem 1 de 2 dispositivos, 1 porta sem dispositivo"),
        ] {
            let whom = crate::local::reader::Reader { language, ..reader(false) };
            let shown = home(For::new(&whom), &Home { inventory: &inventory, now_ms: 0 }).into_string();
            assert!(shown.contains(line), "{shown}");
            assert!(shown.contains(r#"data-expected="2" data-found="1" data-unassigned="1""#), "{shown}");
        }
    }

    #[test]
    fn each_device_and_port_can_be_found_by_what_became_of_it() {
        let devices = vec![
            device("scale", Standing::Missing, Some(Instead::Nothing)),
            device("escpos", Standing::Answers, None),
        ];
        let ports = vec![port("x", None), port("y", Some("process 77 (posd)"))];
        let html = shown(true, &Inventory { devices, ports }).into_string();
        for part in [
            r#"data-expected="scale-1" data-found="missing""#,
            r#"data-expected="escpos-1" data-found="answers""#,
            r#"data-port="/dev/ttyUSB1" data-state="unassigned""#,
            r#"data-port="/dev/ttyUSB1" data-state="held""#,
            "/setup/scale/scale-1",
            "/setup/drawer/escpos-1",
            "process 77 (posd) has it open",
            "4 min ago",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        assert_eq!(
            html.matches(r#"data-action="probe""#).count(),
            3,
            "the free port, all of them, a host: {html}"
        );
    }

    #[test]
    fn nothing_can_be_done_without_a_session() {
        let html =
            shown(false, &Inventory { devices: Vec::new(), ports: vec![port("x", None)] }).into_string();
        assert!(!html.contains("<form") && html.contains("/sign-in?then=/setup"), "{html}");
        let whom = crate::local::reader::Reader { can_sign_in: false, ..reader(false) };
        let html = home(For::new(&whom), &Home { inventory: &Inventory::default(), now_ms: 0 }).into_string();
        assert!(html.contains("storepulse-agent devices --probe") && !html.contains("/sign-in"), "{html}");
    }

    #[test]
    fn names_errors_and_holders_stay_text() {
        let error = Some(Instead::Error(HOSTILE.to_owned()));
        for inventory in [
            Inventory { devices: vec![device("scale", Standing::Fault, error)], ports: Vec::new() },
            Inventory { devices: Vec::new(), ports: vec![port(HOSTILE, None)] },
            Inventory { devices: Vec::new(), ports: vec![port("x", Some(HOSTILE))] },
            Inventory {
                devices: vec![Expected {
                    place: Some(HOSTILE.to_owned()),
                    ..device("snmp", Standing::Silent, None)
                }],
                ports: Vec::new(),
            },
        ] {
            assert_harmless(&shown(true, &inventory));
        }
    }
}

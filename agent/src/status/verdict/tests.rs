//! One thing broken at a time, and some together.

use std::net::IpAddr;

use storepulse_shared::ids::DeviceId;

use super::*;
use crate::board::{Board, DeviceState};
use crate::finding::Problem::*;
use crate::status::{Interface, Network};
use crate::time::Authority;
use crate::uplink::{Cause, UplinkState};

const NOW: i64 = 1_795_000_000_000;
const MINUTE: i64 = 60_000;

fn of(change: impl FnOnce(&mut AgentStatus)) -> Verdict {
    let mut status = AgentStatus::well(NOW);
    change(&mut status);
    Verdict::of(&status)
}

fn problems(verdict: &Verdict) -> Vec<Problem> {
    verdict.findings.iter().map(|finding| finding.problem).collect()
}

/// The agent after this happened to a device.
fn with_device(id: &str, happened: impl FnOnce(&Board, &DeviceId)) -> Verdict {
    let device: DeviceId = id.parse().unwrap();
    let board = Board::default();
    board.add(&device, "escpos");
    happened(&board, &device);
    of(|status| {
        status.devices = board.snapshot();
        status.places.ports.insert(device, "/dev/ttyUSB0".to_owned());
    })
}

/// The way broken by this for so long.
fn broken(cause: Cause, for_ms: i64) -> impl FnOnce(&mut AgentStatus) {
    move |status| {
        status.uplink.state = match cause {
            Cause::Key | Cause::Suspended | Cause::Place | Cause::OwnKey => UplinkState::Held,
            Cause::Busy => UplinkState::Waiting,
            _ => UplinkState::Failing,
        };
        status.uplink.cause = Some(cause);
        status.uplink.since_ms = Some(NOW - for_ms);
        status.uplink.reason = Some("the reason".to_owned());
    }
}

fn interface(name: &str, connected: Option<bool>, addresses: &[&str]) -> Interface {
    let addresses = addresses.iter().map(|text| text.parse::<IpAddr>().unwrap()).collect();
    Interface { name: name.to_owned(), connected, addresses }
}

#[test]
fn all_is_well_where_nothing_is_wrong() {
    let verdict = of(|_| {});
    assert_eq!((verdict.level, problems(&verdict)), (Level::Ok, vec![]));
}

#[test]
fn each_cause_of_a_broken_way_is_a_problem_after_a_while() {
    for (cause, problem) in [
        (Cause::Dns, CloudDns),
        (Cause::Address, CloudUnreachable),
        (Cause::Proxy, ProxyFailing),
        (Cause::TlsExpired, TlsExpired),
        (Cause::TlsUntrusted, TlsUntrusted),
        (Cause::TlsClock, TlsClock),
        (Cause::Tls, TlsFailing),
        (Cause::Portal, CaptivePortal),
        (Cause::Server, CloudFailing),
    ] {
        assert_eq!(problems(&of(broken(cause, MINUTE - 1))), [], "{cause:?}: a link may blink");
        let verdict = of(broken(cause, MINUTE));
        assert_eq!((verdict.level, problems(&verdict)), (Level::Degraded, vec![problem]), "{cause:?}");
        let first = verdict.findings.first().unwrap();
        assert_eq!(first.since_ms, Some(NOW - MINUTE));
        assert_eq!(first.evidence.as_deref(), Some("the reason"));
        for language in Language::ALL {
            let said = first.text(language);
            assert!(said.contains("cloud.example") || cause == Cause::Proxy, "{cause:?}: {said}");
        }
    }
}

#[test]
fn a_refusal_of_the_key_is_told_at_once() {
    for (cause, problem) in [
        (Cause::Key, KeyRefused),
        (Cause::Suspended, Suspended),
        (Cause::Place, WrongPlace),
        (Cause::OwnKey, KeyUnreadable),
    ] {
        assert_eq!(problems(&of(broken(cause, 0))), [problem], "{cause:?}");
    }
    assert!(of(broken(Cause::Key, 0)).findings.first().unwrap().text(Language::En).contains("AbCd1234"));
}

#[test]
fn a_key_that_cannot_be_read_is_told_once() {
    let verdict = of(|status| {
        broken(Cause::OwnKey, 5 * MINUTE)(status);
        status.identity.finding = Some(Finding::new(KeyMistyped).shown_by("line 1"));
    });
    assert_eq!(problems(&verdict), [KeyMistyped]);
}

#[test]
fn a_cloud_that_asks_to_wait_is_no_illness() {
    let verdict = of(broken(Cause::Busy, MINUTE));
    assert_eq!((verdict.level, problems(&verdict)), (Level::Ok, vec![CloudBusy]));
}

#[test]
fn when_nobody_answers_the_own_network_is_looked_at_first() {
    let lan = || interface("eth0", Some(true), &["192.168.1.7", "fe80::1"]);
    let seen = |interfaces: Vec<Interface>, gateway: bool, cause| {
        problems(&of(|status| {
            broken(cause, MINUTE)(status);
            let gateway_interface = gateway.then(|| "eth0".to_owned());
            status.network = Network { interfaces, gateway_interface, ..Network::default() };
        }))
    };
    assert_eq!(seen(vec![lan()], true, Cause::Dns), [CloudDns]);
    assert_eq!(seen(vec![lan()], false, Cause::Dns), [NoGateway]);
    assert_eq!(
        seen(vec![interface("eth0", Some(true), &["169.254.9.9"])], false, Cause::Address),
        [NoAddress]
    );
    assert_eq!(
        seen(vec![interface("eth0", Some(false), &["192.168.1.7"])], true, Cause::Address),
        [LinkDown]
    );
    let one_of_two = vec![interface("eth0", Some(false), &[]), interface("wlan0", Some(true), &["10.0.0.3"])];
    assert_eq!(seen(one_of_two, true, Cause::Address), [CloudUnreachable]);
    assert_eq!(seen(vec![interface("eth0", None, &["10.0.0.3"])], true, Cause::Address), [CloudUnreachable]);
    assert_eq!(seen(vec![], false, Cause::Address), [CloudUnreachable], "nothing is known of the network");
    // Whoever answers is reached, whatever the files say.
    assert_eq!(seen(vec![lan()], false, Cause::Server), [CloudFailing]);
    assert_eq!(seen(vec![lan()], false, Cause::TlsUntrusted), [TlsUntrusted]);
}

#[test]
fn a_cloud_on_this_box_or_beside_it_needs_no_gateway() {
    for (cloud, linked, problem) in [
        ("127.0.0.1:8443", false, CloudUnreachable),
        ("localhost:8443", false, CloudUnreachable),
        ("[::1]:8443", false, CloudUnreachable),
        ("192.168.1.20:8443", true, CloudUnreachable),
        ("192.168.1.20:8443", false, LinkDown),
        ("8.8.8.8", true, NoGateway),
    ] {
        let verdict = of(|status| {
            broken(Cause::Address, MINUTE)(status);
            status.places.cloud = Some(cloud.to_owned());
            status.network.interfaces = vec![interface("eth0", Some(linked), &["192.168.1.7"])];
        });
        assert_eq!(problems(&verdict), [problem], "{cloud}");
    }
}

#[test]
fn the_clock_is_wrong_from_a_minute_on() {
    let off = |offset_ms| of(|status| status.clock.offset_ms = Some(offset_ms));
    assert_eq!(problems(&off(MINUTE - 1)), []);
    let wrong = off(-3 * 60 * MINUTE);
    assert_eq!(problems(&wrong), [ClockWrong]);
    assert!(wrong.findings.first().unwrap().text(Language::En).contains("3 h"));
    assert!(wrong.findings.first().unwrap().evidence.as_ref().unwrap().contains("ahead"));
    let old = of(|status| {
        (status.clock.trusted, status.clock.offset_ms) = (false, None);
        (status.now_ms, status.started_ms) = (0, 0);
    });
    assert_eq!(problems(&old), [ClockWrong], "it shows 1970, and nobody told the time");
}

#[test]
fn that_nobody_sets_the_clock_is_worth_a_note_after_a_while() {
    let told_by = |authority, runs_ms| {
        problems(&of(|status| {
            status.clock.authority = authority;
            status.started_ms = NOW - runs_ms;
        }))
    };
    assert_eq!(told_by(Some(Authority::Cloud), 11 * MINUTE), [ClockUnset]);
    assert_eq!(told_by(None, 11 * MINUTE), [ClockUnset]);
    assert_eq!(told_by(Some(Authority::Cloud), MINUTE), []);
    assert_eq!(told_by(Some(Authority::Ntp), 11 * MINUTE), []);
}

#[test]
fn the_spool_tells_of_losses_refusals_and_failure() {
    let verdict = of(|status| status.spool.lost_samples_day = 300);
    assert_eq!((verdict.level, problems(&verdict)), (Level::Degraded, vec![SamplesLost]));
    assert!(verdict.findings.first().unwrap().text(Language::Es).contains("300"));
    assert_eq!(problems(&of(|status| status.spool.lost_samples = 300)), [], "that was before");
    let refused =
        crate::spool::Quarantined { batch: "e/7".to_owned(), samples: 3, refusal: "422".to_owned() };
    let verdict = of(|status| status.spool.quarantine = vec![refused]);
    assert_eq!((verdict.level, problems(&verdict)), (Level::Ok, vec![Quarantined]));
    let verdict = of(|status| status.spool_problem = Some("spool: closed".to_owned()));
    assert_eq!((verdict.level, problems(&verdict)), (Level::Broken, vec![SpoolFailing]));
}

#[test]
fn the_box_is_judged_by_what_it_tells() {
    const GIB: u64 = 1 << 30;
    let disk = |all, free| {
        problems(&of(|status| {
            (status.machine.disk_bytes, status.machine.disk_free_bytes) = (Some(all), Some(free));
        }))
    };
    assert_eq!(disk(64 * GIB, 10 << 20), [DiskFull]);
    assert_eq!(disk(64 * GIB, GIB), [DiskLow]);
    assert_eq!(disk(2 * GIB, 200 << 20), [DiskLow]);
    assert_eq!((disk(500 * GIB, 10 * GIB), disk(8 * GIB, GIB)), (vec![], vec![]));
    let memory = |free| {
        problems(&of(|status| {
            (status.machine.memory_bytes, status.machine.memory_free_bytes) = (Some(GIB), Some(free));
        }))
    };
    assert_eq!((memory(GIB / 21), memory(GIB / 19)), (vec![MemoryLow], vec![]));
    let heat = |celsius| problems(&of(|status| status.machine.temperature = Some(celsius)));
    assert_eq!((heat(85.0), heat(84.9)), (vec![BoxHot], vec![]));
    assert_eq!(problems(&of(|status| status.machine.under_voltage = Some(true))), [UnderVoltage]);
    assert_eq!(problems(&of(|status| status.machine.under_voltage = Some(false))), []);
}

#[test]
fn a_device_that_fails_is_told_by_its_last_error() {
    for (kind, problem) in [
        ("timeout", DeviceSilent),
        ("missing_port", PortMissing),
        ("busy_port", PortHeld),
        ("denied", PortDenied),
        ("framing", LineWrong),
        ("wrong_device", WrongDevice),
        ("exception", DeviceFault),
    ] {
        let verdict = with_device("printer-2", |board, device| {
            board.good(device, NOW - 9 * MINUTE, &[("retail.printer.online", 1.0)]);
            board.bad(device, NOW, kind, "the error".to_owned());
            board.state(device, DeviceState::Unreachable);
        });
        assert_eq!(problems(&verdict), [problem], "{kind}");
        let first = verdict.findings.first().unwrap();
        assert_eq!((first.since_ms, first.evidence.as_deref()), (Some(NOW - 9 * MINUTE), Some("the error")));
        assert!(first.text(Language::En).contains("printer-2"), "{}", first.text(Language::En));
        assert!(!kind.ends_with("_port") || first.text(Language::En).contains("/dev/ttyUSB0"));
    }
}

#[test]
fn a_failure_lasts_since_the_last_good_reading_or_since_something_changed_before_that() {
    let since = |good_ms: Option<i64>, changed_ms| {
        let verdict = of(|status| {
            let device = status.devices.values_mut().next().unwrap();
            (device.state, device.last_good_ms) = (Some(DeviceState::Unreachable), good_ms);
            device.changed_ms = changed_ms;
        });
        verdict.findings[0].since_ms
    };
    assert_eq!(since(Some(5), Some(9)), Some(5));
    assert_eq!(since(Some(9), Some(5)), Some(5), "it says every minute that nobody answers");
    assert_eq!((since(None, Some(5)), since(None, None)), (Some(5), None));
}

#[test]
fn an_old_error_explains_nothing() {
    let since = |state| {
        problems(&with_device("lamp", |board, device| {
            board.bad(device, NOW - 9 * MINUTE, "busy_port", String::new());
            board.good(device, NOW - 5 * MINUTE, &[("hw.power", 1.0)]);
            board.state(device, state);
        }))
    };
    assert_eq!(since(DeviceState::Unreachable), [DeviceSilent]);
    assert_eq!(since(DeviceState::Fault), [DeviceFault]);
    assert_eq!(since(DeviceState::Stale), [DeviceStale]);
    assert_eq!(since(DeviceState::Ok), []);
    assert_eq!(problems(&with_device("new", |_, _| {})), [], "nothing is known of it yet");
    let failed_first = with_device("new", |board, device| board.bad(device, NOW, "dns", String::new()));
    assert_eq!(problems(&failed_first), [DeviceDns]);
}

#[test]
fn what_devices_say_is_a_finding_while_they_answer() {
    let says = |values: &[(&str, f64)], state| {
        problems(&with_device("x", |board, device| {
            board.good(device, NOW, values);
            board.state(device, state);
        }))
    };
    let ok = DeviceState::Ok;
    let paper = |state| ("retail.printer.paper.state", state);
    assert_eq!(
        says(&[paper(2.0), ("retail.printer.online", 0.0), ("retail.printer.error", 1.0)], ok),
        [PaperOut]
    );
    assert_eq!(says(&[paper(1.0)], ok), [PaperLow]);
    assert_eq!(says(&[paper(0.0), ("retail.printer.online", 1.0)], ok), []);
    assert_eq!(says(&[("retail.printer.cover.open", 1.0), ("retail.printer.offline", 1.0)], ok), [CoverOpen]);
    assert_eq!(says(&[("retail.printer.error", 2.0), ("retail.printer.online", 0.0)], ok), [PrinterError]);
    assert_eq!(says(&[("retail.printer.online", 0.0)], ok), [PrinterOffline]);
    assert_eq!(
        says(&[("retail.ups.on_battery", 1.0), ("retail.ups.low_battery", 1.0)], ok),
        [BatteryLow, OnBattery]
    );
    assert_eq!(says(&[("retail.ups.on_battery", 1.0), ("hw.status", 0.0)], ok), [OnBattery]);
    assert_eq!(says(&[("hw.status", 0.0)], ok), [DeviceFault]);
    let alarms = [
        ("retail.cabinet.alarm{error.type=\"door\"}", 0.0),
        ("retail.cabinet.alarm{error.type=\"high\"}", 1.0),
    ];
    assert_eq!(says(&alarms, ok), [CabinetAlarm]);
    assert_eq!(says(&[("retail.pos.up", 0.0)], ok), [PosDown]);
    assert_eq!(says(&[("retail.pos.uptime", 0.0)], ok), [], "another metric that begins like it");
    assert_eq!(says(&[paper(2.0)], DeviceState::Stale), [DeviceStale], "who knows what it would say now");
}

#[test]
fn values_left_out_are_worth_a_note() {
    let verdict = with_device("till", |board, device| {
        board.bad(device, NOW - 1, "too_many_series", "3 values left out".to_owned());
        board.good(device, NOW, &[("retail.pos.up", 1.0)]);
        board.state(device, DeviceState::Ok);
    });
    assert_eq!((verdict.level, problems(&verdict)), (Level::Ok, vec![TooManyValues]));
}

#[test]
fn no_device_and_somebody_at_work_are_worth_a_note() {
    let board = Board::default();
    board.add(&"agent".parse().unwrap(), "agent");
    let verdict = of(|status| {
        status.devices = board.snapshot();
        status.maintenance_until_ms = Some(NOW + 25 * MINUTE);
    });
    assert_eq!((verdict.level, problems(&verdict)), (Level::Ok, vec![NoDevices, Maintenance]));
    assert!(verdict.findings[1].text(Language::Pt).contains("25 min"));
    assert_eq!(problems(&of(|status| status.maintenance_until_ms = Some(NOW))), [], "it has ended");
}

#[test]
fn what_is_worse_comes_first_and_then_what_is_more_fundamental() {
    let board = Board::default();
    for (id, state) in
        [("a", DeviceState::Stale), ("b", DeviceState::Unreachable), ("c", DeviceState::Unreachable)]
    {
        let device = id.parse().unwrap();
        board.add(&device, "scale");
        board.state(&device, state);
    }
    let verdict = of(|status| {
        broken(Cause::Dns, MINUTE)(status);
        status.devices = board.snapshot();
        status.machine.disk_bytes = Some(1 << 40);
        status.machine.disk_free_bytes = Some(0);
        status.maintenance_until_ms = Some(NOW + 1);
    });
    assert_eq!(verdict.level, Level::Broken);
    assert_eq!(
        problems(&verdict),
        [DiskFull, CloudDns, DeviceSilent, DeviceSilent, DeviceStale, Maintenance]
    );
    assert_eq!(verdict.findings[2].device.as_ref().unwrap().as_str(), "b");
    let json = verdict.to_json(Language::Es);
    assert_eq!(json["level"], "broken");
    assert_eq!(json["findings"][2]["text"], "b no responde");
}

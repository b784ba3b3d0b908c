//! The screen of a shop, at several widths and in every language.

use super::*;
use crate::board::{Board, DeviceState};
use crate::commands::screen::columns;
use crate::status::AgentStatus;
use crate::uplink::{Cause, UplinkState};

const NOW: i64 = 1_795_000_000_000;

fn broken() -> AgentStatus {
    let mut status = AgentStatus::well(NOW);
    let board = Board::default();
    let device = "printer-caja-rapida-2".parse().unwrap();
    board.add(&device, "escpos");
    board.good(
        &device,
        NOW - 7_500_000,
        &[("retail.printer.paper.state", 2.0), ("retail.printer.online", 0.0)],
    );
    board.bad(&device, NOW, "timeout", "no answer within 2s \u{1b}[2J".to_owned());
    board.state(&device, DeviceState::Unreachable);
    status.devices.extend(board.snapshot());
    status.uplink.state = UplinkState::Failing;
    status.uplink.cause = Some(Cause::Dns);
    status.uplink.since_ms = Some(NOW - 600_000);
    status.uplink.reason =
        Some("no connection: dns error: the name cloud.example does not resolve".to_owned());
    status.machine.host_name = Some("gateway-7".to_owned());
    status.machine.temperature = Some(48.3);
    status.verdict = Verdict::of(&status);
    status
}

fn screen(status: &AgentStatus, width: usize, language: Language) -> Vec<String> {
    Page::of(Screen::new(width, false), language).status(&status.to_json(language))
}

#[test]
fn it_begins_with_the_verdict_its_reason_and_the_next_step() {
    let lines = screen(&broken(), 80, Language::En);
    assert_eq!(lines[0], "DEGRADED");
    assert_eq!(lines[1], "  The name cloud.example cannot be resolved (for 10 min)");
    assert!(lines[2].starts_with("    no connection: dns error"), "{lines:#?}");
    assert!(lines[3].starts_with("  > Open a web page with a phone"), "{lines:#?}");
    let text = lines.join("\n");
    assert!(text.contains("printer-caja-rapida-2 does not answer (for 2 h 5 min)"), "{text}");
    assert!(
        text.contains("T01 of la-villa") && text.contains("failing · for 10 min · last ack 1 s ago"),
        "{text}"
    );
    assert!(text.contains("fridge-dairy (modbus)") && text.contains("temperature 4.2 °C"), "{text}");
    assert!(!text.contains('\u{1b}'));
    assert_eq!(text.matches("dns error").count(), 1, "{text}");
}

#[test]
fn a_shop_in_which_all_is_well_says_so() {
    let mut status = AgentStatus::well(NOW);
    status.verdict = Verdict::of(&status);
    let lines = screen(&status, 80, Language::Es);
    assert_eq!(lines[0], "BIEN  todo está bien");
    assert!(is_well(&status.to_json(Language::En)));
    status.uplink.state = UplinkState::Starting;
    assert!(!is_well(&status.to_json(Language::En)), "the cloud has taken nothing yet");
    assert!(!is_well(&broken().to_json(Language::En)));
}

#[test]
fn no_line_is_wider_than_the_screen_and_columns_stand_below_each_other() {
    for language in Language::ALL {
        for width in [32, 48, 80, 140] {
            let lines = screen(&broken(), width, language);
            let too_wide: Vec<_> = lines.iter().filter(|line| columns(line) > width).collect();
            assert!(too_wide.is_empty(), "{language:?} {width}: {too_wide:#?}");
        }
        // The columns of values and ages stand below each other.
        let status = broken();
        let lines = screen(&status, 100, language);
        let row = |name: &str| lines.iter().find(|line| line.starts_with(name)).unwrap().clone();
        let column = |line: &str, text: &str| columns(&line[..line.find(text).unwrap()]);
        let (fridge, printer) = (row("fridge-dairy (modbus)"), row("printer-caja-rapida-2"));
        let words = Words::of(language);
        assert_eq!(column(&fridge, "temperature"), column(&printer, "printer."), "{lines:#?}");
        assert_eq!(
            column(&fridge, words.state("ok")),
            column(&printer, words.state("unreachable")),
            "{lines:#?}"
        );
    }
}

#[test]
fn what_waits_says_how_much_how_old_and_how_long_it_will_take() {
    let mut status = AgentStatus::well(NOW);
    status.spool.lanes = vec![crate::spool::LaneStatus {
        lane: "bulk",
        open_rows: 0,
        waiting_batches: 40,
        waiting_samples: 200_000,
        waiting_bytes: 1_200_000,
        oldest_ms: Some(NOW - 3 * 3_600_000),
    }];
    status.uplink.bytes_per_s = Some(10_000);
    let text = screen(&status, 100, Language::En).join("\n");
    assert!(text.contains("empty in about 2 min"), "{text}");
    assert!(text.contains("bulk: 200000 samples in 40 batches · 1.2 MB · oldest 3 h ago"), "{text}");
}

#[test]
fn what_the_cloud_has_set_is_a_line_with_its_reason() {
    let mut status = AgentStatus::well(NOW);
    let line = |status: &AgentStatus, label: &str| {
        let lines = screen(status, 200, Language::En);
        lines.into_iter().find(|line| line.starts_with(label))
    };
    assert_eq!(line(&status, "settings"), None, "it never has");
    status.settings.version = 12;
    status.settings.state = Some(storepulse_shared::settings::SettingsState::Refused);
    status.settings.why = Some("no such device".to_owned());
    status.settings.off = ["scale-1".parse().unwrap()].into();
    let shown = line(&status, "settings").unwrap();
    assert!(
        shown.ends_with("12: refused, nothing has changed (no such device) · not read: scale-1"),
        "{shown}"
    );
}

//! That the pages hold their contract: what stands where, nothing of anybody's as HTML, few bytes, all of it without a script.

use std::time::{Duration, Instant};

use axum::http::header;
use maud::Markup;
use storepulse_shared::settings::SettingsState;

use super::device::device;
use super::example::{NOW, days, device as known, failed, id, reader, signed_in, sixty, status, troubled};
use super::files::{SCRIPT, STYLE};
use super::home::{fragment, home, home_markup, inside};
use super::job::job_markup;
use super::shell::POLICY;
use super::sign_in::sign_in_markup;
use super::strip::Days;
use super::*;
use crate::board::DeviceState;
use crate::finding::{Finding, Problem};
use crate::language::Language::{self, En, Es, Pt};
use crate::local::action::{Job, JobState};
use crate::local::reader::Reader;
use crate::local::scene::Scene;
use crate::status::{AgentStatus, Verdict};

/// What a first visit may cost, unpacked.
const BYTES_MAX: usize = 100_000;
/// What somebody could call a thing.
const HOSTILE: &str = r#"<script>alert("1")</script><img src=x onerror='2'>"#;

fn home_of(reader: &Reader, shop: &AgentStatus) -> String {
    home_markup(reader, shop, &days(shop)).into_string()
}

fn device_of(reader: &Reader, shop: &AgentStatus, device: &str) -> String {
    super::device::device_markup(reader, shop, &id(device), &days(shop)).unwrap().into_string()
}

/// What stands between these, the first time.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let found = text.split_once(from).and_then(|(_, rest)| rest.split_once(to));
    found.unwrap_or_else(|| panic!("no {from:?} … {to:?} in {text}")).0
}

/// The element of this device, from its attributes to its end.
fn row<'a>(page: &'a str, device: &str) -> &'a str {
    between(page, &format!("<li class=\"device\" id=\"device-{device}\""), "</li>")
}

fn assert_has(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "no {part:?} in {page}");
    }
}

#[test]
fn home_holds_its_contract() {
    let page = home_of(&reader(Es), &troubled());
    assert_has(
        &page,
        &[
            "<html lang=\"es\">",
            "<main id=\"main\" data-verdict=\"degraded\" data-fresh=\"/fragment?lang=es\" data-every=\"5\">",
            "data-finding=\"cloud_dns\"",
            "data-finding=\"paper_out\"",
            "<section class=\"card\" id=\"uplink\" data-cause=\"dns\" data-broken=\"dns\">",
            "data-step=\"dns\" data-is=\"broken\"",
            "data-step=\"tls\" data-is=\"unknown\"",
            "id=\"spool\"",
            "id=\"box\"",
            "<nav class=\"languages\"",
            "<a href=\"?lang=pt\" hreflang=\"pt\" lang=\"pt\"",
            "aria-label=\"bien el 98 % de 24 h, ",
            "<noscript><meta http-equiv=\"refresh\" content=\"30\"></noscript>",
            "href=\"/sign-in?then=/\"",
        ],
    );
    assert_eq!(page.matches("<h1").count(), 1);
    assert_eq!(page.matches("aria-live").count(), 1);
    assert!(!page.contains("data-action"), "forms need a session");
    for finding in page.split("data-finding=").skip(1) {
        assert!(
            finding.contains("class=\"next\"")
                && (finding.contains(" class=\"text\"") || finding.contains("<h1 class=\"text\""))
        );
    }
}

#[test]
fn the_sections_come_in_the_order_of_what_matters() {
    let page = home_of(&signed_in(En), &troubled());
    let at = |part: &str| page.find(part).unwrap_or_else(|| panic!("no {part}"));
    let order = [
        "data-level=",
        "id=\"devices\"",
        "id=\"uplink\"",
        "id=\"spool\"",
        "id=\"box\"",
        "id=\"actions\"",
        "href=\"/setup\"",
    ];
    for pair in order.windows(2) {
        assert!(at(pair[0]) < at(pair[1]), "{pair:?}");
    }
}

#[test]
fn a_silent_device_shows_no_value_as_if_it_were_a_present_one() {
    let page = home_of(&reader(En), &troubled());
    for device in ["fridge-dairy", "scale-deli", "pos-02", "scanner-3"] {
        let row = row(&page, device);
        assert!(row.contains("<p class=\"value\" data-stale>"), "{row}");
    }
    assert_has(
        row(&page, "fridge-dairy"),
        &[
            "data-state=\"unreachable\"",
            "4.1\u{a0}°C",
            "last value, 42\u{a0}min ago",
            "Does not answer",
            "84 times since",
            "no answer from unit 1",
        ],
    );
    assert_has(row(&page, "scanner-3"), &["data-state=\"unknown\"", "no value yet"]);
    let well = row(&page, "printer-1");
    assert!(well.contains("<p class=\"value\">out</p>") && !well.contains("data-stale"), "{well}");
    let whole = device_of(&reader(En), &troubled(), "fridge-dairy");
    assert_eq!(whole.matches("<span class=\"value\">").count(), 0, "{whole}");
    assert_eq!(whole.matches("<span class=\"value\" data-stale>").count(), 2);
    // A value that the device no longer gives is old although the device answers.
    let mut shop = status();
    let fridge = shop.devices.get_mut(&id("fridge-dairy")).unwrap();
    fridge.values.get_mut("hw.temperature").unwrap().t -= 3_600_000;
    assert!(row(&home_of(&reader(En), &shop), "fridge-dairy").contains("data-stale"));
}

#[test]
fn the_broken_ones_come_first_and_then_those_with_findings() {
    let page = home_of(&reader(En), &sixty());
    let order: Vec<&str> =
        page.split(" data-device=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(order.len(), 60);
    assert_eq!(order[..6], ["fridge-dairy", "scale-deli", "pos-02", "scanner-3", "printer-1", "fridge-00"]);
}

#[test]
fn a_first_visit_to_sixty_devices_is_small() {
    for language in Language::ALL {
        let bytes = home_of(&signed_in(language), &sixty()).len() + STYLE.text.len() + SCRIPT.text.len();
        assert!(bytes < BYTES_MAX, "{}: {bytes}", language.code());
    }
    // Even where every strip is as torn as it can be.
    let shop = sixty();
    let mut torn = days(&shop);
    for day in torn.values_mut() {
        let states = [DeviceState::Ok, DeviceState::Unreachable];
        *day = super::example::strip((0..96).map(|slot| Some(states[slot % 2])));
    }
    let bytes =
        home_markup(&signed_in(Es), &shop, &torn).into_string().len() + STYLE.text.len() + SCRIPT.text.len();
    assert!(bytes < BYTES_MAX, "{bytes}");
}

#[test]
fn a_shop_where_all_is_well_says_so() {
    let page = home_of(&reader(Pt), &status());
    assert_has(
        &page,
        &[
            "data-verdict=\"ok\"",
            "<h1>Tudo é lido, guardado e enviado</h1>",
            "data-cause=\"none\"",
            "Nada espera",
        ],
    );
    assert!(!page.contains("data-finding") && !page.contains("data-broken"));
    let mut noted = status();
    noted.verdict = Verdict::from_findings(vec![Finding::new(Problem::PaperLow).of(&id("printer-1"))]);
    let page = home_of(&reader(En), &noted);
    assert_has(&page, &["data-verdict=\"ok\"", "data-finding=\"paper_low\""]);
}

#[test]
fn forms_are_there_after_the_pin_and_bring_the_token_back() {
    let page = home_of(&signed_in(En), &status());
    for action in ["maintenance", "identify", "bundle", "sign-out"] {
        let form = between(&page, &format!("data-action=\"{action}\">"), "</form>");
        assert!(form.contains("name=\"csrf\" value=\"c5rf-t0ken\""), "{form}");
    }
    let page = device_of(&signed_in(En), &status(), "printer-1");
    assert_has(
        &page,
        &["action=\"/device/printer-1/test\" data-action=\"test\"", "data-action=\"identify\""],
    );
    let mut busy = status();
    busy.maintenance_until_ms = Some(NOW + 1_800_000);
    assert_has(&home_of(&signed_in(En), &busy), &["action=\"/maintenance/end\"", "Maintenance until"]);
    let looks_only = Reader { can_sign_in: false, ..reader(En) };
    let page = home_of(&looks_only, &status());
    assert!(page.contains("pin_file: page.pin") && !page.contains("/sign-in"), "{page}");
}

#[test]
fn the_pin_is_asked_for_and_what_was_wrong_is_said() {
    let page = sign_in_markup(&reader(Es), "/device/a\"b", None).into_string();
    assert_has(
        &page,
        &[
            "<form id=\"sign-in\" method=\"post\"",
            "name=\"pin\"",
            "inputmode=\"numeric\"",
            "value=\"/device/a&quot;b\"",
        ],
    );
    assert!(!page.contains("role=\"alert\""));
    assert_has(
        &sign_in_markup(&reader(Es), "/", Some("no")).into_string(),
        &["role=\"alert\">no</p>", "aria-invalid=\"true\""],
    );
}

fn job_in(state: JobState, what: &'static str) -> Job {
    let expected = Duration::from_secs(20);
    Job { id: 7, what, subject: "printer-1".to_owned(), begun: Instant::now(), expected, state, ended: None }
}

fn job_page(state: JobState, what: &'static str, used: u64) -> String {
    job_markup(&reader(En), &job_in(state, what), Duration::from_secs(used))
        .into_string()
        .replace('\u{a0}', " ")
}

#[test]
fn a_job_says_how_far_it_is_and_how_long_it_takes() {
    let at = |done, of| JobState::Running { done, of, now: "asking".to_owned() };
    let page = job_page(at(1, 4), "test", 3);
    assert_has(
        &page,
        &[
            "data-fresh=\"/job/7?lang=en\" data-every=\"1\"",
            "content=\"2\"",
            "<progress max=\"100\" value=\"25\"",
            "3 s so far.",
            "About 9 s to go.",
            "It is listened to",
        ],
    );
    assert_has(&job_page(at(0, 1), "test", 1), &["It is asked now."]);
    assert_has(&job_page(at(0, 1), "bundle", 5), &["value=\"25\"", "About 15 s to go."]);
    assert_has(&job_page(at(0, 1), "bundle", 60), &["value=\"97\"", "longer than usual"]);
    let done = job_page(JobState::Done(serde_json::json!({})), "bundle", 9);
    assert_has(&done, &["href=\"/support-bundle/7\"", "data-job-state=\"done\""]);
    assert!(
        !done.contains("data-fresh") && !done.contains("http-equiv"),
        "what has ended does not come again"
    );
    let failed = job_page(JobState::Failed(HOSTILE.to_owned()), "test", 9);
    assert!(failed.contains("data-job-state=\"failed\"") && !failed.contains("<script>"), "{failed}");
}

#[test]
fn the_outcome_of_a_test_shows_bytes_and_values() {
    let outcome = serde_json::json!({
        "device": "printer-1", "good": false, "took_ms": 512, "talks_by_itself": false, "state": "unreachable",
        "error": {"at_ms": NOW, "kind": "timeout", "text": HOSTILE, "bytes": null},
        "exchange": {"at_ms": NOW, "asked": "10 04 01", "answered": ""},
        "values": {"retail.printer.paper.state": {"t": NOW, "value": 2.0}},
    });
    let page = job_page(JobState::Done(outcome), "test", 1);
    assert_has(
        &page,
        &[
            "It does not answer well",
            "It took 512 ms.",
            "No answer in time",
            "10 04 01",
            ">out<",
            "href=\"/device/printer-1\"",
        ],
    );
    assert!(!page.contains("<script>"), "{page}");
    let seen = job_page(
        JobState::Done(serde_json::json!({
            "devices": ["scale-deli"], "left_out": ["fridge-dairy"],
        })),
        "watch",
        1,
    );
    assert_has(&seen, &["href=\"/device/scale-deli\"", "fridge-dairy"]);
}

#[test]
fn nothing_of_anybodys_becomes_html() {
    let mut shop = troubled();
    let hostile = failed(
        known("modbus", Some(DeviceState::Fault), 0, &[("hw.temperature", 1.0)]),
        2,
        0,
        "parse",
        HOSTILE,
    );
    shop.devices.insert(id("printer-1"), hostile);
    let printer = shop.devices.get_mut(&id("printer-1")).unwrap();
    let reading = printer.values["hw.temperature"];
    printer.values.insert(format!("hw.temperature{{sensor=\"{}\"}}", HOSTILE.replace('"', "\\\"")), reading);
    printer.values.insert(HOSTILE.to_owned(), reading);
    shop.uplink.reason = Some(HOSTILE.to_owned());
    shop.identity.store = Some(HOSTILE.to_owned());
    shop.identity.problem = Some(HOSTILE.to_owned());
    shop.machine.host_name = Some(HOSTILE.to_owned());
    shop.machine.system = Some(HOSTILE.to_owned());
    shop.network.interfaces[0].name = HOSTILE.to_owned();
    shop.spool.quarantine[0].refusal = HOSTILE.to_owned();
    shop.spool.latest_losses[0].reason = HOSTILE.to_owned();
    let finding =
        Finding::new(Problem::PortHeld).with("holder", HOSTILE).with("path", HOSTILE).shown_by(HOSTILE);
    shop.verdict = Verdict::from_findings(vec![
        finding.of(&id("printer-1")),
        Finding::new(Problem::PaperLow).shown_by(HOSTILE),
    ]);
    let reader = signed_in(Es);
    let pages = [
        home_of(&reader, &shop),
        inside(&reader, &shop, &days(&shop)).into_string(),
        device_of(&reader, &shop, "printer-1"),
        sign_in_markup(&reader, HOSTILE, Some(HOSTILE)).into_string(),
        job_page(JobState::Running { done: 0, of: 1, now: HOSTILE.to_owned() }, "probe", 0),
        job_page(JobState::Done(serde_json::json!({ HOSTILE: [HOSTILE, { "a": HOSTILE }] })), "probe", 0),
        job_page(
            JobState::Done(serde_json::json!({ "devices": [HOSTILE], "left_out": [HOSTILE] })),
            "watch",
            0,
        ),
    ];
    for page in pages {
        assert!(page.contains("&lt;script&gt;"), "it is shown as text: {page}");
        assert!(
            !page.contains("<script>") && !page.contains("<img") && !page.contains("alert(\"1\")"),
            "{page}"
        );
    }
}

#[test]
fn pages_hold_no_style_and_no_script_of_their_own() {
    let pages = Language::ALL.map(|language| home_of(&signed_in(language), &troubled()));
    for page in pages {
        assert!(!page.contains(" style=") && !page.contains("<style") && !page.contains("javascript:"));
        assert_eq!(page.matches("<script").count(), 1);
        assert_has(&page, &["<script src=\"/page.js?v=", "href=\"/style.css?v="]);
        let handlers = page.split_whitespace().filter(|part| part.starts_with("on") && part.contains("=\""));
        assert_eq!(handlers.count(), 0);
        assert!(!page.contains("http://") && !page.contains("https://"));
    }
}

#[test]
fn every_page_comes_with_the_policy_and_is_not_kept() {
    let (reader, shop) = (reader(En), status());
    let none = Days::new();
    let body = Markup::default();
    for response in [
        home(&reader, &shop, &none),
        fragment(&reader, &shop, &none),
        device(&reader, &shop, &id("printer-1"), &none),
        sign_in(&reader, "/", None),
        job(&reader, &job_in(JobState::Failed(String::new()), "test")),
        shell(&reader, "x", body),
    ] {
        let header = |name| response.headers()[name].to_str().unwrap();
        assert_eq!(header(header::CONTENT_SECURITY_POLICY), POLICY);
        assert_eq!(header(header::CACHE_CONTROL), "no-store");
        assert_eq!(header(header::CONTENT_TYPE), "text/html; charset=utf-8");
        assert_eq!(header(header::REFERRER_POLICY), "same-origin", "without it a form has no origin");
    }
    assert_eq!(device(&reader, &shop, &id("nobody"), &none).status(), 404);
}

#[test]
fn errors_are_explained_where_they_happened() {
    let page = device_of(&reader(En), &troubled(), "ups-main");
    assert_has(
        &page,
        &["data-error=\"timeout\"", "No answer in time", "3 times since", "class=\"next small\""],
    );
    // What stands at the top of the page is not said again; what the line means is said with its port.
    let page = device_of(&reader(En), &troubled(), "scale-deli");
    assert_has(&page, &["data-finding=\"line_wrong\"", "01 03 00 00 00 02 c4 0b"]);
    assert_eq!(page.matches("class=\"next").count(), 1, "{page}");
}

#[test]
fn a_spool_that_does_not_tell_is_not_empty() {
    let mut shop = status();
    shop.spool_problem = Some("disk I/O error".to_owned());
    shop.verdict = Verdict::of(&shop);
    let page = home_of(&reader(En), &shop);
    assert_has(&page, &["data-verdict=\"broken\"", "data-finding=\"spool_failing\"", "disk I/O error"]);
    assert!(!page.contains("Nothing waits"));
}

#[tokio::test]
async fn the_pages_are_served() {
    let scene = Scene::start("").await;
    let home = scene.get("/", "localhost", "Accept-Language: pt-BR\r\n").await;
    assert_eq!(home.status, 200);
    assert_has(
        &home.body,
        &["<html lang=\"pt\">", "data-device=\"box\" data-state=\"unknown\"", "aria-label=\"nada se sabe"],
    );
    let fragment = scene.get("/fragment?lang=es", "localhost", "").await;
    assert!(fragment.status == 200 && fragment.body.starts_with("<p class=\"place\">"), "{}", fragment.body);
    let device = scene.get("/device/box", "localhost", "").await;
    assert!(device.status == 200 && device.body.contains("class=\"strip\""), "{}", device.body);
    for none in ["/device/none", "/device/%3Cb%3E", "/device/a%20b"] {
        let answer = scene.get(none, "localhost", "").await;
        assert!(answer.status == 404 && !answer.body.contains("<b>"), "{none}");
    }
    for file in ["/style.css", "/page.js", "/icon.svg"] {
        let address = between(&home.body, &format!("\"{file}?v="), "\"");
        let answer = scene.get(&format!("{file}?v={address}"), "localhost", "").await;
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (200, "public, max-age=31536000, immutable")
        );
    }
}

/// Pages to look at, where a folder for them is named at compile time.
#[test]
fn pages_are_drawn_for_every_language() {
    for language in Language::ALL {
        for (name, page) in [
            ("troubled", home_of(&reader(language), &troubled())),
            ("well", home_of(&signed_in(language), &status())),
            ("sixty", home_of(&reader(language), &sixty())),
            ("device", device_of(&signed_in(language), &troubled(), "fridge-dairy")),
            ("sign-in", sign_in_markup(&reader(language), "/", Some("12 s")).into_string()),
            ("job", job_page(JobState::Running { done: 1, of: 4, now: "asking".to_owned() }, "test", 3)),
        ] {
            assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"), "{name}");
            assert!(!page.replace("{time}", "").contains('{'), "{name}: a blank was left");
            if let Some(folder) = option_env!("STOREPULSE_PAGES") {
                std::fs::write(format!("{folder}/page-{name}-{}.html", language.code()), page).unwrap();
            }
        }
    }
}

#[test]
fn what_the_cloud_has_set_is_told_with_what_became_of_it() {
    let mut shop = status();
    assert!(!home_of(&reader(En), &shop).contains("id=\"settings\""), "it never has");
    shop.settings.version = 12;
    shop.settings.state = Some(SettingsState::Reverted);
    shop.settings.why = Some(format!("fridge was ok and is fault: {HOSTILE}"));
    shop.settings.off = [id("scale-deli")].into();
    for (language, words) in
        [(En, "12: did not go well"), (Es, "12: no fueron bien"), (Pt, "12: não deram certo")]
    {
        let page = home_of(&reader(language), &shop);
        assert_has(&page, &["data-state=\"reverted\"", words, "fridge was ok and is fault", "scale-deli"]);
        assert!(!page.contains(HOSTILE));
    }
}

//! A clock that is wrong, set, or right at last: what arrives has true times, or is marked, and no key is ever given to
//! a server whose certificate is not valid at the true time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use storepulse_agent::time::BUILD_MS;
use storepulse_testbed::cloud::Cloud;
use storepulse_testbed::cluster::TestDb;
use storepulse_testbed::devices::{COUNTER, LinePrinter, Sent};
use storepulse_testbed::odd_tls::{Claims, OddServer};
use storepulse_testbed::oracle::{self, Dated};
use storepulse_testbed::proxy::{Fault, Proxy};
use storepulse_testbed::store::{self, AgentSetup, Store};
use storepulse_testbed::wait;
use storepulse_testbed::wrong_clock::{MisdatedAgent, WrongClock};

use crate::setting::{TENANT, database, folder, now_ms};

const LIMIT: Duration = Duration::from_secs(60);
const PACE: Duration = Duration::from_millis(25);
const HOUR: i64 = 3_600_000;
const YEAR: i64 = 8_766 * HOUR;
/// What a delivered time may be off.
const OFF_MAX_MS: i64 = 1_000;

/// A store with a printer, behind a link that can be cut, and a cloud that speaks TLS.
struct Place {
    db: TestDb,
    cloud: Cloud,
    link: Proxy,
    store: Store,
    printer: LinePrinter,
}

impl Place {
    async fn new() -> Self {
        let db = database().await;
        let dir = folder().await;
        let cloud = Cloud::start(&db, Some(&dir.join("tls"))).await.unwrap();
        let link = Proxy::start(cloud.address).await.unwrap();
        let url = format!("https://{}", link.address);
        let ca = cloud.ca.clone();
        let stores = store::onboard(&db, TENANT, &["T01"], &url, ca.as_deref(), &dir).await.unwrap();
        let store = stores.into_iter().next().unwrap();
        let printer = LinePrinter::start(&store.dir, "ttyPOS", PACE).unwrap();
        Self { db, cloud, link, store, printer }
    }

    async fn boot(&self, off_ms: i64) -> MisdatedAgent {
        let setup = AgentSetup { devices: devices(&self.printer), ..AgentSetup::default() };
        MisdatedAgent::start(&self.store, &setup, WrongClock::off_by(off_ms)).await.unwrap()
    }

    async fn until_more_is_printed(&self, more: usize) {
        let goal = self.printer.log.count() + more;
        let printed = || Ok((self.printer.log.count() >= goal).then_some(()));
        wait::until("the printer to print", LIMIT, async || printed()).await.unwrap();
    }

    /// Quiets the printer, waits until all of it has arrived, and expects every line once, within a second of its time.
    async fn all_arrives_in_its_time(self, agent: MisdatedAgent) -> Vec<Dated> {
        let Self { db, cloud, link, printer, .. } = self;
        let stopped = printer.stop().await.unwrap();
        agent.agent.until_drained(LIMIT).await.unwrap();
        agent.stop().await.unwrap();
        let stored = oracle::dated(&db, TENANT, "T01", COUNTER).await.unwrap();
        let sent: BTreeMap<u64, Sent> =
            stopped.log.all().into_iter().filter(|sent| sent.owed).map(|sent| (sent.n, sent)).collect();
        for sample in &stored {
            let off_ms = sample.time_ms - printed_ms(&sent[&(sample.value as u64)]);
            assert!(off_ms.abs() <= OFF_MAX_MS, "{sample:?} is off by {off_ms} ms");
        }
        assert_eq!(stored.len(), sent.len(), "every line once");
        assert_eq!(oracle::totals(&db, TENANT, "T01").await.unwrap().missing, 0);
        link.stop().await;
        cloud.stop().await.unwrap();
        stored
    }
}

fn devices(printer: &LinePrinter) -> String {
    format!(
        "  pos-01:\n    serial_lines:\n      port: {}\n      patterns:\n        \
         - {{ match: 'SALE no=(?<no>\\d+) ms=.*', metrics: {{ no: {COUNTER} }} }}\n",
        printer.port.display()
    )
}

/// True time at which a line was printed.
fn printed_ms(sent: &Sent) -> i64 {
    now_ms() - i64::try_from(sent.at.elapsed().as_millis()).unwrap()
}

fn marks(stored: &[Dated]) -> Vec<&str> {
    let mut marks: Vec<&str> = stored.iter().map(|sample| &*sample.clock).collect();
    marks.sort_unstable();
    marks.dedup();
    marks
}

async fn a_clock_wrong_at_boot(off_ms: i64) {
    let place = Place::new().await;
    place.link.set(Fault::Cut);
    let agent = place.boot(off_ms).await;
    place.until_more_is_printed(20).await;
    let status = agent.agent.read_status().await.unwrap();
    assert_eq!((&status["clock"]["trusted"], &status["clock"]["offset_ms"]), (&false.into(), &().into()));
    place.link.set(Fault::None);
    let status =
        agent.until("the true time", LIMIT, |status| status["clock"]["trusted"] == true).await.unwrap();
    let offset_ms = status["clock"]["offset_ms"].as_i64().unwrap();
    assert!((offset_ms + off_ms).abs() <= OFF_MAX_MS, "{}", status["clock"]);
    assert_eq!(status["clock"]["authority"], "cloud");
    place.until_more_is_printed(20).await;
    assert_eq!(marks(&place.all_arrives_in_its_time(agent).await), ["repaired"]);
}

#[tokio::test]
async fn a_box_ten_years_ahead_at_boot_delivers_true_times() {
    a_clock_wrong_at_boot(10 * YEAR).await;
}

#[tokio::test]
async fn a_box_ten_years_behind_at_boot_delivers_true_times() {
    a_clock_wrong_at_boot(-10 * YEAR).await;
}

#[tokio::test]
async fn a_box_that_boots_in_1970_delivers_true_times() {
    a_clock_wrong_at_boot(-now_ms()).await;
}

#[tokio::test]
async fn a_box_five_hours_behind_at_boot_delivers_true_times() {
    a_clock_wrong_at_boot(-5 * HOUR).await;
}

#[tokio::test]
async fn a_right_clock_is_left_alone_and_what_it_showed_last_is_kept() {
    let place = Place::new().await;
    let agent = place.boot(0).await;
    place.until_more_is_printed(20).await;
    let file = agent.agent.spool_dir().join("last-trusted-time");
    assert_eq!(marks(&place.all_arrives_in_its_time(agent).await), ["ok"]);
    let kept_ms: i64 = std::fs::read_to_string(file).unwrap().parse().unwrap();
    assert!((now_ms() - kept_ms).abs() < LIMIT.as_millis() as i64, "{kept_ms}");
}

#[tokio::test]
async fn steps_in_mid_run_online_and_offline_move_no_delivered_time() {
    let place = Place::new().await;
    let agent = place.boot(0).await;
    let steps = [
        (-6 * HOUR, Fault::None),
        (2 * YEAR, Fault::None),
        (-6 * HOUR, Fault::Cut),
        (2 * YEAR, Fault::Cut),
        (0, Fault::Cut),
        (3_000, Fault::None),
    ];
    for (n, (off_ms, fault)) in (1..).zip(steps) {
        place.link.set(fault);
        place.until_more_is_printed(15).await;
        agent.clock.step_to(off_ms);
        let noticed = agent.until("the step to be noticed", LIMIT, |status| status["clock"]["steps"] == n);
        noticed.await.unwrap();
    }
    place.until_more_is_printed(15).await;
    let db = place.db.clone();
    let told = async || {
        let events = oracle::events(&db, TENANT, "T01", "agent.clock_stepped").await?;
        Ok((events.len() == 6).then_some(events))
    };
    let events = wait::until("six events", LIMIT, told).await.unwrap();
    assert!(events.iter().any(|(_, text, _)| text.contains("set back by")), "{events:?}");
    assert!(events.iter().all(|(t, ..)| (t - now_ms()).abs() < 120_000), "{events:?}");
    assert_eq!(marks(&place.all_arrives_in_its_time(agent).await), ["ok", "repaired"]);
}

#[tokio::test]
async fn ntp_alone_repairs_what_was_taken_before_it_also_in_the_boot_after() {
    let place = Place::new().await;
    place.link.set(Fault::Cut);
    let agent = place.boot(-now_ms()).await;
    place.until_more_is_printed(15).await;
    agent.clock.synchronise();
    agent.until("NTP to be believed", LIMIT, |status| status["clock"]["authority"] == "ntp").await.unwrap();
    place.until_more_is_printed(15).await;
    agent.stop().await.unwrap();
    // Nobody tells this boot the time until the link is back.
    let agent = place.boot(-3 * YEAR).await;
    place.until_more_is_printed(15).await;
    place.link.set(Fault::None);
    assert_eq!(marks(&place.all_arrives_in_its_time(agent).await), ["ok", "repaired"]);
}

#[tokio::test]
async fn a_boot_that_was_never_told_the_time_is_delivered_and_marked() {
    let place = Place::new().await;
    place.link.set(Fault::Cut);
    let agent = place.boot(-now_ms()).await;
    place.until_more_is_printed(15).await;
    agent.stop().await.unwrap();
    let agent = place.boot(0).await;
    let booted = now_ms();
    place.link.set(Fault::None);
    place.until_more_is_printed(15).await;
    let Place { db, printer, .. } = place;
    let _kept_open = printer.stop().await.unwrap();
    agent.agent.until_drained(LIMIT).await.unwrap();
    agent.stop().await.unwrap();
    let stored = oracle::dated(&db, TENANT, "T01", COUNTER).await.unwrap();
    assert_eq!(marks(&stored), ["ok", "unsure"]);
    let unsure: Vec<&Dated> = stored.iter().filter(|sample| sample.clock == "unsure").collect();
    assert!(unsure.len() >= 14, "nothing of it is rejected: {stored:?}");
    assert!(unsure.iter().all(|sample| (booted - HOUR..=booted).contains(&sample.time_ms)), "{unsure:?}");
}

/// An agent that sends to an odd server, by a clock that is off.
async fn agent_of(claims: &Claims, off_ms: i64) -> (OddServer, MisdatedAgent, LinePrinter) {
    agent_that_trusted(None, claims, off_ms).await
}

/// The same, on a box that once knew the time.
async fn agent_that_trusted(
    last_ms: Option<i64>,
    claims: &Claims,
    off_ms: i64,
) -> (OddServer, MisdatedAgent, LinePrinter) {
    let db = database().await;
    let dir: PathBuf = folder().await;
    let server = OddServer::start(&dir, claims).await.unwrap();
    let url = format!("https://{}", server.address);
    let stores = store::onboard(&db, TENANT, &["T01"], &url, Some(&server.ca), &dir).await.unwrap();
    let printer = LinePrinter::start(&stores[0].dir, "ttyPOS", PACE).unwrap();
    if let Some(last_ms) = last_ms {
        let state_dir = stores[0].dir.join("spool");
        std::fs::create_dir(&state_dir).unwrap();
        std::fs::write(state_dir.join("last-trusted-time"), last_ms.to_string()).unwrap();
    }
    let setup = AgentSetup { devices: devices(&printer), ..AgentSetup::default() };
    let agent = MisdatedAgent::start(&stores[0], &setup, WrongClock::off_by(off_ms)).await.unwrap();
    (server, agent, printer)
}

/// Expects that attempts fail and say this, that no key reached the server, and that every sample is kept.
async fn nothing_is_sent(
    server: OddServer,
    agent: MisdatedAgent,
    printer: LinePrinter,
    why: &str,
) -> Vec<String> {
    let status =
        agent.until("three failures", LIMIT, |status| status["uplink"]["failures"].as_u64() >= Some(3));
    let status = status.await.unwrap();
    assert_eq!(status["uplink"]["state"], "failing", "{status:#}");
    let reason = status["uplink"]["reason"].as_str().unwrap();
    assert!(reason.contains(why), "{reason}");
    let sent = printer.stop().await.unwrap().log.count();
    let kept = agent.until("everything to be kept", LIMIT, |status| {
        let lanes = status["spool"]["lanes"].as_array().unwrap();
        let of = |field: &str| lanes.iter().map(|lane| lane[field].as_u64().unwrap()).sum::<u64>();
        of("open_rows") + of("waiting_samples") >= sent as u64
    });
    kept.await.unwrap();
    agent.stop().await.unwrap();
    let heads = server.heads();
    server.stop().await;
    for head in &heads {
        assert!(!head.contains("authorization"), "{head}");
        assert!(head.starts_with("get /health "), "{head}");
    }
    heads
}

fn expired(date_ms: i64) -> Claims {
    Claims { host: "127.0.0.1".to_owned(), valid: (date_ms - 2 * YEAR, date_ms - YEAR), date_ms }
}

#[tokio::test]
async fn a_certificate_that_has_expired_by_the_clouds_own_date_gets_no_key_from_a_box_that_is_behind() {
    let claims = expired(now_ms());
    let (server, agent, printer) = agent_of(&claims, -10 * YEAR).await;
    let heads = nothing_is_sent(server, agent, printer, "expired").await;
    assert!(!heads.is_empty(), "the date was asked for");
}

#[tokio::test]
async fn a_certificate_that_was_valid_when_the_box_believes_to_be_gets_no_key_either() {
    let claims = expired(now_ms());
    let (server, agent, printer) = agent_of(&claims, -18 * YEAR / 12).await;
    nothing_is_sent(server, agent, printer, "expired").await;
}

#[tokio::test]
async fn a_connection_that_was_verified_at_a_wrong_time_never_carries_the_key() {
    // The box believes that it is the time of this certificate, and asks; what it hears says otherwise.
    let now = now_ms();
    let claims = Claims { host: "127.0.0.1".to_owned(), valid: (now + YEAR, now + 3 * YEAR), date_ms: now };
    let (server, agent, printer) = agent_of(&claims, 2 * YEAR).await;
    let heads = nothing_is_sent(server, agent, printer, "not valid yet").await;
    assert!(!heads.is_empty(), "the time was asked for");
}

#[tokio::test]
async fn a_date_before_the_agent_was_built_makes_no_old_certificate_valid() {
    // The thief of an old key says that it is still then.
    let then = BUILD_MS - YEAR;
    let claims = Claims { host: "127.0.0.1".to_owned(), valid: (then - HOUR, then + HOUR), date_ms: then };
    let (server, agent, printer) = agent_of(&claims, -10 * YEAR).await;
    nothing_is_sent(server, agent, printer, "expired").await;
}

#[tokio::test]
async fn a_date_before_the_last_trusted_time_makes_no_old_certificate_valid() {
    let (now, then) = (now_ms(), now_ms() - 2 * HOUR);
    let claims = Claims { host: "127.0.0.1".to_owned(), valid: (then - HOUR, then + HOUR), date_ms: then };
    for off_ms in [-10 * YEAR, -2 * HOUR] {
        let (server, agent, printer) = agent_that_trusted(Some(now), &claims, off_ms).await;
        nothing_is_sent(server, agent, printer, "expired").await;
    }
}

#[tokio::test]
async fn a_certificate_of_another_host_is_not_even_asked_for_the_date() {
    let claims = Claims { host: "other.example.net".to_owned(), ..expired(now_ms()) };
    let (server, agent, printer) = agent_of(&claims, -10 * YEAR).await;
    let heads = nothing_is_sent(server, agent, printer, "not valid for").await;
    assert_eq!(heads, Vec::<String>::new());
}

#[tokio::test]
async fn a_certificate_that_is_valid_now_is_found_valid_by_a_box_that_does_not_know_the_time() {
    let now = now_ms();
    let claims = Claims { host: "127.0.0.1".to_owned(), valid: (now - HOUR, now + HOUR), date_ms: now };
    for off_ms in [-10 * YEAR, 10 * YEAR] {
        let (server, agent, printer) = agent_of(&claims, off_ms).await;
        let trusted = agent.until("the true time", LIMIT, |status| status["clock"]["trusted"] == true);
        let offset_ms = trusted.await.unwrap()["clock"]["offset_ms"].as_i64().unwrap();
        assert!((offset_ms + off_ms).abs() < LIMIT.as_millis() as i64, "{offset_ms}");
        let begun = Instant::now();
        wait::until("the key, over a verified connection", LIMIT, async || {
            let with_key = server.heads().iter().any(|head| head.contains("authorization: bearer"));
            Ok(with_key.then_some(()))
        })
        .await
        .unwrap_or_else(|e| panic!("{e:#} after {:?}", begun.elapsed()));
        printer.stop().await.unwrap();
        agent.stop().await.unwrap();
        server.stop().await;
    }
}

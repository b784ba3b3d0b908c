//! The steps from form to outcome, with a device that answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest as _, Path, State};
use axum::http::{Request, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::board::Board;
use crate::config::KeySource;
use crate::language::Language;
use crate::local::guard::{Fields, Signed};
use crate::local::reader::Session;
use crate::maintenance::Maintenance;
use crate::spool::{Limits, Spool};
use crate::status::{Looks, Places};
use crate::store_settings::SettingsBoard;
use crate::time::{BoxClock, SystemClock};
use crate::uplink::UplinkBoard;

const CONFIG: &str = "cloud: {url: 'https://cloud.example', key_file: k}\nstate_dir: spool\ndevices:\n  \
    printer-1: {escpos: {tcp: '192.0.2.1:9100'}}\n  scale-1: {scale: {port: /nowhere/tty, protocol: nci}}\n";

struct Shop {
    setup: Setup,
    jobs: Jobs,
    _dir: tempfile::TempDir,
    _tasks: JoinSet<()>,
}

/// With a device that is seen so, one reading after the other.
fn shop(seen: &[Value]) -> Shop {
    let dir = tempfile::tempdir().unwrap();
    let config = Arc::new(Config::parse(CONFIG, &dir.path().join("agent.yaml")).unwrap());
    let clock = BoxClock::new(Arc::new(SystemClock::load()), 0);
    let limits = Limits { bytes_max: 64 << 20, batch_samples_max: 5_000 };
    let (spool, _writer) = Spool::open_dated(&config.state_dir, limits, clock.clone()).unwrap();
    let status = StatusState {
        state_dir: config.state_dir.clone(),
        board: Arc::new(Board::default()),
        uplink: UplinkBoard::default(),
        settings: SettingsBoard::default(),
        key: KeySource::new(&config.cloud, &config.state_dir),
        started_boot_ms: 0,
        maintenance: Maintenance::load(&config.state_dir, clock.clone(), spool.clone()),
        clock,
        spool,
        places: Places::of(&config),
        looks: Looks::default(),
    };
    let (jobs, runner) = Jobs::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(runner.run(CancellationToken::new()));
    let readings: Mutex<VecDeque<Value>> = Mutex::new(seen.iter().cloned().collect());
    let test: TestDevice = Arc::new(move |_, _| {
        let seen = readings.lock().unwrap().pop_front().unwrap();
        Box::pin(async move { Ok(json!({ "good": true, "seen": seen })) })
    });
    let setup = Setup::new(config, Ports::default(), Arc::new(status), jobs.clone(), test);
    Shop { setup, jobs, _dir: dir, _tasks: tasks }
}

fn reader(is_signed_in: bool) -> Reader {
    let session = Session { csrf: "token-1".to_owned(), minutes_left: 30 };
    Reader { language: Language::En, session: is_signed_in.then_some(session), can_sign_in: true }
}

async fn signed(form: &str) -> Signed {
    let request = Request::builder().header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let request = request.body(Body::from(form.to_owned())).unwrap();
    Signed { reader: reader(true), fields: Fields::from_request(request, &()).await.unwrap() }
}

async fn text(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

impl Shop {
    async fn drawer(&self, id: &str, form: &str) -> Response {
        http::read_drawer(State(self.setup.clone()), Path(id.to_owned()), signed(form).await).await
    }

    async fn scale(&self, form: &str) -> Response {
        http::read_scale(State(self.setup.clone()), Path("scale-1".to_owned()), signed(form).await).await
    }

    async fn probe(&self, form: &str) -> Response {
        http::begin_probe(State(self.setup.clone()), signed(form).await).await
    }

    /// What the page of the job shows that an action led to.
    async fn outcome(&self, led_to: Response) -> String {
        let location = led_to.headers().get(header::LOCATION).unwrap().to_str().unwrap().to_owned();
        let id = location.strip_prefix("/job/").unwrap().parse().unwrap();
        for _ in 0..1_000 {
            let job = self.jobs.get(id).unwrap();
            if let Some(markup) = outcome(&reader(true), &job) {
                return markup.into_string();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{:?}", self.jobs.get(id));
    }
}

#[tokio::test]
async fn a_drawer_is_closed_and_opened_and_its_line_is_shown() {
    let shop = shop(&[json!({ "drawer_pin": 0.0 }), json!({ "drawer_pin": 1.0 })]);
    let first = shop.outcome(shop.drawer("printer-1", "step=closed").await).await;
    assert!(first.contains(r#"data-step="open" data-closed="low""#), "{first}");
    let second = shop.outcome(shop.drawer("printer-1", "step=open&closed=low").await).await;
    assert!(second.contains("drawer: { open_when: high }"), "{second}");
    assert!(second.contains(r#"data-recorded="true""#), "{second}");
}

#[tokio::test]
async fn a_forged_form_reads_nothing() {
    let shop = shop(&[]);
    for form in ["", "step=open", "step=open&closed=1", "step=open&closed=<b>", "step=result&closed=low"] {
        assert_eq!(shop.drawer("printer-1", form).await.status(), 400, "{form}");
    }
    for id in ["scale-1", "nobody", "../etc", "<b>"] {
        assert_eq!(shop.drawer(id, "step=closed").await.status(), 404, "{id}");
    }
    for form in ["step=empty&division=3", "step=empty", "division=5", "step=zero&division=5"] {
        assert_eq!(shop.scale(form).await.status(), 400, "{form}");
    }
}

#[tokio::test]
async fn a_scale_is_emptied_and_weighs_what_is_known() {
    let shop =
        shop(&[json!({ "weight_kg": 0.0, "stable": 1.0 }), json!({ "weight_kg": 1.98, "stable": 1.0 })]);
    let first = shop.outcome(shop.scale("step=empty&division=2").await).await;
    assert!(first.contains(r#"data-step="zero" data-good="true""#), "{first}");
    let second = shop.outcome(shop.scale("step=weight&division=2&weight=2%2C0").await).await;
    assert!(second.contains(r#"data-step="weighed" data-good="false""#), "{second}");
    assert!(second.contains("0.004 kg (two divisions)") && second.contains("-0.020 kg"), "{second}");
}

#[tokio::test]
async fn a_weight_that_says_nothing_is_not_weighed() {
    let shop = shop(&[]);
    for (weight, why) in
        [("10+g", "at least 0.100 kg"), ("heavy", "no weight in kilograms"), ("", "no weight")]
    {
        let (status, page) = text(shop.scale(&format!("step=weight&division=5&weight={weight}")).await).await;
        assert!(status == 200 && page.contains(r#"data-step="bad_weight""#) && page.contains(why), "{page}");
    }
}

#[tokio::test]
async fn only_places_are_asked() {
    let shop = shop(&[]);
    let (status, page) = text(shop.probe("place=%2Fetc%2Fpasswd%3Cscript%3E").await).await;
    assert!(status == 400 && page.contains("/etc/passwd&lt;script&gt;"), "{page}");
    let asked = shop.outcome(shop.probe("place=%2Fnowhere%2Ftty").await).await;
    assert!(asked.contains(r#"data-probed="/nowhere/tty" data-answers="0""#), "{asked}");
    let held = shop.outcome(shop.probe("place=192.0.2.1").await).await;
    assert!(held.contains("this agent reads printer-1 there"), "{held}");
}

#[tokio::test]
async fn whoever_reads_sees_what_is_missing_without_a_pin() {
    let shop = shop(&[]);
    let (status, page) = text(http::show_setup(State(shop.setup.clone()), reader(false)).await).await;
    assert_eq!(status, 200);
    assert!(page.contains("0 of 2 devices answer"), "{page}");
    assert!(page.contains(r#"data-expected="scale-1" data-found="missing""#), "{page}");
    assert!(!page.contains("<form"), "{page}");
    let (status, label) = text(http::show_label(State(shop.setup.clone()), reader(false)).await).await;
    assert!(status == 200 && label.contains(r#"data-socket="scale-1""#), "{label}");
}

#[test]
fn a_job_of_another_kind_is_none_of_ours() {
    let job = |what, state| Job {
        id: 1,
        what,
        subject: "printer-1".to_owned(),
        begun: Instant::now(),
        expected: Duration::ZERO,
        state,
        ended: None,
    };
    assert!(outcome(&reader(true), &job("test", JobState::Done(json!({})))).is_none());
    assert!(outcome(&reader(true), &job(http::DRAWER, JobState::Done(json!({ "x": 1 })))).is_none());
    assert!(outcome(&reader(true), &job(http::DRAWER, JobState::Failed("x".to_owned()))).is_none());
    let title = title(&reader(true), &job(http::DRAWER, JobState::Done(json!({}))));
    assert_eq!(title.as_deref(), Some("Cash drawer of printer-1"));
}

//! Tests of devices on pseudo-terminals, by a trial as the page has it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::JoinSet;

use super::*;
use crate::collector::rig::{Plugged, Rig, plug};

const DEVICE: &str = "device-1";

/// A device that is run as the agent does it, and a trial that knows it.
struct Scene {
    rig: Rig,
    trial: Trial,
    _tasks: JoinSet<()>,
}

impl Scene {
    fn new(rig: Rig, yaml: &str) -> Self {
        Self::watching(rig, yaml, WATCH)
    }

    fn watching(mut rig: Rig, yaml: &str, watch: Duration) -> Self {
        let devices = BTreeMap::from([(device(), Rig::kind(yaml))]);
        let Trial(bench) = Trial::new(Arc::clone(&rig.board), &devices);
        let trial = Trial(Arc::new(Bench { watch, ..Arc::into_inner(bench).unwrap() }));
        rig.ctx.asked = trial.asked(&device());
        let tasks = rig.start(yaml);
        Self { rig, trial, _tasks: tasks }
    }

    async fn test(&self) -> Result<Tested, String> {
        self.trial.test(&device(), &mut |_, _, _| {}).await
    }
}

fn device() -> DeviceId {
    DEVICE.parse().unwrap()
}

/// A printer that answers while it is on.
fn printer(rig: &Rig, on: &Arc<AtomicBool>) -> Plugged {
    let on = Arc::clone(on);
    plug(&rig.dir.path().join("printer"), move |asked: &[u8]| {
        let answers = asked.len() / 3;
        if on.load(Ordering::SeqCst) { vec![0x12; answers] } else { Vec::new() }
    })
}

fn escpos(rig: &Rig, interval: &str) -> String {
    let path = rig.dir.path().join("printer");
    format!("escpos: {{ port: {}, interval: {interval}, timeout: 100ms, jitter: 1ms }}", path.display())
}

#[tokio::test]
async fn a_good_device_answers_at_once_and_its_reading_is_kept() {
    let (rig, on) = (Rig::new(), Arc::new(AtomicBool::new(true)));
    let _printer = printer(&rig, &on);
    let yaml = escpos(&rig, "1h");
    let scene = Scene::new(rig, &yaml);
    scene.rig.until("a collector", |_| scene.trial.asked(&device()).patience().is_some()).await;
    let began_ms = scene.rig.ctx.sink.now_ms();
    let mut steps = Vec::new();
    let tested = scene.trial.test(&device(), &mut |done, of, _| steps.push((done, of))).await.unwrap();
    assert!(tested.good && !tested.talks_by_itself && tested.error.is_none(), "{tested:?}");
    assert_eq!(tested.state, Some(DeviceState::Ok));
    assert_eq!(tested.values["retail.printer.online"].value, 1.0);
    assert!(tested.values["retail.printer.online"].t >= began_ms, "not a tick of hours ago");
    let exchange = tested.exchange.unwrap();
    assert_eq!((exchange.asked.as_str(), exchange.answered.as_str()), ("10 04 04", "12"));
    assert_eq!((tested.seen["drawer_pin"], steps), (0.0, vec![(0, 1), (1, 1)]));
    let status = scene.rig.status();
    assert!(status.samples >= 5 && status.attempts >= 1, "{status:?}");
}

#[tokio::test]
async fn a_silent_device_fails_with_what_it_was_asked() {
    let (rig, on) = (Rig::new(), Arc::new(AtomicBool::new(false)));
    let _printer = printer(&rig, &on);
    let yaml = escpos(&rig, "1h");
    let scene = Scene::new(rig, &yaml);
    scene.rig.until("a collector", |_| scene.trial.asked(&device()).patience().is_some()).await;
    let tested = scene.test().await.unwrap();
    let error = tested.error.unwrap();
    assert!(!tested.good && tested.took_ms >= 100, "it waited for an answer");
    assert_eq!((error.kind, tested.state), ("timeout", Some(DeviceState::Unreachable)));
    let bytes = error.bytes.unwrap();
    assert_eq!((bytes.asked.as_str(), bytes.answered.as_str()), ("10 04 01", ""));
}

#[tokio::test]
async fn who_rests_after_failures_is_asked_all_the_same() {
    let (rig, on) = (Rig::new(), Arc::new(AtomicBool::new(false)));
    let _printer = printer(&rig, &on);
    let yaml = escpos(&rig, "5s").replace("timeout: 100ms", "timeout: 20ms");
    let scene = Scene::new(rig, &yaml);
    scene.rig.until("a collector", |_| scene.trial.asked(&device()).patience().is_some()).await;
    // After so many failures it is asked once a minute.
    for _ in 0..5 {
        assert!(!scene.test().await.unwrap().good);
    }
    on.store(true, Ordering::SeqCst);
    let tested = tokio::time::timeout(Duration::from_secs(4), scene.test()).await.unwrap().unwrap();
    assert!(tested.good, "{tested:?}");
    assert_eq!(scene.rig.status().state, Some(DeviceState::Ok));
}

#[tokio::test]
async fn ten_tests_a_minute_are_refused() {
    let (rig, on) = (Rig::new(), Arc::new(AtomicBool::new(true)));
    let _printer = printer(&rig, &on);
    let yaml = escpos(&rig, "1h");
    let scene = Scene::new(rig, &yaml);
    scene.rig.until("a collector", |_| scene.trial.asked(&device()).patience().is_some()).await;
    for _ in 0..TESTS_A_MINUTE {
        assert!(scene.test().await.unwrap().good);
    }
    let why = scene.test().await.unwrap_err();
    assert!(why.contains("device-1 was tested 9 times within a minute") && why.contains("wait "), "{why}");
    assert!(scene.rig.status().attempts <= TESTS_A_MINUTE as u64 + 1);
}

#[tokio::test]
async fn a_kind_with_a_floor_is_not_read_more_often() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let yaml = format!("reach: {{ target: '{closed}', checks: [tls], interval: 1h, timeout: 1s }}");
    let scene = Scene::new(Rig::new(), &yaml);
    scene.rig.until("a collector", |_| scene.trial.asked(&device()).patience().is_some()).await;
    let first = scene.test().await.unwrap();
    assert_eq!(first.error.unwrap().kind, "refused");
    let why = scene.test().await.unwrap_err();
    assert!(why.contains("not read more often than every 10s"), "{why}");
    assert_eq!(first.exchange, None, "this kind shows no bytes");
}

#[tokio::test]
async fn who_talks_by_itself_is_watched_while_somebody_uses_it() {
    let rig = Rig::new();
    let path = rig.dir.path().join("scanner");
    let scanner = plug(&path, |_| Vec::new());
    let yaml = format!("scanner: {{ port: {} }}", path.display());
    let scene = Scene::watching(rig, &yaml, Duration::from_secs(2));
    // The counts with which it begins.
    scene.rig.until("its port", |status| status.attempts == 1).await;
    let nothing = scene.test().await.unwrap();
    assert!(!nothing.good && nothing.talks_by_itself && nothing.took_ms >= 2_000, "{nothing:?}");
    assert!(nothing.error.is_none(), "nobody used it: nothing is wrong");
    let told = AtomicUsize::new(0);
    let mut use_it = |_, of, now: &str| {
        if of == 2 && told.fetch_add(1, Ordering::SeqCst) == 0 {
            assert!(now.contains("use device-1 now"), "{now}");
            scanner.say(b"]E05901234123457\r\n");
        }
    };
    let tested = scene.trial.test(&device(), &mut use_it).await.unwrap();
    assert!(tested.good && tested.talks_by_itself && tested.took_ms < 2_000, "{tested:?}");
    assert_eq!(tested.values["retail.scanner.scans"].value, 1.0);
    assert_eq!(tested.exchange, None);
}

#[tokio::test]
async fn who_talks_rubbish_is_no_good_and_its_error_is_told() {
    let rig = Rig::new();
    let path = rig.dir.path().join("lines");
    let device = plug(&path, |_| Vec::new());
    let yaml = format!(
        "serial_lines: {{ port: {}, patterns: [{{ match: '^TEMP (?<c>\\d+)$', metrics: {{ c: hw.temperature }} }}] }}",
        path.display()
    );
    let scene = Scene::watching(rig, &yaml, Duration::from_secs(1));
    let mut said = false;
    let mut talk = |_, _, _: &str| {
        if !std::mem::replace(&mut said, true) {
            device.say(b"4111111111111111\n");
        }
    };
    // The port must be open before it talks.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let tested = scene.trial.test(&super::tests::device(), &mut talk).await.unwrap();
    let error = tested.error.unwrap();
    assert!(!tested.good);
    assert_eq!((error.kind, error.bytes), ("parse", None));
}

#[tokio::test]
async fn who_is_not_read_or_not_known_is_said_to_be() {
    let rig = Rig::new();
    let kind = Rig::kind("host: {}");
    let trial = Trial::new(Arc::clone(&rig.board), &BTreeMap::from([(device(), kind)]));
    let why = trial.test(&"fridge-9".parse().unwrap(), &mut |_, _, _| {}).await.unwrap_err();
    assert!(why.contains("no device fridge-9"), "{why}");
    let why = trial.test(&device(), &mut |_, _, _| {}).await.unwrap_err();
    assert!(why.contains("not read at the moment"), "{why}");
    assert_eq!(trial.expected(&"fridge-9".parse().unwrap()), None);
}

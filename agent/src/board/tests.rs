//! The board by a clock that is set by hand: strips over restarts, and what changed when.

use std::sync::Mutex;

use super::*;
use crate::time::{Authority, BUILD_MS, ClockSource, Heard, Reading as Clocks};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// After the agent was built, at the beginning of a slot.
const BEGIN: i64 = (BUILD_MS / SLOT_MS + 3_000) * SLOT_MS;

/// A box whose time passes by hand.
#[derive(Debug)]
struct Hands {
    boot_id: String,
    now: Mutex<Clocks>,
}

impl ClockSource for Hands {
    fn boot_id(&self) -> String {
        self.boot_id.clone()
    }

    fn read(&self) -> Clocks {
        *self.now.lock().unwrap()
    }

    fn is_synchronised(&self) -> bool {
        false
    }
}

/// One life of the agent, in one boot of the box.
struct Life {
    hands: Arc<Hands>,
    clock: BoxClock,
    board: Board,
}

impl Life {
    fn begin(dir: &Path, boot_id: &str, boot_ms: i64, wall_ms: i64) -> Self {
        let now = Mutex::new(Clocks { boot_ms, wall_ms });
        let hands = Arc::new(Hands { boot_id: boot_id.to_owned(), now });
        let clock = BoxClock::new(Arc::clone(&hands) as Arc<dyn ClockSource>, 0);
        let board = Board::load(clock.clone(), dir);
        board.add(&fridge(), "modbus");
        Self { hands, clock, board }
    }

    /// Time passes, and the board looks every minute.
    fn pass(&self, minutes: i64) {
        for _ in 0..minutes {
            let mut now = self.hands.now.lock().unwrap();
            now.boot_ms += MINUTE;
            now.wall_ms += MINUTE;
            drop(now);
            self.board.look();
        }
    }

    fn set_clock(&self, wall_ms: i64) {
        self.hands.now.lock().unwrap().wall_ms = wall_ms;
    }

    /// The cloud tells the time.
    fn told(&self, time_ms: i64) {
        let now = self.hands.read();
        let heard = Heard { authority: Authority::Cloud, time_ms, coarse_ms: 0, asked: now, answered: now };
        self.clock.hear(&heard);
    }

    fn state(&self, state: DeviceState) {
        self.board.state(&fridge(), state);
    }

    /// A sign for each slot, the oldest first: a dot for nothing known, `=` for well, `!` for not.
    fn signs(&self) -> String {
        let sign = |slot: &Slot| match (slot.ok, slot.worst) {
            (None, _) => '.',
            (Some(_), Some(DeviceState::Ok)) => '=',
            _ => '!',
        };
        self.board.history(&fridge()).slots.iter().map(sign).collect()
    }
}

fn fridge() -> DeviceId {
    "fridge".parse().unwrap()
}

#[test]
fn a_strip_is_of_the_last_day_and_says_when_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path(), "a", HOUR, BEGIN);
    life.state(DeviceState::Ok);
    life.pass(60);
    life.state(DeviceState::Fault);
    life.pass(35);
    let strip = life.board.history(&fridge());
    assert_eq!((strip.slots.len(), strip.slot_ms), (96, SLOT_MS));
    assert_eq!(strip.from_ms, BEGIN + 90 * MINUTE - 95 * SLOT_MS);
    assert!(life.signs().ends_with(".====!!!"), "{}", life.signs());
    let last = strip.slots[95];
    assert_eq!((last.ok, last.changes), (Some(0.0), 0));
    assert_eq!(strip.slots[93].changes, 1);
    assert!((last.known - 5.0 / 15.0).abs() < 1e-9);
    let nobody = life.board.history(&"nobody".parse().unwrap());
    assert!(nobody.slots.iter().all(|slot| slot.ok.is_none()));
}

#[test]
fn a_clock_that_is_set_moves_the_strip_and_changes_nothing_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path(), "a", HOUR, BEGIN);
    life.state(DeviceState::Ok);
    life.pass(60);
    let before = life.board.history(&fridge());
    for wall_ms in [BEGIN + 400 * 24 * HOUR, 0, BEGIN - HOUR] {
        life.set_clock(wall_ms);
        let after = life.board.history(&fridge());
        assert_eq!(after.slots, before.slots);
        assert_eq!(after.from_ms - wall_ms, before.from_ms - (BEGIN + HOUR));
    }
}

#[test]
fn a_restart_of_the_agent_is_a_gap_as_long_as_it_was_whatever_the_clock_did() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path(), "a", HOUR, BEGIN);
    life.state(DeviceState::Ok);
    life.pass(60);
    life.board.write_history(dir.path()).unwrap();
    // It was off for half an hour, and the clock was set a year back meanwhile.
    let life = Life::begin(dir.path(), "a", 2 * HOUR + 30 * MINUTE, BEGIN - 366 * 24 * HOUR);
    life.state(DeviceState::Ok);
    life.pass(15);
    assert!(life.signs().ends_with(".====..=."), "{}", life.signs());
    // And once more: what was kept is kept on.
    life.board.write_history(dir.path()).unwrap();
    let life = Life::begin(dir.path(), "a", 2 * HOUR + 45 * MINUTE, BEGIN);
    assert!(life.signs().ends_with(".====..=."), "{}", life.signs());
}

#[test]
fn in_one_slot_both_lives_count() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path(), "a", HOUR, BEGIN);
    life.state(DeviceState::Ok);
    life.pass(5);
    life.board.write_history(dir.path()).unwrap();
    let life = Life::begin(dir.path(), "a", HOUR + 8 * MINUTE, BEGIN + 8 * MINUTE);
    life.state(DeviceState::Fault);
    life.pass(5);
    let slot = life.board.history(&fridge()).slots[95];
    assert_eq!((slot.ok, slot.worst, slot.changes), (Some(0.5), Some(DeviceState::Fault), 0));
    assert!((slot.known - 10.0 / 15.0).abs() < 1e-9, "{slot:?}");
}

#[test]
fn a_box_that_was_off_shows_for_how_long_once_the_true_time_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path(), "a", HOUR, BEGIN);
    life.told(BEGIN);
    life.state(DeviceState::Ok);
    life.pass(60);
    life.board.write_history(dir.path()).unwrap();
    // No battery for its clock: it comes back after two hours with the time at which it went.
    let life = Life::begin(dir.path(), "b", MINUTE, BEGIN + HOUR);
    life.state(DeviceState::Ok);
    life.pass(29);
    assert!(life.signs().ends_with("===="), "{}", life.signs());
    assert_eq!(life.signs().trim_matches('.').trim_matches('=').len(), 0, "not known yet: {}", life.signs());
    life.told(BEGIN + 3 * HOUR + 29 * MINUTE);
    life.set_clock(BEGIN + 3 * HOUR + 29 * MINUTE);
    life.board.look();
    let signs = life.signs();
    let gap = signs.trim_matches('.').trim_matches('=').len();
    assert_eq!(gap, 8, "two hours: {signs}");
}

#[test]
fn a_clock_of_1970_after_a_boot_does_not_hide_the_past() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path(), "a", HOUR, BEGIN);
    life.told(BEGIN);
    life.state(DeviceState::Fault);
    life.pass(30);
    life.board.write_history(dir.path()).unwrap();
    let life = Life::begin(dir.path(), "b", 20 * MINUTE, 20 * MINUTE);
    assert!(life.signs().contains("!!"), "{}", life.signs());
    assert!(life.signs().ends_with('.'), "at least since it was started: {}", life.signs());
}

#[test]
fn after_two_days_off_nothing_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path(), "a", HOUR, BEGIN);
    life.state(DeviceState::Ok);
    life.pass(60);
    life.board.write_history(dir.path()).unwrap();
    let life = Life::begin(dir.path(), "b", MINUTE, BEGIN + 49 * HOUR);
    assert_eq!(life.signs(), ".".repeat(96));
}

#[test]
fn what_is_damaged_too_large_or_of_the_future_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path(), "a", HOUR, BEGIN);
    life.state(DeviceState::Ok);
    life.pass(60);
    life.board.write_history(dir.path()).unwrap();
    let file = dir.path().join(past::FILE);
    let good = std::fs::read(&file).unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    let mut bad: Vec<Vec<u8>> = (0..good.len()).map(|end| good[..end].to_vec()).collect();
    bad.push(text.replace("\"v\":1", "\"v\":2").into_bytes());
    bad.push(
        text.replace("\"at_ms\":", "\"at_ms\":9").replace("\"wall_ms\":", "\"wall_ms\":999").into_bytes(),
    );
    bad.push(vec![b' '; past::BYTES_MAX + 1]);
    bad.push(b"\0\xff\0\xff".to_vec());
    for bytes in bad {
        std::fs::write(&file, &bytes).unwrap();
        let life = Life::begin(dir.path(), "a", 3 * HOUR, BEGIN + 2 * HOUR);
        assert_eq!(life.signs(), ".".repeat(96), "{}", String::from_utf8_lossy(&bytes));
        life.state(DeviceState::Ok);
        life.pass(1);
        life.board.write_history(dir.path()).unwrap();
    }
    // Numbers that cannot be are cut to what can.
    let runs = text.replace("[95,0,0,0,0]", "[255,9999,65535,9,65535],[200,9999,65535,4,1]");
    std::fs::write(&file, runs).unwrap();
    let life = Life::begin(dir.path(), "a", 2 * HOUR, BEGIN + HOUR);
    let slots = life.board.history(&fridge()).slots;
    assert!(slots.iter().all(|slot| slot.known <= 1.0 && slot.ok.is_none_or(|ok| ok <= 1.0)), "{slots:?}");
}

#[test]
fn the_file_is_small_and_never_larger_than_it_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let size = || std::fs::metadata(dir.path().join(past::FILE)).unwrap().len();
    let life = Life::begin(dir.path(), "a", HOUR, BEGIN);
    let many = |count: usize| (0..count).map(|no| format!("device-{no:04}").parse::<DeviceId>().unwrap());
    for device in many(20) {
        life.board.add(&device, "modbus");
        life.board.state(&device, DeviceState::Ok);
    }
    life.pass(24 * 60);
    life.board.write_history(dir.path()).unwrap();
    assert!(size() < 2_048, "{} bytes for 20 quiet devices", size());
    // Each of far too many changes in each slot, and differently.
    for device in many(600) {
        life.board.add(&device, "modbus");
    }
    for slot in 0..96_usize {
        for (no, device) in many(600).enumerate() {
            for change in 0..=(slot + no) % 3 {
                let state = if change % 2 == 0 { DeviceState::Fault } else { DeviceState::Ok };
                life.board.state(&device, state);
            }
        }
        life.pass(15);
    }
    life.board.write_history(dir.path()).unwrap();
    assert!(size() <= past::BYTES_MAX as u64 && size() > 200 << 10, "{} bytes", size());
    let life = Life::begin(dir.path(), "a", 50 * HOUR, BEGIN);
    assert!(life.board.history(&"device-0000".parse().unwrap()).slots.iter().any(|slot| slot.ok.is_some()));
}

#[tokio::test]
async fn strips_are_written_when_the_agent_stops() {
    let dir = tempfile::tempdir().unwrap();
    let Life { board, .. } = Life::begin(dir.path(), "a", HOUR, BEGIN);
    board.state(&fridge(), DeviceState::Ok);
    let stop = CancellationToken::new();
    stop.cancel();
    let stopped = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(keep(Arc::new(board), dir.path().to_owned(), stopped.clone()));
    tokio::task::yield_now().await;
    assert!(!dir.path().join(past::FILE).exists(), "not at the start");
    stopped.cancel();
    tasks.join_next().await.unwrap().unwrap();
    assert!(dir.path().join(past::FILE).exists());
}

#[test]
fn what_changed_is_told_the_last_first_and_what_stays_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path(), "a", HOUR, BEGIN);
    let [drawer, agent]: [DeviceId; 2] = ["drawer", AGENT_DEVICE].map(|id| id.parse().unwrap());
    life.board.add(&drawer, "escpos");
    life.board.add(&agent, AGENT_DEVICE);
    let read = |device: &DeviceId, value: f64, pin: f64| {
        let now_ms = life.clock.now_ms();
        life.board.saw(device, &[("drawer_pin", pin)]);
        life.board.good(device, now_ms, &[("a", value)]);
        life.board.ended(device, 1, 0, None);
    };
    let all = |pin: f64| [&drawer, &agent, &fridge()].into_iter().for_each(|device| read(device, 4.0, pin));
    all(0.0);
    life.pass(1);
    let since = life.clock.now_ms();
    all(0.0);
    assert!(life.board.changed_since(since).is_empty(), "all is as it was");
    life.board.ended(&fridge(), 0, 1, None);
    life.pass(1);
    read(&drawer, 4.0, 1.0);
    assert_eq!(life.board.changed_since(since), [drawer.clone(), fridge()]);
    life.pass(1);
    read(&fridge(), 4.5, 0.0);
    assert_eq!(life.board.changed_since(since), [fridge(), drawer]);
    assert_eq!(life.board.changed_since(life.clock.now_ms()), [fridge()]);
    assert_eq!(life.board.get(&fridge()).unwrap().changed_ms, Some(life.clock.now_ms()));
}

#[test]
fn what_was_seen_is_forgotten_when_a_reading_fails_and_the_last_exchange_stays() {
    let dir = tempfile::tempdir().unwrap();
    let Life { board, .. } = Life::begin(dir.path(), "a", HOUR, BEGIN);
    let exchange = Exchange { at_ms: 1, asked: "05".to_owned(), answered: "06".to_owned() };
    board.saw(&fridge(), &[("weight_kg", 1.2), ("stable", 1.0)]);
    board.ended(&fridge(), 1, 0, Some(exchange.clone()));
    board.saw(&fridge(), &[("stable", 0.0)]);
    board.ended(&fridge(), 1, 0, None);
    let status = board.get(&fridge()).unwrap();
    assert_eq!((status.attempts, status.seen), (2, BTreeMap::from([("stable", 0.0)])));
    assert_eq!(status.exchange, Some(exchange));
    board.ended(&fridge(), 0, 1, None);
    assert!(board.get(&fridge()).unwrap().seen.is_empty());
    assert_eq!((board.goods(&fridge()), board.get(&fridge()).unwrap().attempts), (2, 3));
}

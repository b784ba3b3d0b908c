//! What a spool makes of a clock that is wrong, set, and right at last, boot after boot.

use std::sync::{Arc, Mutex};

use storepulse_shared::batch::header::BatchHeader;
use storepulse_shared::batch::{Batch, Column};
use storepulse_shared::gzip;

use super::super::core::Limits;
use super::super::open::{Opened, in_memory};
use super::super::queue::{Next, Reach, Wish};
use super::super::settle::Settlement;
use super::*;
use crate::time::{Authority, ClockSource, Heard, Reading};

const HOUR: i64 = 3_600_000;
const YEAR: i64 = 8_766 * HOUR;
/// True time when the tests begin: after the agent was built.
const BEGIN: i64 = BUILD_MS + 30 * 24 * HOUR;
const LIMITS: Limits = Limits { bytes_max: 64 << 20, batch_samples_max: 1_000 };

/// Sends whatever is there, sealing what is open.
fn at_once() -> Wish {
    let age = [std::time::Duration::ZERO; 3];
    Wish { age, clock: Clock::Unsure, in_flight: Vec::new(), reach: Some(Reach::Backlog) }
}

/// A box whose true time and clock are set by hand.
#[derive(Debug)]
struct Hands {
    boot_id: String,
    /// True time at boot.
    booted_ms: i64,
    /// True time, and what the clock is off.
    now: Mutex<(i64, i64)>,
}

impl ClockSource for Hands {
    fn boot_id(&self) -> String {
        self.boot_id.clone()
    }

    fn read(&self) -> Reading {
        let (true_ms, off_ms) = *self.now.lock().unwrap();
        Reading { boot_ms: true_ms - self.booted_ms, wall_ms: true_ms + off_ms }
    }

    fn is_synchronised(&self) -> bool {
        false
    }
}

/// One boot of it, with its spool.
struct Boot {
    hands: Arc<Hands>,
    clock: BoxClock,
    core: Core,
}

impl Boot {
    fn new(opened: Opened, id: &str, true_ms: i64, off_ms: i64) -> Self {
        let now = Mutex::new((true_ms + 1_000, off_ms));
        let hands = Arc::new(Hands { boot_id: id.to_owned(), booted_ms: true_ms, now });
        let clock = BoxClock::new(Arc::clone(&hands) as Arc<dyn ClockSource>, BUILD_MS);
        let mut core = Core::load(opened, LIMITS, None, clock.now_ms()).unwrap();
        core.keep_time(clock.clone()).unwrap();
        Self { hands, clock, core }
    }

    /// The box is switched off and on again.
    fn reboot(self, id: &str, true_ms: i64, off_ms: i64) -> Self {
        Self::new(self.core.into_opened(), id, true_ms, off_ms)
    }

    fn at(&self, true_ms: i64) {
        self.hands.now.lock().unwrap().0 = true_ms;
    }

    fn set_clock(&self, off_ms: i64) {
        self.hands.now.lock().unwrap().1 = off_ms;
    }

    /// A sample whose value is the true time, dated by the clock.
    fn sample(&mut self, true_ms: i64) {
        self.at(true_ms);
        let now_ms = self.clock.now_ms();
        self.core.append_frames(Lane::Normal, &[frame(now_ms, true_ms)], now_ms).unwrap();
    }

    fn push(&mut self, time_ms: i64, value: i64) {
        let now_ms = self.clock.now_ms();
        self.core.append_pushed(Lane::Normal, &[frame(time_ms, value)], now_ms).unwrap();
    }

    fn learn(&self) {
        let now = self.clock.read();
        let time_ms = self.hands.now.lock().unwrap().0;
        let heard = Heard { authority: Authority::Cloud, time_ms, coarse_ms: 0, asked: now, answered: now };
        self.clock.hear(&heard);
        self.core.keep_truth(&self.clock.truth().unwrap()).unwrap();
    }

    /// The next batch to send, with what its header says.
    fn next(&mut self) -> Option<(i64, BatchHeader, Batch<'static>)> {
        let now_ms = self.clock.now_ms();
        match self.core.next_to_send(&at_once(), now_ms).unwrap() {
            Next::Idle(_) => None,
            Next::Send(outgoing) => {
                let text = gzip::inflate(&outgoing.body, 1 << 20).unwrap().leak();
                let batch = storepulse_shared::batch::decode::decode(text).unwrap();
                Some((outgoing.id, outgoing.header.parse().unwrap(), batch))
            }
        }
    }

    /// Delivers everything: the clock's mark, the time that the cloud would store, and the value; by value.
    fn deliver(&mut self) -> Vec<(Clock, i64, i64)> {
        let mut all = Vec::new();
        while let Some((id, header, batch)) = self.next() {
            for frame in &batch.frames {
                for (time, value) in frame.times.iter().zip(&frame.columns[0].values) {
                    all.push((header.clock, time + header.offset_ms, *value as i64));
                }
            }
            let now_ms = self.clock.now_ms();
            self.core.settle(id, &Settlement::Acked { through: Vec::new(), acks_before: 0 }, now_ms).unwrap();
        }
        all.sort_by_key(|(_, _, value)| *value);
        all
    }
}

fn frame(time_ms: i64, value: i64) -> Frame<'static> {
    let columns = vec![Column { series: "m".into(), values: vec![value as f64] }];
    Frame { device: "d".into(), kind: "host".into(), times: vec![time_ms], columns }
}

fn boot(off_ms: i64) -> Boot {
    Boot::new(in_memory(), "first", BEGIN, off_ms)
}

#[test]
fn a_batch_never_mixes_both_sides_of_a_step_and_all_of_them_are_repaired() {
    let mut boot = boot(-BEGIN);
    for (n, off) in [(1, -BEGIN), (2, 2 * YEAR), (3, -6 * HOUR), (4, 10 * YEAR), (5, -10 * YEAR), (6, 0)] {
        boot.set_clock(off);
        boot.sample(BEGIN + n * HOUR);
        boot.sample(BEGIN + n * HOUR + 1_000);
    }
    boot.learn();
    let delivered = boot.deliver();
    assert_eq!(delivered.len(), 12);
    for (clock, time, truth) in &delivered {
        assert_eq!(time, truth);
        assert_eq!(*clock, if *truth >= BEGIN + 6 * HOUR { Clock::Ok } else { Clock::Repaired });
    }
}

#[test]
fn what_is_sent_before_the_time_is_known_is_marked() {
    let mut boot = boot(-3 * HOUR);
    boot.sample(BEGIN + HOUR);
    assert_eq!(boot.deliver(), [(Clock::Unsure, BEGIN - 2 * HOUR, BEGIN + HOUR)]);
}

#[test]
fn an_unanswered_batch_gets_better_times_but_known_ones_stay() {
    let mut boot = boot(-3 * HOUR);
    boot.sample(BEGIN + HOUR);
    assert_eq!(boot.next().unwrap().1.clock, Clock::Unsure);
    boot.learn();
    let repaired = boot.next().unwrap().1;
    assert_eq!((repaired.clock, repaired.offset_ms), (Clock::Repaired, 3 * HOUR));
    // The cloud corrects itself by a minute; what was said of this batch stays.
    boot.at(BEGIN + 2 * HOUR);
    let now = boot.clock.read();
    let time_ms = BEGIN + 2 * HOUR + 60_000;
    boot.clock.hear(&Heard { authority: Authority::Cloud, time_ms, coarse_ms: 0, asked: now, answered: now });
    assert_eq!(boot.next().unwrap().1, repaired);
}

#[test]
fn a_boot_whose_truth_was_learnt_is_repaired_in_the_next_one() {
    let mut first = boot(-BEGIN);
    first.sample(BEGIN + HOUR);
    first.learn();
    let mut second = first.reboot("second", BEGIN + 5 * HOUR, -BEGIN);
    assert_eq!(second.deliver(), [(Clock::Repaired, BEGIN + HOUR, BEGIN + HOUR)]);
}

#[test]
fn a_restart_in_the_same_boot_knows_what_was_learnt() {
    let mut boot = boot(-BEGIN);
    boot.learn();
    boot.sample(BEGIN + HOUR);
    let opened = boot.core.into_opened();
    let mut again = Boot::new(opened, "first", BEGIN, -BEGIN);
    assert!(again.clock.truth().is_some());
    assert_eq!(again.deliver(), [(Clock::Repaired, BEGIN + HOUR, BEGIN + HOUR)]);
}

#[test]
fn boots_that_nobody_can_date_are_marked_and_put_where_they_can_have_been() {
    let mut first = boot(-BEGIN);
    first.sample(BEGIN + HOUR);
    first.sample(BEGIN + 2 * HOUR);
    let mut second = first.reboot("second", BEGIN + 3 * HOUR, -BEGIN - 3 * HOUR);
    second.sample(BEGIN + 4 * HOUR);
    let mut third = second.reboot("third", BEGIN + 10 * HOUR, 0);
    third.learn();
    let delivered = third.deliver();
    assert!(delivered.iter().all(|(clock, ..)| *clock == Clock::Unsure));
    let times: Vec<i64> = delivered.iter().map(|(_, time, _)| *time).collect();
    // The second lasted an hour and was over at ten; the first lasted two, and was over before that.
    assert_eq!(times, [BEGIN + 8 * HOUR, BEGIN + 9 * HOUR, BEGIN + 10 * HOUR]);
}

#[test]
fn a_boot_that_nobody_can_date_keeps_times_that_can_be() {
    let mut first = boot(-HOUR);
    first.sample(BEGIN + HOUR);
    let second = first.reboot("second", BEGIN + 10 * HOUR, 0);
    second.learn();
    let mut second = second;
    assert_eq!(second.deliver(), [(Clock::Unsure, BEGIN, BEGIN + HOUR)]);
}

#[test]
fn pushed_times_that_do_not_agree_with_our_clock_are_not_repaired_with_it() {
    let mut boot = boot(-BEGIN);
    boot.at(BEGIN + HOUR);
    let ours = boot.clock.now_ms();
    boot.push(ours, 1);
    boot.push(BEGIN + HOUR, 2);
    boot.sample(BEGIN + HOUR);
    boot.learn();
    // A terminal that knows the time.
    boot.push(BEGIN + HOUR - 5_000, 3);
    let delivered = boot.deliver();
    assert_eq!(
        delivered,
        [
            (Clock::Repaired, BEGIN + HOUR, 1),
            (Clock::Unsure, BEGIN + HOUR, 2),
            (Clock::Repaired, BEGIN + HOUR - 5_000, 3),
            (Clock::Repaired, BEGIN + HOUR, BEGIN + HOUR),
        ]
    );
}

#[test]
fn the_halves_of_a_batch_that_was_cut_were_dated_by_the_same_clock() {
    let mut boot = boot(-BEGIN);
    boot.sample(BEGIN + HOUR);
    boot.sample(BEGIN + 2 * HOUR);
    boot.set_clock(0);
    boot.learn();
    let (id, ..) = boot.next().unwrap();
    boot.core.settle(id, &Settlement::TooLarge, BEGIN).unwrap();
    let delivered = boot.deliver();
    assert_eq!(delivered.len(), 2);
    assert!(delivered.iter().all(|(clock, time, truth)| *clock == Clock::Repaired && time == truth));
}

#[test]
fn what_is_remembered_for_a_time_keeps_its_age_when_the_clock_is_set() {
    let mut boot = boot(-BEGIN);
    boot.at(BEGIN + HOUR);
    boot.core.keep_ages(boot.clock.now_ms()).unwrap();
    let insert = "insert into idempotency_keys (sender, key, body_sha256, verdict, at_ms) values (x'', 'k', x'', '', ?1)";
    boot.core.change(insert, [boot.clock.now_ms()]).unwrap();
    boot.at(BEGIN + 2 * HOUR);
    boot.set_clock(0);
    boot.core.keep_ages(boot.clock.now_ms()).unwrap();
    let at: i64 =
        boot.core.db().query_row("select at_ms from idempotency_keys", [], |row| row.get(0)).unwrap();
    assert_eq!(at, BEGIN + HOUR);
}

#[test]
fn a_gateway_that_does_not_know_the_time_tells_none() {
    let boot = boot(-BEGIN);
    assert_eq!(boot.core.dates.true_time(boot.clock.now_ms()), 0);
    boot.learn();
    let true_ms = boot.hands.now.lock().unwrap().0;
    assert_eq!(boot.core.dates.true_time(boot.clock.now_ms()), true_ms);
}

#[test]
fn a_loss_speaks_of_the_time_that_a_discarded_batch_would_have_had() {
    let mut first = boot(-BEGIN);
    first.sample(BEGIN + HOUR);
    let wall_ms = first.clock.now_ms();
    let id = first.core.open[1].unwrap().id;
    // In the same boot the truth is not needed: the loss will be repaired with the batch that carries it.
    first.set_clock(2 * YEAR);
    let told = first.core.in_present_clock(id, wall_ms, first.clock.now_ms()).unwrap();
    assert_eq!(told, BEGIN + HOUR + 2 * YEAR);
    first.learn();
    let second = first.reboot("second", BEGIN + 5 * HOUR, -3 * HOUR);
    assert_eq!(second.core.in_present_clock(id, wall_ms, second.clock.now_ms()).unwrap(), wall_ms);
    second.learn();
    assert_eq!(second.core.in_present_clock(id, wall_ms, second.clock.now_ms()).unwrap(), BEGIN - 2 * HOUR);
}

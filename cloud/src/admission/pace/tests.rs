//! The pacer by itself, and against simulated fleets.

use std::collections::VecDeque;

use super::*;

const STEP: Duration = Duration::from_millis(10);
const FRESH_EVERY: Duration = Duration::from_secs(15);

fn agent(no: usize) -> Agent {
    ("t".parse().unwrap(), format!("S{no}").parse().unwrap())
}

fn missing(missing: u64) -> Heard {
    Heard { missing, ..Heard::default() }
}

#[test]
fn who_misses_nothing_has_no_turn_and_who_misses_something_begins_in_turn() {
    let now = Instant::now();
    let mut pacer = Pacer::new(now);
    assert_eq!(pacer.answer(now, agent(0), missing(1)).start_in_ms, 0);
    let starts: Vec<u64> = (0..4).map(|no| pacer.answer(now, agent(no), missing(200)).start_in_ms).collect();
    // 200 batches of 8 KiB at 2 MB/s.
    assert_eq!(starts, [0, 819, 1_638, 2_457]);
    let later = now + Duration::from_millis(300);
    assert_eq!(pacer.answer(later, agent(1), missing(199)).start_in_ms, 519, "its turn stays");
}

#[test]
fn nobody_is_told_to_wait_for_long_and_those_who_would_be_are_spread() {
    let now = Instant::now();
    let mut pacer = Pacer::new(now);
    let starts: Vec<u64> =
        (0..50).map(|no| pacer.answer(now, agent(no), missing(u64::MAX)).start_in_ms).collect();
    assert_eq!(starts[..3], [0, 10_000, 20_000], "who misses most keeps the line for 10 s");
    let mut put_off = starts[3..].to_vec();
    assert!(put_off.iter().all(|ms| (20_000..25_000).contains(ms)), "{starts:?}");
    put_off.sort_unstable();
    assert!(put_off.windows(2).all(|pair| pair[1] - pair[0] < 500), "{put_off:?}");
    for second in 1..=25 {
        // All of the rate is used: the line does not move faster.
        pacer.second.bytes = 2_000_000;
        pacer.look(now + second * TICK);
        pacer.bytes_per_s = START_BYTES_PER_S;
    }
    let later = now + Duration::from_secs(25);
    assert_eq!(pacer.answer(later, agent(3), missing(9)).start_in_ms, 5_000, "its turn comes nearer");
}

#[test]
fn the_rate_is_divided_among_those_who_were_active_lately() {
    let mut now = Instant::now();
    let mut pacer = Pacer::new(now);
    let backlog = Heard { missing: 9, backlog_bytes: Some(100_000), ..Heard::default() };
    for _ in 0..3 {
        for no in 0..10 {
            pacer.answer(now, agent(no), backlog);
        }
        now += TICK;
    }
    let all = pacer.answer(now, agent(0), backlog).backlog_bytes_per_s;
    assert_eq!(all, pacer.total_bytes_per_s() / 10);
    now += ACTIVE;
    let alone = pacer.answer(now, agent(0), backlog).backlog_bytes_per_s;
    assert_eq!(alone, SHARE_BYTES_PER_S_MAX, "the others have been silent");
}

#[test]
fn after_a_minute_without_backlog_the_rate_is_forgotten() {
    let now = Instant::now();
    let mut pacer = Pacer::new(now);
    pacer.waited(now, Duration::from_secs(5));
    pacer.look(now + TICK);
    assert_eq!(pacer.total_bytes_per_s(), 64_000);
    pacer.look(now + FORGOTTEN);
    assert_eq!(pacer.total_bytes_per_s(), 64_000);
    pacer.look(now + FORGOTTEN + 2 * TICK);
    assert_eq!(pacer.total_bytes_per_s(), 2_000_000);
}

/// An agent of the simulation, with the rules of the real one's gate: the backlog leaves one by one, each after the
/// bytes before it have had their time, and never before a time that was told.
struct Simulated {
    left: u64,
    is_back: bool,
    in_flight: bool,
    from: Instant,
    bytes_per_s: u64,
    next_fresh: Instant,
}

/// A fleet comes back at once.
#[derive(Debug, Clone, Copy)]
struct Return {
    agents: usize,
    /// Backlog batches of each.
    each: u64,
    batch_bytes: usize,
    /// What the service takes of backlog, bytes a second.
    capacity: usize,
    /// For so long connections are made, and a tenth of that is taken.
    connecting_s: u64,
    fresh_every: Duration,
}

impl Return {
    const fn of(agents: usize, each: u64, batch_bytes: usize, capacity: usize) -> Self {
        Self { agents, each, batch_bytes, capacity, connecting_s: 0, fresh_every: FRESH_EVERY }
    }

    /// What was taken in each second, and the longest queue in seconds.
    fn simulate(self) -> (Vec<usize>, f64) {
        let Self { agents, batch_bytes, capacity, .. } = self;
        let begun = Instant::now();
        let connecting = Duration::from_secs(self.connecting_s);
        let mut pacer = Pacer::new(begun);
        let mut fleet: Vec<Simulated> = (0..agents)
            .map(|no| {
                // Spread, so that neighbours in the list are none in time.
                let part = (no * 7_919 % agents) as f64 / agents as f64;
                let first = if self.connecting_s == 0 { self.fresh_every / 3 } else { self.fresh_every };
                Simulated {
                    left: self.each,
                    // A link that comes back carries the oldest batch first: nothing is fresh.
                    is_back: self.connecting_s > 0,
                    in_flight: false,
                    from: begun + connecting.mul_f64((no * 104_729 % agents) as f64 / agents as f64),
                    bytes_per_s: SHARE_BYTES_PER_S_MAX,
                    next_fresh: begun + connecting + first.mul_f64(part),
                }
            })
            .collect();
        let (mut queue, mut taken, mut longest) = (VecDeque::new(), Vec::new(), 0_usize);
        let (mut now, mut credit, mut second) = (begun, 0, 0);
        let mut made = 0.0;
        while fleet.iter().any(|agent| agent.left > 0) {
            now += STEP;
            if now - begun < connecting {
                made += agents as f64 * STEP.as_secs_f64() / connecting.as_secs_f64();
                pacer.connections_made(made as u64);
            }
            for (no, one) in fleet.iter_mut().enumerate() {
                if now >= one.next_fresh {
                    one.next_fresh += self.fresh_every;
                    let pace = pacer.answer(now, agent(no), missing(one.left));
                    one.bytes_per_s = pace.backlog_bytes_per_s;
                    one.from = one.from.max(now + Duration::from_millis(pace.start_in_ms));
                    one.is_back = true;
                }
                if one.is_back && one.left > 0 && !one.in_flight && now >= one.from {
                    one.in_flight = true;
                    one.from = now + Duration::from_secs_f64(batch_bytes as f64 / one.bytes_per_s as f64);
                    queue.push_back((no, now));
                }
            }
            longest = longest.max(queue.len());
            // One second in ten, nearly nothing is taken, as when the disk is busy with something else.
            let is_stalled = (now - begun).as_secs() % 10 == 7 || now - begun < connecting;
            credit += capacity / if is_stalled { 1_000 } else { 100 };
            while credit >= batch_bytes {
                let Some((no, asked)) = queue.pop_front() else {
                    credit = batch_bytes;
                    break;
                };
                credit -= batch_bytes;
                second += batch_bytes;
                pacer.waited(now, now - asked);
                let one = &mut fleet[no];
                (one.in_flight, one.left) = (false, one.left - 1);
                let heard = Heard { missing: one.left, backlog_bytes: Some(batch_bytes), ..Heard::default() };
                let pace = pacer.answer(now, agent(no), heard);
                one.bytes_per_s = pace.backlog_bytes_per_s;
                one.from = one.from.max(now + Duration::from_millis(pace.start_in_ms));
            }
            if (now - begun).as_millis().is_multiple_of(1_000) {
                taken.push(std::mem::take(&mut second));
            }
            assert!(
                now - begun < Duration::from_secs(3_600),
                "it never ends: rate {}",
                pacer.total_bytes_per_s()
            );
        }
        (taken, longest as f64 * batch_bytes as f64 / capacity as f64)
    }
}

#[test]
fn a_fleet_that_returns_is_taken_at_nearly_the_rate_that_is_sustained() {
    // Few agents with much and many with little, large batches and small. The rate assumed at the start is far too high, or
    // too low: then it takes as long to learn as the starts that were told meanwhile.
    for (fleet, learning_s) in [
        (Return::of(600, 10, 20_000, 500_000), 0),
        (Return::of(250, 72, 2_000, 600_000), 0),
        (Return::of(300, 40, 20_000, 1_000_000), 0),
        (Return::of(40, 400, 20_000, 2_000_000), 0),
        (Return::of(1_500, 24, 20_000, 8_000_000), 25),
    ] {
        let (taken, longest_s) = fleet.simulate();
        // The last agents are alone with their links.
        let most = &taken[learning_s..taken.len() * 9 / 10];
        let mean = most.iter().sum::<usize>() / most.len();
        assert!(mean * 10 >= fleet.capacity * 8, "{fleet:?}: {mean}: {taken:?}");
        assert!(longest_s < 10.0, "{fleet:?} queues for {longest_s} s");
    }
}

#[test]
fn ten_thousand_that_connect_at_once_with_little_each_are_taken_as_soon_as_they_are_connected() {
    let fleet = Return {
        connecting_s: 8,
        fresh_every: Duration::from_secs(30),
        ..Return::of(10_000, 3, 1_100, 1_600_000)
    };
    let (taken, longest_s) = fleet.simulate();
    // From the first to the last tenth, as the torture counts.
    let all: usize = taken.iter().sum();
    let after = |tenths: usize| {
        let mut sum = 0;
        let reached = |bytes: &usize| {
            sum += bytes;
            sum * 10 >= all * tenths
        };
        taken.iter().position(reached).unwrap()
    };
    let mean = all * 8 / 10 / (after(9) - after(1));
    assert!(mean * 10 >= fleet.capacity * 8, "{mean}: {taken:?}");
    assert!(longest_s < 10.0, "they queue for {longest_s} s");
}

//! How far a command is, on stderr: steps done, of how many, and about how long the rest takes.
//!
//! Nothing is told of what ends within a second. A terminal has one line, drawn anew at most five times a second and wiped at the
//! end; elsewhere a line is written every ten seconds, for logs. A thread of its own draws, so that it is seen also while one
//! step takes long; it ends with the [`Progress`].

use std::io::{IsTerminal as _, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use terminal_size::{Width, terminal_size_of};

use super::screen::{cut, plain};

/// What ends before is not told.
const SILENT: Duration = Duration::from_secs(1);
/// Between two drawings on a terminal.
const REDRAW: Duration = Duration::from_millis(200);
/// Between two lines elsewhere.
const LINE: Duration = Duration::from_secs(10);
/// Columns of a line where the terminal does not tell its own.
const COLUMNS: usize = 40;

/// Work that takes long, as it is shown.
#[derive(Debug)]
pub(super) struct Progress {
    meter: Arc<Mutex<Meter>>,
    /// Gone at the end, which is how the thread knows.
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Step {
    done: usize,
    of: usize,
    what: String,
}

impl Progress {
    /// Begins: `what` is done.
    pub(super) fn begin(what: &str) -> Self {
        let width = terminal_size_of(std::io::stderr()).map(|(Width(columns), _)| usize::from(columns));
        // A line that fills the last column wraps on some, and what wraps cannot be drawn anew.
        let columns = width.map_or(COLUMNS, |width| width.saturating_sub(1));
        let is_terminal = std::io::stderr().is_terminal();
        let meter = Arc::new(Mutex::new(Meter::new(is_terminal.then_some(columns), what)));
        let (alive, ended) = channel();
        let shared = Arc::clone(&meter);
        let draw = move || draw(&shared, &ended, Instant::now(), &mut std::io::stderr());
        // Where no thread can be made there is no progress to be seen, which is no reason not to work.
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(draw).ok();
        Self { meter, alive: Some(alive), thread }
    }

    /// So many steps are done; `what` is next, or as before if it is empty.
    pub(super) fn tell(&self, done: usize, of: usize, what: &str) {
        lock(&self.meter).step(done, of, what);
    }

    /// Writes something that stays, where the line may stand.
    pub(super) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        let meter = lock(&self.meter);
        say(&mut std::io::stderr(), meter.end());
        write()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.alive.take());
        // It draws, and nothing of the work depends on it.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn lock(meter: &Mutex<Meter>) -> MutexGuard<'_, Meter> {
    meter.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until the work ends.
fn draw(meter: &Mutex<Meter>, ended: &Receiver<()>, begun: Instant, out: &mut impl Write) {
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(REDRAW) {
        let mut meter = lock(meter);
        say(out, meter.tick(begun.elapsed()));
    }
    say(out, lock(meter).end());
}

fn say(out: &mut impl Write, text: Option<String>) {
    if let Some(text) = text {
        // Where nobody listens there is nothing to be done about it.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// What is written when; pure, time is told to it.
#[derive(Debug)]
struct Meter {
    /// Of a terminal, its columns.
    columns: Option<usize>,
    step: Step,
    /// When it last wrote something.
    told: Option<Duration>,
}

impl Meter {
    fn new(columns: Option<usize>, what: &str) -> Self {
        Self { columns, step: Step { what: what.to_owned(), ..Step::default() }, told: None }
    }

    fn step(&mut self, done: usize, of: usize, what: &str) {
        (self.step.done, self.step.of) = (done, of);
        if !what.is_empty() && what != self.step.what {
            what.clone_into(&mut self.step.what);
        }
    }

    /// What is to be written after so long, if anything.
    fn tick(&mut self, passed: Duration) -> Option<String> {
        let (first, pause) = if self.columns.is_some() { (SILENT, REDRAW) } else { (LINE, LINE) };
        let due = self.told.map_or(first, |told| told + pause);
        if passed < due {
            return None;
        }
        self.told = Some(passed);
        let line = line(&self.step, passed);
        Some(match self.columns {
            Some(columns) => format!("\r{}\u{1b}[K", cut(&line, columns)),
            None => format!("{line}\n"),
        })
    }

    /// What is to be written at the end.
    fn end(&self) -> Option<String> {
        (self.columns.is_some() && self.told.is_some()).then(|| "\r\u{1b}[K".to_owned())
    }
}

/// `4 of 7, about 12 s left: looking at the box`
fn line(step: &Step, passed: Duration) -> String {
    let Step { done, of, what } = step;
    let what = plain(what);
    let so_far = left(*done, *of, passed)
        .map_or_else(|| format!("{} so far", span(passed)), |left| format!("about {} left", span(left)));
    if *of == 0 { format!("{so_far}: {what}") } else { format!("{done} of {of}, {so_far}: {what}") }
}

/// How long the rest takes, if it goes on as until now.
fn left(done: usize, of: usize, passed: Duration) -> Option<Duration> {
    let rest = of.checked_sub(done)?;
    (done > 0).then(|| passed.mul_f64(rest as f64 / done as f64))
}

fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(columns: Option<usize>, done: usize, of: usize) -> Meter {
        let mut meter = Meter::new(columns, "reading");
        meter.step(done, of, "");
        meter
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_ends_within_a_second_says_nothing() {
        let mut meter = meter(Some(40), 1, 4);
        assert_eq!((meter.tick(ms(0)), meter.tick(ms(999)), meter.end()), (None, None, None));
    }

    #[test]
    fn a_terminal_has_one_line_five_times_a_second_wiped_at_the_end() {
        let mut meter = meter(Some(40), 1, 4);
        assert_eq!(meter.tick(ms(1_000)).unwrap(), "\r1 of 4, about 3 s left: reading\u{1b}[K");
        let drawn = (1_001..=3_000).filter(|at| meter.tick(ms(*at)).is_some()).count();
        assert_eq!(drawn, 10);
        meter.step(2, 4, "a text that is longer than the line can be");
        let line = meter.tick(ms(4_000)).unwrap();
        assert_eq!(line, "\r2 of 4, about 4 s left: a text that is …\u{1b}[K");
        assert_eq!(meter.end().unwrap(), "\r\u{1b}[K");
    }

    #[test]
    fn elsewhere_there_is_a_line_every_ten_seconds() {
        let mut meter = meter(None, 30, 40);
        let told: Vec<String> = (0..=25_000).filter_map(|at| meter.tick(ms(at))).collect();
        assert_eq!(told, ["30 of 40, about 3 s left: reading\n", "30 of 40, about 6 s left: reading\n"]);
        assert_eq!(meter.end(), None);
    }

    #[test]
    fn what_is_not_known_is_not_estimated() {
        let step = |done, of| Step { done, of, what: "x".to_owned() };
        assert_eq!(line(&step(0, 9), ms(5_000)), "0 of 9, 5 s so far: x");
        assert_eq!(line(&step(0, 0), ms(5_000)), "5 s so far: x");
        assert_eq!(line(&step(1, 100), ms(5_000)), "1 of 100, about 9 min left: x");
        assert_eq!(line(&step(1, 10_000), ms(5_000)), "1 of 10000, about 14 h left: x");
        assert!(!line(&Step { what: "a\u{1b}[2Jb".to_owned(), ..step(1, 2) }, ms(5_000)).contains('\u{1b}'));
    }

    #[test]
    fn the_thread_draws_how_far_it_is_and_ends_with_the_work() {
        let meter = Mutex::new(Meter::new(Some(40), "reading"));
        lock(&meter).step(3, 9, "");
        let begun = Instant::now().checked_sub(Duration::from_secs(30)).unwrap();
        let (alive, ended) = channel();
        let drawn = std::thread::scope(|scope| {
            let meter = &meter;
            let thread = scope.spawn(move || {
                let mut out = Vec::new();
                draw(meter, &ended, begun, &mut out);
                String::from_utf8(out).unwrap()
            });
            while lock(meter).told.is_none() {
                std::thread::yield_now();
            }
            drop(alive);
            thread.join().unwrap()
        });
        assert!(
            drawn.contains("3 of 9, about 60 s left: reading") && drawn.ends_with("\r\u{1b}[K"),
            "{drawn:?}"
        );
    }
}

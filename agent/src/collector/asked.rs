//! "Read it now": a person's wish for a reading between its ticks, and what came of it.
//!
//! Wishes wait here until the reading that begins next; it is everybody's who waits then. A reading that is at work already
//! is nobody's: it began before the cable was put right. When who reads goes away, so do the wishes, and who waits is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::board::Exchange;

/// A device's ear for wishes. Clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    shared: Arc<Shared>,
    /// From the beginning of a reading to the next, at least, if one of them was wished for.
    floor: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    rung: Notify,
}

#[derive(Debug, Default)]
struct State {
    wishes: Vec<oneshot::Sender<Ended>>,
    /// How long a reading may take; `None` while nobody reads.
    patience: Option<Duration>,
    /// When the last reading began, and whether it was wished for.
    read: Option<(Instant, bool)>,
}

/// How a reading ended that was wished for.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub good: bool,
    pub took: Duration,
    pub exchange: Option<Exchange>,
}

/// A wish that was heard.
#[derive(Debug)]
pub(crate) struct Wish {
    /// How long a reading may take.
    pub patience: Duration,
    /// An error if who reads has gone away.
    pub ended: oneshot::Receiver<Ended>,
}

impl Asked {
    /// The same ear, for a kind that is not to be asked more often than this.
    pub(crate) fn with_floor(self, floor: Duration) -> Self {
        Self { floor, ..self }
    }

    /// Wishes for a reading; `None` if nobody reads.
    pub(crate) fn wish(&self) -> Option<Wish> {
        let (send, ended) = oneshot::channel();
        let mut state = self.state();
        let patience = state.patience?;
        state.wishes.push(send);
        drop(state);
        self.shared.rung.notify_one();
        Some(Wish { patience, ended })
    }

    /// How long a reading may take; `None` while nobody reads.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.state().patience
    }

    /// When the last reading began.
    pub(crate) fn read_at(&self) -> Option<Instant> {
        self.state().read.map(|(at, _)| at)
    }

    /// From now on somebody reads, until what is returned is dropped.
    pub(crate) fn serve(&self, patience: Duration) -> Serving<'_> {
        self.state().patience = Some(patience);
        Serving(self)
    }

    /// Whether somebody waits for a reading.
    pub(crate) fn is_wished(&self) -> bool {
        !self.state().wishes.is_empty()
    }

    /// Waits until somebody does.
    pub(crate) async fn wished(&self) {
        while !self.is_wished() {
            self.shared.rung.notified().await;
        }
    }

    /// Whether a tick has to be passed over, since a reading that was wished for was too short a while ago.
    pub(crate) fn is_too_soon(&self) -> bool {
        let read = self.state().read;
        read.is_some_and(|(at, was_wished)| was_wished && at.elapsed() < self.floor) && !self.is_wished()
    }

    /// A reading begins: it is that of all who wait.
    pub(crate) fn begin(&self) -> Turn {
        let mut state = self.state();
        let (began, wishes) = (Instant::now(), std::mem::take(&mut state.wishes));
        state.read = Some((began, !wishes.is_empty()));
        Turn { began, wishes }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of it is one assignment or one push: a panic leaves nothing half done.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That somebody reads.
#[derive(Debug)]
pub(crate) struct Serving<'a>(&'a Asked);

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.patience = None;
        state.wishes.clear();
    }
}

/// A reading, and who waits for it.
#[derive(Debug)]
pub(crate) struct Turn {
    began: Instant,
    wishes: Vec<oneshot::Sender<Ended>>,
}

impl Turn {
    /// How long it has taken so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// It is over: its outcome is on the board, and told to all who wait.
    pub(crate) fn end(self, ended: &Ended) {
        for wish in self.wishes {
            // Who has gone away meanwhile needs no answer.
            let _ = wish.send(ended.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn good() -> Ended {
        Ended { good: true, took: PATIENCE, exchange: None }
    }

    #[tokio::test]
    async fn the_reading_that_begins_next_is_that_of_all_who_wait() {
        let asked = Asked::default();
        assert!(asked.wish().is_none(), "nobody reads");
        let serving = asked.serve(PATIENCE);
        let at_work = asked.begin();
        let (mut first, mut second) = (asked.wish().unwrap(), asked.wish().unwrap());
        at_work.end(&good());
        assert!(first.ended.try_recv().is_err(), "it had begun before");
        asked.wished().await;
        asked.begin().end(&good());
        assert!(first.ended.await.unwrap().good && second.ended.try_recv().unwrap().good);
        assert!(!asked.is_wished());
        let waits = asked.wish().unwrap();
        drop(serving);
        assert!(waits.ended.await.is_err(), "who reads has gone");
        assert!(asked.wish().is_none());
    }

    #[test]
    fn a_tick_is_passed_over_below_the_floor_and_only_after_a_wish() {
        let asked = Asked::default().with_floor(Duration::from_secs(3_600));
        let _serving = asked.serve(PATIENCE);
        asked.begin().end(&good());
        assert!(!asked.is_too_soon(), "ticks keep their own pace");
        let _first = asked.wish().unwrap();
        asked.begin().end(&good());
        assert!(asked.is_too_soon());
        assert!(!asked.clone().with_floor(Duration::ZERO).is_too_soon());
        let _second = asked.wish().unwrap();
        assert!(!asked.is_too_soon(), "whoever lets wish knows the floor");
    }
}

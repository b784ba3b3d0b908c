//! Places among those who use the database, and the short queue before them.
//!
//! There are as many places as connections of the database that ingest may use, so nobody who has one waits for a
//! connection. Of those who wait the most urgent is next, and among equals the first. Some places are kept free for the
//! more urgent (trunk reservation): a backlog can fill the service without a fresh batch having to wait for it.
//!
//! Who has waited too long is refused: it would be answered when its sender has given up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Class, Full};

/// The longest wait for a place, well below the 30 s after which an agent gives a request up.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(10);

/// The places.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// In work once a request of the class has been let in, at most.
    limits: [usize; 3],
    /// Waiting in each class, at most.
    waiting_max: usize,
    /// How long each waits, at most.
    wait_max: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_work: usize,
    waiting: [VecDeque<oneshot::Sender<Place>>; 3],
}

/// One place; the next in the queue has it when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Option<Arc<Shared>>);

impl Places {
    pub(super) fn new(places: usize, waiting_max: usize) -> Self {
        Self::with_wait(places, waiting_max, WAIT_MAX)
    }

    fn with_wait(places: usize, waiting_max: usize, wait_max: Duration) -> Self {
        let fresh = (places - places.div_ceil(8)).max(1);
        let backlog = (fresh.saturating_sub(places / 4)).max(1);
        let limits = [places, fresh, backlog];
        Self(Arc::new(Shared { limits, waiting_max, wait_max, state: Mutex::default() }))
    }

    /// Waits for a place, unless too many do.
    pub(super) async fn enter(&self, class: Class) -> Result<Place, Full> {
        let given = {
            let mut state = self.0.lock();
            // Nobody as urgent waits then: `left` has let in all who may come.
            if state.in_work < self.0.limits[class.slot()] {
                state.in_work += 1;
                return Ok(Place(Some(Arc::clone(&self.0))));
            }
            let queue = &mut state.waiting[class.slot()];
            if queue.len() >= self.0.waiting_max {
                // Those who have gone away since do not count.
                queue.retain(|waiting| !waiting.is_closed());
            }
            if queue.len() >= self.0.waiting_max {
                return Err(Full);
            }
            let (give, given) = oneshot::channel();
            queue.push_back(give);
            given
        };
        // A place that is given in the moment of giving up lies in the channel, and goes on with it.
        tokio::time::timeout(self.0.wait_max, given).await.ok().and_then(Result::ok).ok_or(Full)
    }

    pub(super) fn in_work(&self) -> usize {
        self.0.lock().in_work
    }

    pub(super) fn waiting(&self) -> usize {
        self.0.lock().waiting.iter().map(VecDeque::len).sum()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has left: lets in those who may come now.
    fn left(self: Arc<Self>) {
        self.lock().in_work -= 1;
        while let Some(give) = self.next() {
            // Whoever does not wait any more leaves its place to the next.
            if let Err(mut place) = give.send(Place(Some(Arc::clone(&self)))) {
                place.0 = None;
                self.lock().in_work -= 1;
            }
        }
    }

    /// The next who may come in, already counted.
    fn next(&self) -> Option<oneshot::Sender<Place>> {
        let state = &mut *self.lock();
        for (queue, limit) in state.waiting.iter_mut().zip(self.limits) {
            if state.in_work < limit
                && let Some(give) = queue.pop_front()
            {
                state.in_work += 1;
                return Some(give);
            }
        }
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.left();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Eight places: seven for fresh data, five of them for a backlog too.
    fn places() -> Places {
        Places::new(8, 2)
    }

    fn enter(places: &Places, class: Class, count: usize) -> Vec<Place> {
        (0..count).map(|_| places.enter(class).now_or_never().unwrap().unwrap()).collect()
    }

    #[tokio::test]
    async fn the_more_urgent_have_places_of_their_own() {
        let places = places();
        let mut inside = enter(&places, Class::Backlog, 5);
        let mut backlog = Box::pin(places.enter(Class::Backlog));
        assert!(backlog.as_mut().now_or_never().is_none(), "a sixth waits");
        inside.extend(enter(&places, Class::Fresh, 2));
        assert!(places.enter(Class::Fresh).now_or_never().is_none());
        inside.extend(enter(&places, Class::Critical, 1));
        assert_eq!(places.in_work(), 8);
        drop(inside.drain(..4));
        assert_eq!(
            places.in_work(),
            5,
            "four have left, one has come: nobody waits for the fresh one that gave up"
        );
        assert!(backlog.now_or_never().is_some());
    }

    #[tokio::test]
    async fn the_most_urgent_is_next_and_among_equals_the_first() {
        let places = Places::new(1, 8);
        let inside = enter(&places, Class::Fresh, 1);
        let waiting = [Class::Backlog, Class::Fresh, Class::Critical, Class::Fresh];
        let mut waiting = waiting.map(|class| Box::pin(places.enter(class)));
        assert!(waiting.iter_mut().all(|w| w.as_mut().now_or_never().is_none()));
        drop(inside);
        let order = [2, 1, 3, 0];
        for (at, next) in order.iter().enumerate() {
            for later in &order[at + 1..] {
                assert!(waiting[*later].as_mut().now_or_never().is_none(), "{later} came before {next}");
            }
            assert!(waiting[*next].as_mut().now_or_never().is_some(), "{next} did not come");
        }
        assert_eq!((places.in_work(), places.waiting()), (0, 0));
    }

    #[tokio::test]
    async fn beyond_the_queue_it_is_refused_and_who_went_away_does_not_count() {
        let places = Places::new(1, 2);
        let inside = enter(&places, Class::Critical, 1);
        let mut first = Box::pin(places.enter(Class::Fresh));
        let mut second = Box::pin(places.enter(Class::Fresh));
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        assert_eq!(places.enter(Class::Fresh).await.unwrap_err(), Full);
        drop(first);
        let mut third = Box::pin(places.enter(Class::Fresh));
        assert!(third.as_mut().now_or_never().is_none(), "waits in the place of the first");
        drop(inside);
        assert!(second.now_or_never().unwrap().is_ok());
        assert!(third.now_or_never().unwrap().is_ok());
        assert_eq!(places.in_work(), 0);
    }

    #[tokio::test]
    async fn who_has_waited_too_long_is_refused_and_leaves_the_place_to_others() {
        let places = Places::with_wait(1, 2, Duration::from_millis(1));
        let inside = enter(&places, Class::Fresh, 1);
        assert_eq!(places.enter(Class::Critical).await.unwrap_err(), Full);
        drop(inside);
        assert_eq!(places.in_work(), 0);
    }
}

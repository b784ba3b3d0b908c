//! A budget of bytes for bodies, from before they are read until their request is answered.
//!
//! Nobody waits here: what does not fit is refused at once, because whoever waits has its body on the way already. The last
//! eighth is for the critical lane, the half before it for fresh data too.

use std::sync::{Arc, Mutex, PoisonError};

use storepulse_shared::limits::BODY_BYTES_MAX;

use super::{Class, Full};

/// The budget.
#[derive(Debug)]
pub(super) struct Bodies {
    held: Arc<Mutex<usize>>,
    /// What may be held once a request of the class has been let in.
    limits: [usize; 3],
}

/// Bytes held for one body; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Arc<Mutex<usize>>,
    bytes: usize,
}

impl Bodies {
    pub(super) fn new(bytes_max: usize) -> Self {
        let limits = [bytes_max, bytes_max / 8 * 7, bytes_max / 2];
        Self { held: Arc::default(), limits }
    }

    /// Holds what the sender says, or the most that a body can be: a longer one is not kept.
    pub(super) fn hold(&self, class: Class, length: Option<u64>) -> Result<Held, Full> {
        let bytes = length
            .and_then(|n| usize::try_from(n).ok())
            .map_or(BODY_BYTES_MAX, |n| if n > BODY_BYTES_MAX { 0 } else { n });
        let mut held = lock(&self.held);
        if *held + bytes > self.limits[class.slot()] {
            return Err(Full);
        }
        *held += bytes;
        Ok(Held { budget: Arc::clone(&self.held), bytes })
    }

    pub(super) fn held(&self) -> usize {
        *lock(&self.held)
    }
}

impl Held {
    /// The body is read: what it did not need is given back.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let spare = self.bytes.saturating_sub(bytes);
        self.bytes -= spare;
        *lock(&self.budget) -= spare;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *lock(&self.budget) -= self.bytes;
    }
}

fn lock(held: &Mutex<usize>) -> std::sync::MutexGuard<'_, usize> {
    // One addition at a time: a panic leaves nothing half done.
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_urgent_may_hold_more() {
        let bodies = Bodies::new(800);
        let backlog = bodies.hold(Class::Backlog, Some(400)).unwrap();
        assert_eq!(bodies.hold(Class::Backlog, Some(1)).unwrap_err(), Full);
        let _fresh = bodies.hold(Class::Fresh, Some(300)).unwrap();
        assert_eq!(bodies.hold(Class::Fresh, Some(1)).unwrap_err(), Full);
        let _critical = bodies.hold(Class::Critical, Some(100)).unwrap();
        assert_eq!(bodies.hold(Class::Critical, Some(1)).unwrap_err(), Full);
        drop(backlog);
        assert_eq!(bodies.held(), 400);
        assert!(bodies.hold(Class::Fresh, Some(300)).is_ok());
    }

    #[test]
    fn a_body_of_unknown_length_holds_the_most_until_it_is_read_and_one_too_long_holds_nothing() {
        let bodies = Bodies::new(4 * BODY_BYTES_MAX);
        let mut held = bodies.hold(Class::Fresh, None).unwrap();
        assert_eq!(bodies.held(), BODY_BYTES_MAX);
        held.shrink_to(7);
        assert_eq!(bodies.held(), 7);
        let _too_long = bodies.hold(Class::Fresh, Some(u64::MAX)).unwrap();
        assert_eq!(bodies.held(), 7);
        drop(held);
        assert_eq!(bodies.held(), 0);
    }
}

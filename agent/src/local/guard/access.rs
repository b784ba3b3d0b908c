//! Signing in: the PIN, who failed at it, and the sessions of who did not.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::attempts::Attempts;
use super::sessions::{Hash, Sessions, same};
use crate::config::PinFile;
use crate::local::reader::Session;

/// How long a session lasts.
pub(crate) const SESSION: Duration = Duration::from_secs(30 * 60);

/// The PIN, the failures and the sessions.
#[derive(Debug)]
pub(crate) struct Access {
    pin: Option<PinFile>,
    /// So that nothing that is kept here says anything about the PIN.
    salt: Hash,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    attempts: Attempts,
    sessions: Sessions,
}

/// Why somebody is not let in.
#[derive(Debug, PartialEq)]
pub(crate) enum Refused {
    /// There is no PIN.
    NoPin,
    /// What stands in its file is none.
    BadPin(String),
    /// Too many were wrong; this one was not looked at.
    Wait(Duration),
    /// It is another one.
    Wrong,
}

impl Access {
    pub(crate) fn new(pin: Option<PinFile>, session: Duration) -> Self {
        let state = State { attempts: Attempts::default(), sessions: Sessions::new(session) };
        Self { pin, salt: rand::random(), state: Mutex::new(state) }
    }

    /// Whether a PIN is configured.
    pub(crate) fn has_pin(&self) -> bool {
        self.pin.is_some()
    }

    /// The id of a new session for who knows the PIN.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(crate) fn sign_in(&self, from: IpAddr, typed: &str, now: Instant) -> Result<String, Refused> {
        let Some(file) = &self.pin else { return Err(Refused::NoPin) };
        // Held all the while: many at once must not all be the last before the wait.
        let mut state = self.lock();
        if let Some(wait) = state.attempts.wait(from, now) {
            return Err(Refused::Wait(wait));
        }
        let pin = file.read().map_err(|error| {
            tracing::error!(%error, "nobody can sign in to the local page until this is corrected");
            Refused::BadPin(error.to_string())
        })?;
        let pin = self.hash(pin.expose());
        if same(&self.hash(typed.trim()), &pin) {
            state.attempts.succeeded(from);
            tracing::info!(%from, "somebody signed in to the local page");
            return Ok(state.sessions.begin(pin, now));
        }
        let failures = state.attempts.failed(from, now);
        // At most thirty an hour.
        tracing::warn!(%from, failures, "a wrong PIN at the local page");
        Err(match state.attempts.wait(from, now) {
            Some(wait) => Refused::Wait(wait),
            None => Refused::Wrong,
        })
    }

    /// The session of this id, if it lasts.
    pub(crate) fn session(&self, id: &str, now: Instant) -> Option<Session> {
        let Some(pin) = self.pin.as_ref().and_then(|file| file.read().ok()) else {
            self.lock().sessions.end_all();
            return None;
        };
        let pin = self.hash(pin.expose());
        self.lock().sessions.find(id, &pin, now)
    }

    /// Ends the session of this id.
    pub(crate) fn sign_out(&self, id: &str) {
        self.lock().sessions.end(id);
    }

    fn hash(&self, pin: &str) -> Hash {
        Sha256::new().chain_update(self.salt).chain_update(pin).finalize().into()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panic could leave half done is a count or a session: less is let in then, never more.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    struct Scene {
        dir: tempfile::TempDir,
        access: Access,
    }

    fn scene() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("page.pin"), "739105\n").unwrap();
        let file = PinFile::new(dir.path().join("page.pin"));
        Scene { dir, access: Access::new(Some(file), SESSION) }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_right_pin_opens_a_session_and_a_changed_one_ends_it() {
        let (scene, now) = (scene(), Instant::now());
        let (access, file) = (&scene.access, scene.dir.path().join("page.pin"));
        let phone = ip("192.0.2.1");
        let id = access.sign_in(phone, " 739105 ", now).unwrap();
        assert!(access.session(&id, now).is_some() && access.session(&id, now + SESSION).is_none());

        let id = access.sign_in(phone, "739105", now).unwrap();
        std::fs::write(&file, "886420").unwrap();
        assert!(access.session(&id, now).is_none(), "the PIN was changed");
        assert_eq!(access.sign_in(phone, "739105", now), Err(Refused::Wrong));
        let id = access.sign_in(phone, "886420", now).unwrap();
        std::fs::write(&file, "no digits").unwrap();
        assert!(access.session(&id, now).is_none());
        assert!(
            matches!(access.sign_in(phone, "886420", now), Err(Refused::BadPin(why)) if why.contains("6 to 12"))
        );
        std::fs::write(&file, "886420").unwrap();
        assert!(access.session(&id, now).is_none(), "it had ended");
        let id = access.sign_in(phone, "886420", now).unwrap();
        access.sign_out(&id);
        assert!(access.session(&id, now).is_none());
        assert_eq!(Access::new(None, SESSION).sign_in(phone, "", now), Err(Refused::NoPin));
    }

    #[test]
    fn the_right_pin_is_refused_too_while_its_address_waits() {
        let (scene, now) = (scene(), Instant::now());
        let (access, guesser, phone) = (&scene.access, ip("192.0.2.1"), ip("192.0.2.2"));
        for _ in 0..4 {
            assert_eq!(access.sign_in(guesser, "000000", now), Err(Refused::Wrong));
        }
        let half_a_minute = Duration::from_secs(30);
        assert_eq!(access.sign_in(guesser, "000000", now), Err(Refused::Wait(half_a_minute)));
        assert_eq!(access.sign_in(guesser, "739105", now), Err(Refused::Wait(half_a_minute)));
        assert!(access.sign_in(phone, "739105", now).is_ok(), "others do not wait");
        assert!(access.sign_in(guesser, "739105", now + half_a_minute).is_ok());
    }

    #[test]
    fn ten_thousand_wrong_pins_from_everywhere_are_thirty_an_hour_and_a_session_goes_on() {
        let (scene, now) = (scene(), Instant::now());
        let access = &scene.access;
        let id = access.sign_in(ip("192.0.2.1"), "739105", now).unwrap();
        let mut wrong = 0;
        for no in 0..10_000_u32 {
            let from = IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + no));
            match access.sign_in(from, &format!("{no:06}"), now) {
                Err(Refused::Wrong) => wrong += 1,
                Err(Refused::Wait(wait)) => assert!(wait <= HOUR),
                other => panic!("{other:?}"),
            }
        }
        // The thirtieth is told to wait at once.
        assert_eq!(wrong, 29);
        assert_eq!(access.sign_in(ip("192.0.2.9"), "739105", now), Err(Refused::Wait(HOUR)));
        assert!(access.session(&id, now).is_some());
        assert!(access.sign_in(ip("192.0.2.9"), "739105", now + HOUR).is_ok());
    }
}

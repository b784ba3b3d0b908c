//! What the box showed last: looking costs a little, and several people may look at once.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Machine, Network};

/// How long a look is good for.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// The last look at the box.
#[derive(Debug)]
pub(crate) struct Looks {
    /// Where `proc`, `sys` and `etc` are.
    root: PathBuf,
    last: Mutex<Option<(Instant, Machine, Network)>>,
}

impl Default for Looks {
    /// At the box that we run on.
    fn default() -> Self {
        Self::at(PathBuf::from("/"))
    }
}

impl Looks {
    /// At the box whose files are below this folder.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root, last: Mutex::new(None) }
    }

    /// The box and its network, as they were a few seconds ago at most.
    pub(super) fn look(&self, state_dir: &Path) -> (Machine, Network) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, machine, network) = match last.take().filter(|(at, ..)| at.elapsed() < GOOD_FOR) {
            Some(good) => last.insert(good),
            None => {
                last.insert((Instant::now(), Machine::read(&self.root, state_dir), Network::read(&self.root)))
            }
        };
        (machine.clone(), network.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_good_for_a_while() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc")).unwrap();
        let uptime = dir.path().join("proc/uptime");
        std::fs::write(&uptime, "7.0 1.0").unwrap();
        let looks = Looks::at(dir.path().to_owned());
        let told = || looks.look(dir.path()).0.uptime_s;
        assert_eq!(told(), Some(7));
        std::fs::write(&uptime, "9.0 1.0").unwrap();
        assert_eq!(told(), Some(7), "not looked at again");
        if let Some((at, ..)) = &mut *looks.last.lock().unwrap() {
            *at -= GOOD_FOR;
        }
        assert_eq!(told(), Some(9));
    }
}

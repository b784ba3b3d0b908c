//! Commissioning: what should be there against what is, what answers on a free port, which level of a drawer is open,
//! whether a scale shows nothing when it is empty, and a label for the box.
//!
//! To read, nobody has to sign in; what asks a device needs the PIN, like every action. What takes longer than a moment is a
//! job, whose page shows our [`outcome()`] when it ends. [`probe`], [`drawer`] and [`weight`] judge, [`steps`] reads and
//! records, [`view`] makes the HTML, [`http`] answers.
//!
//! Nothing here sets anything at a device: a scale is zeroed with its own key, and a line for the configuration is shown,
//! never written. `setup.css` and `copy.js` are part of the style and the script of all pages.

mod drawer;
mod http;
mod label;
mod outcome;
mod probe;
mod steps;
mod view;
mod weight;
mod words;

use std::sync::Arc;
use std::time::{Duration, Instant};

use maud::Markup;
use tokio::sync::Mutex;

pub(crate) use self::http::routes;
use self::outcome::Outcome;
use self::view::For;
use super::action::{Job, JobState, Jobs, TestDevice};
use super::reader::Reader;
use crate::collector::Ports;
use crate::config::Config;
use crate::inventory::{self, Inventory};
use crate::status::StatusState;

/// How long a look at the ports counts: who reloads in a hurry does not have the system searched each time.
const LOOK_COUNTS: Duration = Duration::from_secs(1);

/// What the setup pages work with. Clones are one.
#[derive(Clone)]
pub(crate) struct Setup(Arc<Parts>);

struct Parts {
    config: Arc<Config>,
    /// Those of the collectors, so that it is known which they have open.
    ports: Ports,
    status: Arc<StatusState>,
    jobs: Jobs,
    test: TestDevice,
    looked: Mutex<Option<(Instant, Arc<Inventory>)>>,
}

impl Setup {
    pub(crate) fn new(
        config: Arc<Config>,
        ports: Ports,
        status: Arc<StatusState>,
        jobs: Jobs,
        test: TestDevice,
    ) -> Self {
        Self(Arc::new(Parts { config, ports, status, jobs, test, looked: Mutex::default() }))
    }

    /// What should be there, and what is.
    async fn inventory(&self) -> Result<Arc<Inventory>, String> {
        let parts = &self.0;
        // One look at a time: who waits here has the next one's.
        let mut looked = parts.looked.lock().await;
        if let Some((at, inventory)) = &*looked
            && at.elapsed() < LOOK_COUNTS
        {
            return Ok(Arc::clone(inventory));
        }
        let known = parts.status.board.snapshot();
        let known = known.iter().map(|(id, status)| (id.clone(), inventory::Known::of(status))).collect();
        let (config, ports) = (Arc::clone(&parts.config), parts.ports.clone());
        let look = move || inventory::look(&config.devices, &ports, &known);
        let inventory = Arc::new(tokio::task::spawn_blocking(look).await.map_err(|error| error.to_string())?);
        *looked = Some((Instant::now(), Arc::clone(&inventory)));
        Ok(inventory)
    }
}

/// What the page of a job shows, if it is one of ours and has ended well.
#[must_use]
pub(crate) fn outcome(reader: &Reader, job: &Job) -> Option<Markup> {
    let JobState::Done(value) = &job.state else { return None };
    if !matches!(job.what, http::PROBE | http::DRAWER | http::SCALE) {
        return None;
    }
    let whom = For::new(reader);
    Some(match serde_json::from_value(value.clone()).ok()? {
        Outcome::Probe(answered) => view::answered(whom, &answered),
        Outcome::Drawer(device, step) => view::drawer_step(whom, &device, &step),
        Outcome::Scale(device, grams, step) => {
            view::scale_step(whom, &device, grams.to_string().parse().ok()?, &step)
        }
    })
}

/// What the page of a guided step is called while it is at work.
#[must_use]
pub(crate) fn title(reader: &Reader, job: &Job) -> Option<String> {
    let key = match job.what {
        http::DRAWER => "drawer_title",
        http::SCALE => "scale_title",
        _ => return None,
    };
    Some(words::Words(reader.language).fill(key, &[("device", &job.subject)]))
}

#[cfg(test)]
mod tests;

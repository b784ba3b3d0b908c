//! Everything that takes samples in: a room for each device, one for the agent's own health, one for what is pushed.
//!
//! A room can be closed and opened again with other settings while the others go on; neither spool nor uplink notice. A
//! collector is told to stop and waited for, so that what it has read is accepted and its port is free before the next one
//! asks for it.

mod changes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use storepulse_shared::batch::Event;
use storepulse_shared::ids::DeviceId;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use self::changes::Changes;
use crate::board::Board;
use crate::collector::{self, Context, Kind, Ports, Sink};
use crate::config::Config;
use crate::health::Health;
use crate::local::{self, PushState};
use crate::spool::Spool;
use crate::time::BoxClock;
use crate::trial::Trial;

/// How long a collector that is told to stop may take; one that takes longer is cut off.
const GRACE: Duration = Duration::from_secs(3);

/// What collectors are given.
pub(crate) struct Means {
    state_dir: PathBuf,
    spool: Spool,
    pub(crate) board: Arc<Board>,
    trial: Trial,
    ports: Ports,
    pub(crate) clock: BoxClock,
}

impl Means {
    /// What the whole agent shares.
    pub(crate) fn new(
        state_dir: &Path,
        spool: &Spool,
        (board, trial, ports): (&Arc<Board>, &Trial, &Ports),
        clock: &BoxClock,
    ) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            spool: spool.clone(),
            board: Arc::clone(board),
            trial: trial.clone(),
            ports: ports.clone(),
            clock: clock.clone(),
        }
    }
}

/// All rooms.
pub(crate) struct Intake {
    pub(crate) means: Means,
    rooms: Mutex<Rooms>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Rooms {
    devices: BTreeMap<DeviceId, Room>,
    health: Option<Room>,
    push: Option<Room>,
}

/// Where something is read until it is told to stop.
struct Room {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Room {
    async fn close(mut self) {
        self.stop.cancel();
        let joined = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, joined).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

impl Intake {
    /// Opens a room for everything that the configuration names and that is not switched off.
    pub(crate) async fn open(
        config: &Config,
        means: Means,
        push: Option<TcpListener>,
        stop: CancellationToken,
    ) -> Self {
        let intake = Self { means, rooms: Mutex::default(), stop };
        let mut rooms = intake.rooms.lock().await;
        for (device, kind) in config.devices.iter().filter(|(device, _)| !config.off.contains(device)) {
            rooms.devices.insert(device.clone(), intake.read(device, kind));
        }
        rooms.health = intake.watch(config);
        rooms.push = intake.receive(config, push);
        drop(rooms);
        intake
    }

    /// Opens those rooms anew of which something has changed, and no other.
    pub(crate) async fn change(&self, config: &Config, changes: &Changes) {
        let mut rooms = self.rooms.lock().await;
        let changed = config.devices.iter().filter(|(device, _)| changes.devices.contains(*device));
        for (device, kind) in changed {
            let before = rooms.devices.remove(device);
            let was_on = before.is_some();
            if let Some(room) = before {
                room.close().await;
            }
            self.means.ports.give_back_idle();
            let is_on = !config.off.contains(device);
            if is_on {
                rooms.devices.insert(device.clone(), self.read(device, kind));
            } else {
                self.means.board.hide(device);
            }
            if is_on != was_on {
                self.tell(device, is_on).await;
            }
        }
        if changes.health {
            if let Some(room) = rooms.health.take() {
                room.close().await;
            }
            rooms.health = self.watch(config);
        }
    }

    /// Waits for all of them, who have been told to stop.
    pub(crate) async fn closed(&self) {
        let Rooms { devices, health, push } = std::mem::take(&mut *self.rooms.lock().await);
        for mut room in devices.into_values().chain(health).chain(push) {
            while room.tasks.join_next().await.is_some() {}
        }
    }

    /// That a device is not read any more is no silence of it.
    async fn tell(&self, device: &DeviceId, is_on: bool) {
        let (kind, text) = match is_on {
            true => ("device.switched_on", "it is read again, as the settings of the store say"),
            false => ("device.switched_off", "it is not read any more, as the settings of the store say"),
        };
        tracing::info!(%device, text);
        let t = self.means.clock.now_ms();
        let event = Event { device: device.to_string().into(), t, kind: kind.into(), text: text.into() };
        if let Err(error) = self.means.spool.record(vec![event], t).await {
            tracing::error!(%device, %error, "that it was switched could not be recorded");
        }
    }

    fn read(&self, device: &DeviceId, kind: &Kind) -> Room {
        let Means { spool, board, clock, trial, ports, .. } = &self.means;
        let stop = self.stop.child_token();
        let (spool, board, clock) = (spool.clone(), Arc::clone(board), clock.clone());
        let sink = Sink::new(device.clone(), kind.name(), kind.lane(), spool, board, clock, stop.clone());
        let state = self.means.state_dir.join("devices").join(device.as_str());
        let (asked, ports) = (trial.asked(device), ports.clone());
        let ctx = Context { sink, ports, state, asked, stop: stop.clone() };
        let mut tasks = JoinSet::new();
        tasks.spawn(collector::supervise(kind.clone(), ctx));
        Room { tasks, stop }
    }

    fn watch(&self, config: &Config) -> Option<Room> {
        if !config.health.enabled {
            return None;
        }
        let stop = self.stop.child_token();
        let (spool, board, clock) =
            (self.means.spool.clone(), Arc::clone(&self.means.board), self.means.clock.clone());
        match Health::new(config.health.clone(), spool, board, clock, stop.clone()) {
            Ok(health) => {
                let mut tasks = JoinSet::new();
                tasks.spawn(health.run(stop.clone()));
                Some(Room { tasks, stop })
            }
            Err(error) => {
                tracing::error!(%error, "the agent's own health is not watched");
                None
            }
        }
    }

    fn receive(&self, config: &Config, listener: Option<TcpListener>) -> Option<Room> {
        let (settings, listener) = (config.push.as_ref()?, listener?);
        let stop = self.stop.child_token();
        let state = Arc::new(PushState::load(self.means.spool.clone(), settings, self.means.clock.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(local::serve_push(state, listener, stop.clone()));
        Some(Room { tasks, stop })
    }
}

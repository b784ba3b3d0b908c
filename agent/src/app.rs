//! The agent as a function: configuration, listeners and a stop signal in, a stopped agent out.
//!
//! Only this file knows everybody. The order of stopping is written once, in [`run`]: what takes samples in stops first,
//! then everything is sealed, then the uplink delivers what it can in a short time, and the spool closes last.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::board::{self, Board};
use crate::bundle::Support;
use crate::collector::Ports;
use crate::config::{Config, KeySource};
use crate::control::{self, ControlState};
use crate::intake::{Intake, Means};
use crate::key::{KeyFile, Rotation};
use crate::local::{self, Access, Guard, Jobs, LocalState, SESSION, Setup};
use crate::log_tail::LogTail;
use crate::maintenance::Maintenance;
use crate::spool::{self, Limits, Spool, SpoolError};
use crate::status::{Looks, Places, StatusState};
use crate::store_settings::{self, Concerned, Follower, SettingsBoard, SettingsPace};
use crate::time::{BoxClock, ClockSource, LastTrusted, SystemClock};
use crate::timekeeper::Timekeeper;
use crate::trial::Trial;
use crate::uplink::{Client, ClientError, Uplink, UplinkBoard};

/// How long a stopping agent goes on delivering.
const DRAIN: Duration = Duration::from_secs(3);

/// Why the agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// TLS or the proxy.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A listener.
    #[error("cannot listen on {address}: {why}; is another agent running here?")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        why: std::io::Error,
    },
}

/// The sockets that the agent serves on.
#[derive(Debug)]
pub struct Listeners {
    /// The page, `/health`, `/status`, `/metrics`.
    pub status: TcpListener,
    /// Pushes, if they are configured.
    pub push: Option<TcpListener>,
}

impl Listeners {
    /// Binds what the configuration names.
    ///
    /// # Errors
    /// [`AgentError::Listen`] with the address.
    pub async fn bind(config: &Config) -> Result<Self, AgentError> {
        let bind = async |address| {
            TcpListener::bind(address).await.map_err(|why| AgentError::Listen { address, why })
        };
        Ok(Self {
            status: bind(config.local.listen).await?,
            push: match &config.push {
                Some(push) => Some(bind(push.listen).await?),
                None => None,
            },
        })
    }
}

/// Runs until `stop`.
///
/// # Errors
/// The agent could not start; nothing was changed.
pub async fn run(config: Config, listeners: Listeners, stop: CancellationToken) -> Result<(), AgentError> {
    run_logged(config, listeners, LogTail::default(), stop).await
}

/// The same, with the last lines of its log, which a support bundle is to have.
///
/// # Errors
/// The agent could not start; nothing was changed.
pub async fn run_logged(
    config: Config,
    listeners: Listeners,
    log: LogTail,
    stop: CancellationToken,
) -> Result<(), AgentError> {
    let by = By { source: Arc::new(SystemClock::load()), log, pace: SettingsPace::default() };
    run_all(config, listeners, by, stop).await
}

/// The same at another pace of what the cloud sets, which is how tests make a trial short.
///
/// # Errors
/// The agent could not start; nothing was changed.
pub async fn run_at_pace(
    config: Config,
    listeners: Listeners,
    pace: SettingsPace,
    stop: CancellationToken,
) -> Result<(), AgentError> {
    let by = By { source: Arc::new(SystemClock::load()), log: LogTail::default(), pace };
    run_all(config, listeners, by, stop).await
}

/// The same by another clock than the system's, which is how tests make it wrong.
///
/// # Errors
/// The agent could not start; nothing was changed.
pub async fn run_with_clock(
    config: Config,
    listeners: Listeners,
    source: Arc<dyn ClockSource>,
    stop: CancellationToken,
) -> Result<(), AgentError> {
    let by = By { source, log: LogTail::default(), pace: SettingsPace::default() };
    run_all(config, listeners, by, stop).await
}

/// What tests make other than it is.
struct By {
    source: Arc<dyn ClockSource>,
    log: LogTail,
    pace: SettingsPace,
}

async fn run_all(
    config: Config,
    listeners: Listeners,
    By { source, log, pace }: By,
    stop: CancellationToken,
) -> Result<(), AgentError> {
    let settings = store_settings::Start::load(config);
    let config = settings.config.clone();
    let last_trusted = LastTrusted::new(&config.state_dir);
    let clock = BoxClock::new(source, last_trusted.floor_ms());
    let limits = Limits { bytes_max: config.spool.max_size, batch_samples_max: config.batches.max_samples };
    let (spool, writer) = Spool::open_dated(&config.state_dir, limits, clock.clone())?;
    spool.limit_writes(config.spool.writes_budget()).await?;
    let board = Arc::new(Board::load(clock.clone(), &config.state_dir));
    let trial = Trial::new(Arc::clone(&board), &config.devices);
    let uplink_board = UplinkBoard::default();
    let key = KeySource::new(&config.cloud, &config.state_dir);
    let client = Client::new(&config.cloud, &clock)?;
    let key_file = KeyFile::new(&config.state_dir);
    let rotation = Rotation::new(client.clone(), key.clone(), key_file, uplink_board.clone());
    let (batches, of_uplink) = watch::channel(config.batches.clone());
    let (way, on) = ((client.clone(), key.clone()), uplink_board.clone());
    let uplink = Uplink::new(spool.clone(), way.0, &config.cloud, way.1, of_uplink, on, clock.clone());
    announce(&config, &key);
    let [intake, sending, serving, drain] = std::array::from_fn(|_| CancellationToken::new());
    let ports = Ports::default();
    let means = Means::new(&config.state_dir, &spool, (&board, &trial, &ports), &clock);
    let taking_in = Arc::new(Intake::open(&config, means, listeners.push, intake.clone()).await);
    let settings_board = SettingsBoard::default();
    let (uplink_status, status) = (uplink_board.clone(), settings_board.clone());
    let concerned = Concerned { intake: Arc::clone(&taking_in), batches, uplink: uplink_status, status };
    let follower = Follower::new(settings, concerned, client, key.clone(), pace);
    let timekeeper = Timekeeper::new(clock.clone(), spool.clone(), last_trusted);
    let mut background = JoinSet::new();
    background.spawn(timekeeper.run(serving.clone()));
    background.spawn(uplink.run(sending.clone(), drain.clone()));
    background.spawn(spool::salvage(spool.clone(), config.state_dir.clone(), intake.clone()));
    background.spawn(rotation.run(sending.clone()));
    background.spawn(follower.run(intake.clone()));
    background.spawn(board::keep(Arc::clone(&board), config.state_dir.clone(), serving.clone()));
    let maintenance = Maintenance::load(&config.state_dir, clock.clone(), spool.clone());
    background.spawn(maintenance.clone().run(serving.clone()));
    let status = Arc::new(StatusState {
        state_dir: config.state_dir.clone(),
        spool: spool.clone(),
        board,
        uplink: uplink_board,
        settings: settings_board,
        key,
        clock: clock.clone(),
        maintenance: maintenance.clone(),
        started_boot_ms: clock.read().boot_ms,
        places: Places::of(&config),
        looks: Looks::default(),
    });
    let support = Support { status: Arc::clone(&status), log };
    let control =
        ControlState { spool: spool.clone(), clock: clock.clone(), maintenance, support: support.clone() };
    background.spawn(control::serve(control, &config.state_dir, serving.clone()));
    start_page(&mut background, config, (status, trial, ports, support), listeners.status, &serving);

    stop.cancelled().await;
    tracing::info!("stopping");
    intake.cancel();
    taking_in.closed().await;
    drop(taking_in);
    if let Err(error) = spool.seal_all(clock.now_ms()).await {
        tracing::warn!(%error, "not everything could be sealed; the next start does it");
    }
    sending.cancel();
    serving.cancel();
    close(background, &drain, spool, writer).await;
    tracing::info!("stopped");
    Ok(())
}

fn announce(config: &Config, key: &KeySource) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        spool = %config.state_dir.display(),
        devices = config.devices.len(),
        "agent running"
    );
    if let Err(error) = key.read() {
        tracing::error!(%error, "there is no usable key: samples are kept and not sent until it is corrected");
    }
}

/// Joins what delivers and serves, which has a short time for it; the spool closes last.
async fn close(
    mut background: JoinSet<()>,
    drain: &CancellationToken,
    spool: Spool,
    writer: spool::WriterHandle,
) {
    let joined = async { while background.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, joined).await.is_err() {
        drain.cancel();
        background.shutdown().await;
    }
    drop(spool);
    let closed = tokio::task::spawn_blocking(move || writer.join()).await;
    if closed.is_err() {
        tracing::error!("the spool's writer could not be joined");
    }
}

/// Starts what the box itself serves, and who does what is asked for there.
fn start_page(
    tasks: &mut JoinSet<()>,
    config: Config,
    (status, trial, ports, support): (Arc<StatusState>, Trial, Ports, Support),
    listener: TcpListener,
    stop: &CancellationToken,
) {
    let (jobs, runner) = Jobs::new();
    tasks.spawn(runner.run(stop.clone()));
    let (test, config) = (local::test_by(trial.clone()), Arc::new(config));
    let of_setup = (Arc::clone(&config), ports, Arc::clone(&status));
    let setup = Setup::new(of_setup.0, of_setup.1, of_setup.2, jobs.clone(), Arc::clone(&test));
    let state = LocalState {
        setup,
        guard: Arc::new(Guard::new(config.local.hosts.clone())),
        access: Arc::new(Access::new(config.local.pin(), SESSION)),
        jobs,
        maintenance: status.maintenance.clone(),
        test,
        trial,
        bundle: local::bundle_by(config.path.clone(), support),
        status,
    };
    tasks.spawn(local::serve_status(state, listener, stop.clone()));
}

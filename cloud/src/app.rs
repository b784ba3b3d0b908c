//! The service as a function: configuration, listener and shutdown in, a stopped service out.
//!
//! Everything that requests share is in [`App`]. The order of stopping is written once, in [`run`]: not ready any more, no new
//! connections, requests in flight are answered, the housekeeping ends, the database connections close.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::RustlsConfig;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admission::door::{self, Door};
use crate::admission::{Admission, AdmissionLimits};
use crate::auth::{self, Failures, KeyRow, KeyUses, Lookups, OperatorRow, Person, Seen};
use crate::budget::ReadBudget;
use crate::changes;
use crate::db::{DatabaseConfig, Db, DbError, SettingsWaiver};
use crate::drain::{self, Draining};
use crate::ingest::{SeriesCache, Streams};
use crate::limits::{self, Limiter};
use crate::operation::metrics::Metrics;
use crate::outbox::{self, MailConfig, Outbox};
use crate::people::attempts::Attempts;
use crate::people::oidc::protocol::Client as ProviderClient;
use crate::people::oidc::turns::Turns as ProviderTurns;
use crate::people::password::Hashing;
use crate::people::signing::{self, Signing};
use crate::plan;
use crate::promql::Queries;
use crate::refusals::{self, Refusals};
use crate::resolution::{Resolution, ResolutionConfig};
use crate::router;
use crate::tls::{TlsError, TlsFiles, renewal};
use crate::upkeep;

/// How often partitions are made ahead.
const HOUSEKEEPING: Duration = Duration::from_secs(600);
/// How long after its start a service first does upkeep: a fleet may be waiting for it to serve.
const UPKEEP_DELAY: Duration = Duration::from_secs(60);

/// What the service needs to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database.
    pub database: DatabaseConfig,
    /// Certificate and key; `None` serves plain HTTP, for a proxy on the same machine.
    pub tls: Option<TlsFiles>,
    /// What is let in at once.
    pub admission: AdmissionLimits,
    /// How hosts name tenants.
    pub resolution: ResolutionConfig,
    /// How people are reached.
    pub people: PeopleConfig,
    /// How long all is served while `/ready` already says that we stop; see [`drain`].
    pub drain_delay: Duration,
}

/// How people are reached, and from where they come.
#[derive(Debug, Clone, Default)]
pub struct PeopleConfig {
    /// How mail leaves; `None`: none is sent.
    pub mail: Option<MailConfig>,
    /// What people know the service by: `https://pulse.example.com`.
    pub public_url: Option<String>,
    /// The plan of who signs up by herself; `None`: nobody does.
    pub sign_up_plan: Option<String>,
    /// Whether tenants' providers may be in private networks, and on this machine.
    pub providers_may_be_private: bool,
}

/// What of the configuration requests are answered by.
#[derive(Debug, Default)]
pub(crate) struct SharedConfig {
    pub(crate) waiver: SettingsWaiver,
    pub(crate) resolution: ResolutionConfig,
    pub(crate) people: PeopleConfig,
}

/// What all requests share.
#[derive(Debug)]
pub struct App {
    pub(crate) db: Db,
    pub(crate) admission: Admission,
    pub(crate) keys: Seen<KeyRow>,
    pub(crate) lookups: Lookups,
    pub(crate) operators: Seen<OperatorRow>,
    pub(crate) people: Seen<Person>,
    pub(crate) signing: Signing,
    pub(crate) hashing: Hashing,
    pub(crate) attempts: Attempts,
    /// What strangers have asked for that costs others something: mails, looking for providers that do not answer.
    pub(crate) strangers: Attempts,
    pub(crate) outbox: Option<Outbox>,
    pub(crate) public_url: Option<String>,
    pub(crate) sign_up_plan: Option<String>,
    pub(crate) providers: ProviderClient,
    pub(crate) providers_may_be_private: bool,
    pub(crate) provider_turns: ProviderTurns,
    pub(crate) failures: Failures,
    pub(crate) key_uses: KeyUses,
    pub(crate) limiter: Limiter,
    pub(crate) refusals: Refusals,
    pub(crate) resolution: Resolution,
    pub(crate) series: SeriesCache,
    pub(crate) streams: Streams,
    pub(crate) metrics: Metrics,
    pub(crate) queries: Queries,
    pub(crate) reads: ReadBudget,
    pub(crate) openapi: String,
    pub(crate) waiver: SettingsWaiver,
    pub(crate) draining: Draining,
    /// When the database was last looked at for readiness, and what was found.
    pub(crate) readiness: tokio::sync::Mutex<Option<(Instant, bool)>>,
    /// When it was last asked for its own numbers.
    pub(crate) numbers_read: tokio::sync::Mutex<Option<Instant>>,
}

impl App {
    /// Nothing is known yet but the database.
    pub(crate) fn new(
        db: Db,
        admission: Admission,
        config: SharedConfig,
        lookups: Lookups,
        outbox: Option<Outbox>,
    ) -> Result<Self, ServeError> {
        let SharedConfig { waiver, resolution, people } = config;
        Ok(Self {
            reads: ReadBudget::of(db.connections()),
            db,
            failures: Failures::new(admission.wrong_keys_max),
            admission,
            keys: Seen::default(),
            lookups,
            operators: Seen::default(),
            people: Seen::default(),
            signing: Signing::default(),
            hashing: Hashing::default(),
            attempts: Attempts::default(),
            strangers: Attempts::default(),
            outbox,
            public_url: people.public_url,
            sign_up_plan: people.sign_up_plan,
            providers: ProviderClient::new(people.providers_may_be_private)?,
            providers_may_be_private: people.providers_may_be_private,
            provider_turns: ProviderTurns::default(),
            key_uses: KeyUses::default(),
            limiter: Limiter::default(),
            refusals: Refusals::default(),
            resolution: Resolution::new(resolution),
            series: SeriesCache::default(),
            streams: Streams::default(),
            metrics: Metrics::default(),
            queries: Queries::default(),
            openapi: router::openapi_json()?,
            waiver,
            draining: Draining::default(),
            readiness: tokio::sync::Mutex::default(),
            numbers_read: tokio::sync::Mutex::default(),
        })
    }
}

/// Why the service did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The document of the routes.
    #[error("openapi: {0}")]
    OpenApi(#[from] serde_json::Error),
    /// The keys that sign access tokens.
    #[error("signing keys: {0}")]
    Signing(anyhow::Error),
    /// The plan of those who sign up.
    #[error("sign-up: {0}; `plan list` shows which there are")]
    SignUp(String),
    /// How mail is sent.
    #[error("mail: {0}")]
    Mail(String),
    /// The client that asks tenants' providers.
    #[error("providers: {0}")]
    Providers(#[from] reqwest::Error),
    /// The listener.
    #[error("listener: {0}")]
    Io(#[from] std::io::Error),
    /// A task that the service needs.
    #[error("a part of the service failed, which is a fault of ours: {0}")]
    Task(tokio::task::JoinError),
}

impl From<sqlx::Error> for ServeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Serves until `shutdown`, then answers what is in flight and closes everything.
///
/// # Errors
/// See [`ServeError`]; nothing is served if the database could be read past row-level security.
pub async fn run(
    config: Config,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let db = Db::connect(&config.database).await?;
    db.make_partitions().await?;
    check_sign_up(&db, config.people.sign_up_plan.as_deref()).await?;
    signing::rotate(&db).await.map_err(ServeError::Signing)?;
    let connections_max = door::within_open_files(config.admission.connections_max);
    let limits = AdmissionLimits { connections_max, ..config.admission };
    let admission = Admission::new(&limits, config.database.connections);
    let door = admission.door.clone();
    let (lookups, keys_asked_for) = Lookups::new();
    let (outbox, wanted) =
        config.people.mail.as_ref().map(Outbox::new).transpose().map_err(ServeError::Mail)?.unzip();
    let shared =
        SharedConfig { waiver: config.database.waiver, resolution: config.resolution, people: config.people };
    let app = Arc::new(App::new(db, admission, shared, lookups, outbox)?);
    app.signing.load(&app.db).await?;
    let tls = match &config.tls {
        Some(files) => Some(files.load().await?),
        None => None,
    };
    let address = listener.local_addr()?;
    tracing::info!(%address, tls = tls.is_some(), version = env!("CARGO_PKG_VERSION"), "serving");

    let mut tasks = JoinSet::new();
    // Until connections close, what is asked is answered as ever.
    let closing = CancellationToken::new();
    // What is in flight still needs its keys after that.
    let all_served = CancellationToken::new();
    let lookups = auth::answer_lookups(Arc::clone(&app), keys_asked_for, all_served.clone());
    // Without it no key that is not remembered can be checked: better that the service is started again.
    let or_stop = shutdown.clone().drop_guard();
    tasks.spawn(async move {
        let _or_stop = or_stop;
        lookups.await;
    });
    let handle = axum_server::Handle::new();
    if let Some((files, tls)) = config.tls.zip(tls.clone()) {
        let expires = app.metrics.certificate_expires.clone();
        tasks.spawn(renewal::follow(files, tls, expires, closing.clone()));
    }
    tasks.spawn(housekeeping(Arc::clone(&app), shutdown.clone()));
    tasks.spawn(upkeep_now_and_then(Arc::clone(&app), shutdown.clone()));
    tasks.spawn(changes::follow(Arc::clone(&app), closing.clone()));
    tasks.spawn(auth::write_now_and_then(Arc::clone(&app), closing.clone()));
    tasks.spawn(limits::read_now_and_then(Arc::clone(&app), closing.clone()));
    tasks.spawn(refusals::tell_now_and_then(Arc::clone(&app), closing.clone()));
    if let Some(wanted) = wanted {
        tasks.spawn(outbox::look_at_wanted(Arc::clone(&app), wanted, closing.clone()));
        tasks.spawn(outbox::send_now_and_then(Arc::clone(&app), shutdown.clone()));
    }
    let delay = config.drain_delay;
    tasks.spawn(drain::on(shutdown.clone(), Arc::clone(&app), delay, handle.clone(), closing.clone()));
    let served = serve(&app, listener, tls, handle, &door).await;
    closing.cancel();
    shutdown.cancel();
    all_served.cancel();
    let mut ended = Ok(());
    while let Some(end) = tasks.join_next().await {
        ended = ended.and(end);
    }
    app.db.close().await;
    tracing::info!("stopped");
    served.and(ended.map_err(ServeError::Task))
}

/// Whoever signs up gets a plan that is there: better to say so now than to the first one who does.
async fn check_sign_up(db: &Db, plan: Option<&str>) -> Result<(), ServeError> {
    let Some(plan) = plan else { return Ok(()) };
    let mut tx = db.control().await?;
    let found = plan::show(&mut tx, plan).await;
    found.map(drop).map_err(|error| ServeError::SignUp(error.to_string()))
}

async fn serve(
    app: &Arc<App>,
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    handle: axum_server::Handle<SocketAddr>,
    door: &Door,
) -> Result<(), ServeError> {
    listener.set_nonblocking(true)?;
    let service = router::router(Arc::clone(app)).into_make_service_with_connect_info::<SocketAddr>();
    // Without TCP_NODELAY every new TLS connection costs some 40 ms of waiting for a delayed acknowledgement.
    let nodelay = NoDelayAcceptor::new();
    let mut server = axum_server::from_tcp(listener)?.handle(handle);
    door::set_limits(&mut server);
    match tls {
        Some(tls) => {
            let acceptor = axum_server::tls_rustls::RustlsAcceptor::new(tls).acceptor(nodelay);
            server.acceptor(door.before(acceptor, true)).serve(service).await?;
        }
        None => server.acceptor(door.before(nodelay, false)).serve(service).await?,
    }
    Ok(())
}

/// Makes partitions ahead of the days that need them.
async fn housekeeping(app: Arc<App>, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(HOUSEKEEPING);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        match app.db.make_partitions().await {
            Ok(0) => {}
            Ok(made) => tracing::info!(made, "partitions made"),
            Err(error) => tracing::error!(%error, "partitions could not be made"),
        }
        match app.db.default_partition_bytes().await {
            Ok(0) => {}
            Ok(bytes) => {
                app.metrics.default_partition_bytes.set(bytes);
                tracing::error!(
                    bytes,
                    "the DEFAULT partition of the inbox is in use: partitions are missing"
                );
            }
            Err(error) => tracing::error!(%error, "the DEFAULT partition could not be looked at"),
        }
        if let Err(error) = signing::rotate(&app.db).await {
            tracing::error!(%error, "the keys that sign access tokens could not be renewed; the old ones stay");
        }
    }
}

/// Does upkeep, unless another process is at it.
async fn upkeep_now_and_then(app: Arc<App>, shutdown: CancellationToken) {
    let options = upkeep::Options { gentle: true, ..upkeep::Options::default() };
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + UPKEEP_DELAY, HOUSEKEEPING);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        let mut counted = 0;
        let count = |report: &upkeep::Report| {
            app.metrics.compacted_samples.inc_by(report.samples - counted);
            counted = report.samples;
        };
        match upkeep::run(&app.db, options, &shutdown, count).await {
            Ok(None) => {}
            Ok(Some(report)) => {
                app.metrics.upkeep_failures.inc_by(report.failed);
                app.metrics.upkeep_finished.set(now_ms() / 1000);
                tracing::info!(%report, "upkeep");
            }
            Err(error) => {
                app.metrics.upkeep_failures.inc();
                tracing::error!(%error, "upkeep could not go on; it is tried again");
            }
        }
    }
}

/// The clock of the service, Unix milliseconds UTC.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A receive time as people and programs read it.
pub(crate) fn rfc3339(time: OffsetDateTime) -> String {
    // Fails only for years beyond 9999, which the database does not produce for a receive time.
    time.format(&Rfc3339).unwrap_or_else(|_| time.unix_timestamp().to_string())
}

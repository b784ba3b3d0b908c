//! Mail that is to be sent: put down in the transaction of what it tells of, sent afterwards, tried again until it is taken or a day
//! is over.
//!
//! What waits says about what, but not to whom, with which words, or with which secret: these are read and made in the tenant when the
//! mail is sent, so that no secret lies in the database, and what has been revoked meanwhile is not sent at all. A mail that is
//! tried again has a new secret, and the one before it opens nothing.
//!
//! Several processes share the work: whoever takes a mail has it for two minutes.

mod compose;
pub(crate) mod http;
mod sql;
mod templates;

use std::sync::Arc;
use std::time::Duration;

use storepulse_shared::ids::TenantId;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::compose::Composed;
use crate::app::App;
use crate::db::TenantTx;
use crate::mail::Kind;
use crate::mail::smtp::{Mailer, SendError, SmtpUrl};
use crate::people::reset::{self, Wanted};
use crate::people::sign_up;
use crate::problem::ApiError;

/// How often what other processes have put down is looked for, and what is to be tried again.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Mails on their way at once.
const AT_ONCE: i64 = 8;
/// How long until it is tried again, by how often it was tried; after the last it is given up.
const RETRIES_S: [f64; 10] =
    [15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0, 28_800.0];
/// People who want another password and have not been looked at yet.
const WANTED_MAX: usize = 256;

/// How mail leaves.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// The server.
    pub smtp: SmtpUrl,
    /// Who it is from: `StorePulse <pulse@example.com>`.
    pub from: String,
    /// What links begin with: `https://pulse.example.com`.
    pub public_url: String,
}

/// Where mail is put.
#[derive(Debug)]
pub(crate) struct Outbox {
    mailer: Mailer,
    public_url: String,
    woken: Notify,
    wanted: mpsc::Sender<Wanted>,
}

impl Outbox {
    /// With whoever wants another password.
    pub(crate) fn new(config: &MailConfig) -> Result<(Self, mpsc::Receiver<Wanted>), String> {
        let (wanted, asked_for) = mpsc::channel(WANTED_MAX);
        let mailer = Mailer::new(&config.smtp, &config.from)?;
        let public_url = config.public_url.trim_end_matches('/').to_owned();
        Ok((Self { mailer, public_url, woken: Notify::new(), wanted }, asked_for))
    }

    /// There is something to send.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Somebody wants another password. It is looked at later, so that nobody learns from the time whether there is such a user.
    pub(crate) fn want(&self, wanted: Wanted) -> Result<(), ApiError> {
        let busy = |_| ApiError::Overloaded { retry_after: Duration::from_secs(5) };
        self.wanted.try_send(wanted).map_err(busy)
    }

    /// `https://…/invitation#invite_…`: what follows `#` is sent to no server, and stands in no log.
    fn link(&self, page: &str, secret: &str) -> String {
        format!("{}/{page}#{secret}", self.public_url)
    }
}

/// Puts a mail down; `false` where no mail is sent. Whoever has committed wakes the outbox.
pub(crate) async fn put(
    app: &App,
    tx: &mut TenantTx,
    kind: Kind,
    subject: Uuid,
) -> Result<bool, sqlx::Error> {
    if app.outbox.is_none() {
        return Ok(false);
    }
    sql::insert(tx, kind.as_str(), subject).await?;
    Ok(true)
}

/// A mail that waits.
#[derive(Debug, Clone)]
struct Waiting {
    tenant: TenantId,
    mail_id: Uuid,
    kind: Kind,
    subject: Uuid,
    attempts: i32,
}

/// Looks at who wants another password, until shutdown.
pub(crate) async fn look_at_wanted(
    app: Arc<App>,
    mut asked_for: mpsc::Receiver<Wanted>,
    shutdown: CancellationToken,
) {
    let Some(outbox) = &app.outbox else { return };
    loop {
        let wanted = tokio::select! {
            () = shutdown.cancelled() => return,
            wanted = asked_for.recv() => wanted,
        };
        let Some(wanted) = wanted else { return };
        if let Err(error) = reset::begin(&app, wanted).await {
            tracing::error!(%error, "a password that was asked for could not be looked at");
        }
        outbox.wake();
    }
}

/// Sends until shutdown.
pub(crate) async fn send_now_and_then(app: Arc<App>, shutdown: CancellationToken) {
    let Some(outbox) = &app.outbox else { return };
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = outbox.woken.notified() => {}
            _ = tick.tick() => {}
        }
        let sent = tokio::select! {
            () = shutdown.cancelled() => return,
            sent = send_due(&app, outbox) => sent,
        };
        if let Err(error) = sent {
            tracing::error!(%error, "the outbox could not be looked at; it is tried again");
        }
    }
}

async fn send_due(app: &Arc<App>, outbox: &Outbox) -> Result<(), sqlx::Error> {
    loop {
        let mut tx = app.db.control().await?;
        let due = sql::take_due(&mut tx, AT_ONCE).await?;
        tx.commit().await?;
        let is_all = i64::try_from(due.len()).is_ok_and(|due| due < AT_ONCE);
        let mut sending = JoinSet::new();
        for waiting in due {
            let app = Arc::clone(app);
            sending.spawn(async move {
                let (tenant, kind) = (waiting.tenant.clone(), waiting.kind);
                if let Err(error) = send(&app, waiting).await {
                    tracing::error!(%tenant, %kind, %error, "a mail could not be composed; it is tried again");
                }
            });
        }
        while sending.join_next().await.is_some() {}
        sign_up::send_due(app, &outbox.mailer, |secret| outbox.link("sign-up", secret)).await?;
        if is_all {
            return Ok(());
        }
    }
}

async fn send(app: &App, waiting: Waiting) -> Result<(), sqlx::Error> {
    let Some(outbox) = &app.outbox else { return Ok(()) };
    let sent = match compose::compose(app, outbox, &waiting).await? {
        Composed::Mail(to, mail) => outbox.mailer.send(&to, &mail).await,
        Composed::NotNow => Err(SendError::Failed("the tenant is not active".to_owned())),
        Composed::Nobody => {
            let mut tx = app.db.control().await?;
            sql::delete(&mut tx, &waiting.tenant, waiting.mail_id).await?;
            return tx.commit().await;
        }
    };
    let (tenant, kind) = (&waiting.tenant, waiting.kind);
    let retry_s = retry_s(waiting.attempts);
    let error = match (&sent, retry_s) {
        (Ok(()), _) => None,
        (Err(SendError::Failed(error)), Some(retry_s)) => {
            tracing::warn!(%tenant, %kind, error, "a mail was not taken; it is tried again");
            let mut tx = app.db.control().await?;
            sql::put_off(&mut tx, tenant, waiting.mail_id, retry_s).await?;
            return tx.commit().await;
        }
        (Err(error), _) => {
            tracing::error!(%tenant, %kind, %error, "a mail is given up");
            Some(error.to_string())
        }
    };
    app.metrics.mails.count(error.is_none());
    if kind == Kind::Invitation {
        let mut tx = app.db.tenant(tenant).await?;
        sql::note_invitation(&mut tx, waiting.subject, error.as_deref()).await?;
        tx.commit().await?;
    }
    let mut tx = app.db.control().await?;
    sql::delete(&mut tx, tenant, waiting.mail_id).await?;
    tx.commit().await
}

/// When a mail is tried again that was tried so often; `None`: it is given up.
pub(crate) fn retry_s(attempts: i32) -> Option<f64> {
    let before = usize::try_from(attempts).unwrap_or_default().saturating_sub(1);
    RETRIES_S.get(before).copied()
}

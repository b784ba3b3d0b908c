//! A mail, made when it is sent: with a secret that is new, in the language of whom it is for, in the tenant's words.

use std::time::Duration;

use storepulse_shared::key::{InviteToken, ResetToken};

use super::{Outbox, Waiting, sql};
use crate::app::App;
use crate::mail::{Brand, Fields, Kind, Language, Own, Rendered, render};

/// Of an hour, 59 minutes and 59 seconds are an hour.
const MOMENT: Duration = Duration::from_secs(60);

/// What has become of what waits.
pub(super) enum Composed {
    /// To whom, and what.
    Mail(String, Rendered),
    /// There is nobody to be written to any more.
    Nobody,
    /// The tenant is not active: nobody is written to.
    NotNow,
}

/// A secret opens something once this has returned.
pub(super) async fn compose(app: &App, outbox: &Outbox, waiting: &Waiting) -> Result<Composed, sqlx::Error> {
    let mut tx = app.db.tenant(&waiting.tenant).await?;
    let Some(brand) = sql::brand(&mut tx).await? else { return Ok(Composed::NotNow) };
    let (found, link) = match waiting.kind {
        Kind::Invitation => {
            let token = InviteToken::issue(&waiting.tenant);
            let found = sql::renew_invitation(&mut tx, waiting.subject, &token.hash()).await?;
            (found, Some(outbox.link("invitation", token.expose())))
        }
        Kind::PasswordReset => {
            let token = ResetToken::issue(&waiting.tenant);
            let found = sql::renew_reset(&mut tx, waiting.subject, &token.hash()).await?;
            (found, Some(outbox.link("new-password", token.expose())))
        }
        Kind::PasswordChanged => (sql::user(&mut tx, waiting.subject).await?, None),
        // There is no tenant yet whose rows could tell of it.
        Kind::SignUp => (None, None),
    };
    let Some(to) = found else { return Ok(Composed::Nobody) };
    let language = [to.language.as_deref(), brand.language.as_deref()];
    let language = language.into_iter().flatten().find_map(|text| text.parse().ok()).unwrap_or(Language::En);
    let templates = sql::templates(&mut tx).await?;
    let own = templates
        .into_iter()
        .find(|row| row.kind == waiting.kind.as_str() && row.language == language.as_str())
        .map(|row| Own { subject: row.subject, text: row.text });
    tx.commit().await?;
    let brand = Brand { name: brand.name.unwrap_or(brand.company), colour: brand.colour.unwrap_or_default() };
    let fields = Fields {
        tenant_id: waiting.tenant.to_string(),
        name: to.name,
        link,
        // What is told is never more than there is, but for the moment that has passed since it began.
        good_for: Duration::from_secs_f64(to.good_for_s.max(0.0)) + MOMENT,
    };
    Ok(Composed::Mail(to.email, render(waiting.kind, language, &brand, &fields, own.as_ref())))
}

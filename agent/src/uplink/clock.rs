//! How the uplink learns the time, before it sends anything that a clock dated which nobody vouches for.
//!
//! It asks `GET /health`, without the key. Where that fails only because a certificate is not valid at the time that this
//! box believes in, the handshake is repeated with the dates left out ([`super::tls`]), the answer's `Date` is read, and
//! the question is asked again over a connection whose certificates are valid at that time, which is never earlier than
//! when the agent was built or the last time that was trusted. Only what is heard there counts, and only after that the
//! key is sent, over a new connection. A certificate that has really expired is refused at the second question.

use std::time::{Duration, Instant, UNIX_EPOCH};

use reqwest::header::DATE;
use storepulse_shared::answer::{Ack, TIME_HEADER};

use super::Uplink;
use super::cause::{Cause, Failure};
use super::client::{Client, reason};
use super::outcome::Outcome;
use super::tls::only_dates;
use crate::spool::Reach;
use crate::time::{Authority, BoxClock, Heard, Reading};

/// How long the uplink does without the time after it was asked for in vain, while there is no need to hold.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// An HTTP date is whole seconds, cut: in the middle of its second it is right to half of one.
const DATE_COARSE_MS: i64 = 500;
impl Uplink {
    /// Asks for the time if nobody has told it. Says whether batches may be handed out now; otherwise the gate has been
    /// closed, or everything is to be looked at again with what is known since.
    pub(super) async fn learn_time(&mut self) -> bool {
        let doubted = self.client.trust().take_doubt();
        let known = self.clock.truth().is_some() && !doubted;
        if known || self.key.read().is_err() || self.asked_in_vain.is_some_and(|at| at.elapsed() < ASK_AGAIN)
        {
            return true;
        }
        let heard = match self.client.ask_time(&self.clock).await {
            Ok(heard) => heard,
            Err(failure) => return self.may_not_send(failure),
        };
        if let Some(heard) = &heard {
            self.clock.hear(heard);
        }
        if self.clock.truth().is_some() {
            // Connections that were verified at another time must not carry the key.
            return match self.client.renew() {
                Ok(()) => true,
                Err(error) => self.may_not_send(Failure::new(Cause::Tls, error.to_string())),
            };
        }
        if self.clock.now_ms() < self.clock.floor_ms() {
            let why = "the box's clock is wrong and the cloud did not tell the time; samples are kept";
            return self.may_not_send(Failure::new(Cause::TlsClock, why));
        }
        self.asked_in_vain = Some(Instant::now());
        true
    }

    fn may_not_send(&mut self, failure: Failure) -> bool {
        self.conclude(Outcome::Failing(failure), Reach::Critical);
        false
    }

    /// Every acknowledgement tells the cloud's time.
    pub(super) fn hear_ack(&mut self, ack: &Ack, asked: Reading) {
        let answered = self.clock.read();
        let heard =
            Heard { authority: Authority::Cloud, time_ms: ack.server_time, coarse_ms: 0, asked, answered };
        self.clock.hear(&heard);
        let offset_ms = self.clock.status().offset_ms;
        self.board.change(|status| status.clock_offset_ms = offset_ms);
    }
}

impl Client {
    /// Asks for the time; `None` if nobody tells it.
    async fn ask_time(&self, clock: &BoxClock) -> Result<Option<Heard>, Failure> {
        self.trust().assume_nothing();
        let error = match self.ask(&self.http(), clock).await {
            Ok(heard) => return Ok(heard),
            Err(error) if only_dates(&error) => error,
            Err(error) => return Err(self.failure(&error)),
        };
        let told_ms = self.ask_date(clock).await?;
        tracing::warn!(
            error = reason(&error),
            told_ms,
            "the certificate is not valid at the time of this box"
        );
        self.trust().assume(told_ms.max(clock.floor_ms()));
        let heard = match self.fresh() {
            // What is out of date at the time that was told, or at the earliest that it can be, has expired.
            Ok(http) => self.ask(&http, clock).await.map_err(|error| self.failure(&error)),
            Err(error) => Err(Failure::new(Cause::Tls, error.to_string())),
        };
        self.trust().assume_nothing();
        heard
    }

    /// Reads `Date` over a connection whose certificates may be out of date. The key is not at hand here.
    async fn ask_date(&self, clock: &BoxClock) -> Result<i64, Failure> {
        let http = self.dateless().map_err(|error| Failure::new(Cause::Tls, error.to_string()))?;
        let asked = clock.read();
        let response = http.get(self.health_url()).send().await.map_err(|error| self.failure(&error))?;
        let heard = heard_date(&response, asked, clock.read());
        let untold = || Failure::new(Cause::TlsClock, "the cloud does not tell the date");
        heard.map(|heard| heard.time_ms).ok_or_else(untold)
    }

    async fn ask(&self, http: &reqwest::Client, clock: &BoxClock) -> Result<Option<Heard>, reqwest::Error> {
        let asked = clock.read();
        let response = http.get(self.health_url()).send().await?;
        let answered = clock.read();
        if response.status() != reqwest::StatusCode::OK {
            return Ok(None);
        }
        let Some(told) = response.headers().get(TIME_HEADER) else {
            return Ok(heard_date(&response, asked, answered));
        };
        let time_ms = told.to_str().ok().and_then(|text| text.parse().ok());
        let authority = Authority::Cloud;
        Ok(time_ms.map(|time_ms| Heard { authority, time_ms, coarse_ms: 0, asked, answered }))
    }
}

fn heard_date(response: &reqwest::Response, asked: Reading, answered: Reading) -> Option<Heard> {
    let date = httpdate::parse_http_date(response.headers().get(DATE)?.to_str().ok()?).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    let time_ms = i64::try_from(since.as_millis()).ok()?.checked_add(DATE_COARSE_MS)?;
    Some(Heard { authority: Authority::Cloud, time_ms, coarse_ms: DATE_COARSE_MS, asked, answered })
}

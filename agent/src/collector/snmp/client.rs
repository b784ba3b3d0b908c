//! Questions and answers: GET, GETNEXT and GETBULK, nothing else is ever sent.
//!
//! The socket is connected, so the kernel drops what comes from another address or port; the request-id of an answer is compared by
//! `snmp2`. A session that has missed an answer is given up: whatever still comes must not be taken for the next answer. UDP loses
//! datagrams, so a question is asked twice before the device counts as silent; one that has refused us is not asked again.

use std::net::SocketAddr;
use std::time::Duration;

use snmp2::v3::{Auth, AuthErrorKind, Security};
use snmp2::{AsyncSession, Error, Oid};

use super::settings::{AuthProtocol, PrivacyProtocol, Settings, Version};
use super::value::{Answer, Name, Rows, Value, answer, kind_of};
use crate::collector::fault::{Fault, FaultKind};

/// How often a question is asked before it counts as not answered.
const ATTEMPTS: u32 = 2;
/// How often version 3 may correct our idea of its clock within a question.
const CORRECTIONS: u32 = 3;
/// Most names in a question: answers of about a kilobyte, which no network splits.
const NAMES_MAX: usize = 24;
/// Rows that one GETBULK asks for.
const BULK_ROWS: u32 = 16;

/// `error-status` of RFC 3416.
const TOO_BIG: u32 = 1;
const NO_SUCH_NAME: u32 = 2;
const NO_ACCESS: u32 = 6;
const AUTHORIZATION_ERROR: u32 = 16;

enum Question<'a> {
    Get(&'a [Name]),
    Next(&'a [u32]),
    Bulk(&'a [u32], u32),
}

/// Asks one device.
pub(super) struct Client<'a> {
    settings: &'a Settings,
    session: Option<AsyncSession>,
    /// Names in a question; fewer for a device that finds them too many.
    names_max: usize,
}

impl<'a> Client<'a> {
    pub(super) const fn new(settings: &'a Settings) -> Self {
        Self { settings, session: None, names_max: NAMES_MAX }
    }

    /// The values of these names, in their order.
    pub(super) async fn get(&mut self, names: &[Name]) -> Result<Vec<Value>, Fault> {
        let mut values = Vec::with_capacity(names.len());
        let mut rest = names;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(rest.len().min(self.names_max));
            match self.get_chunk(chunk).await? {
                Some(more) => {
                    values.extend(more);
                    rest = after;
                }
                None => self.names_max = chunk.len().div_ceil(2),
            }
        }
        Ok(values)
    }

    /// Version 1 refuses a question as a whole because of one name: that is left out, and the others asked again. `None` if
    /// they are too many.
    async fn get_chunk(&mut self, names: &[Name]) -> Result<Option<Vec<Value>>, Fault> {
        let mut asked: Vec<Name> = names.to_vec();
        let answer = loop {
            if asked.is_empty() {
                return Ok(Some(vec![Value::Missing; names.len()]));
            }
            let answer = self.ask(Question::Get(&asked)).await?;
            match answer.status {
                0 => break answer,
                TOO_BIG if names.len() > 1 => return Ok(None),
                NO_SUCH_NAME => {
                    let at = usize::try_from(answer.index).unwrap_or(0).wrapping_sub(1);
                    if at >= asked.len() {
                        return Err(self.refused(answer.status));
                    }
                    asked.remove(at);
                }
                status => return Err(self.refused(status)),
            }
        };
        if answer.rows.len() != asked.len()
            || answer.rows.iter().zip(&asked).any(|((name, _), asked)| name != asked)
        {
            return Err(
                self.fault(FaultKind::WrongDevice, "an answer is about other objects than were asked for")
            );
        }
        let mut rows = answer.rows.into_iter().peekable();
        let values = names.iter().map(|name| {
            rows.next_if(|(answered, _)| answered == name).map_or(Value::Missing, |(_, value)| value)
        });
        Ok(Some(values.collect()))
    }

    /// The rows below a name, at most so many, and whether there are more: the rest of each name, and its value.
    pub(super) async fn walk(&mut self, column: &[u32], rows_max: usize) -> Result<(Rows, bool), Fault> {
        let mut found: Rows = Vec::new();
        let mut last = column.to_vec();
        loop {
            let question = if self.settings.version == Version::V1 {
                Question::Next(&last)
            } else {
                Question::Bulk(&last, BULK_ROWS)
            };
            let answer = self.ask(question).await?;
            match answer.status {
                0 => {}
                // How version 1 says that there is nothing after it.
                NO_SUCH_NAME => return Ok((found, false)),
                status => return Err(self.refused(status)),
            }
            if answer.rows.is_empty() {
                return Err(self.fault(FaultKind::Parse, "an answer holds nothing that can be read"));
            }
            for (name, value) in answer.rows {
                let Some(index) = name.strip_prefix(column) else { return Ok((found, false)) };
                if value == Value::Missing {
                    return Ok((found, false));
                }
                if name <= last {
                    return Err(self.fault(FaultKind::Parse, "its table does not end: names do not increase"));
                }
                if found.len() == rows_max {
                    return Ok((found, true));
                }
                found.push((index.to_vec(), value));
                last = name;
            }
        }
    }

    async fn ask(&mut self, question: Question<'_>) -> Result<Answer, Fault> {
        let (mut attempts, mut corrections) = (ATTEMPTS, CORRECTIONS);
        loop {
            let session = match &mut self.session {
                Some(session) => session,
                none => none.insert(open(self.settings).await?),
            };
            let answered = tokio::time::timeout(self.settings.timeout, once(session, &question)).await;
            let fault = match answered {
                Ok(Ok(Ok(answer))) => return Ok(answer),
                Ok(Ok(Err(kind))) => self.fault(kind, "an answer cannot be read"),
                Ok(Err(error)) if is_correction(&error) && corrections > 0 => {
                    corrections -= 1;
                    continue;
                }
                Ok(Err(error)) => self.fault(kind_of(&error), said(&error)),
                Err(_) => silent(self.settings),
            };
            self.session = None;
            attempts -= 1;
            if attempts == 0 || fault.kind == FaultKind::Denied {
                return Err(fault);
            }
        }
    }

    fn refused(&self, status: u32) -> Fault {
        match status {
            NO_ACCESS | AUTHORIZATION_ERROR => self
                .fault(FaultKind::Denied, "its access control lets nobody of this name read; see its views"),
            status => self.fault(FaultKind::Exception, &format!("it answers with error-status {status}")),
        }
    }

    fn fault(&self, kind: FaultKind, text: &str) -> Fault {
        Fault::new(kind, format!("{}: {text}", self.settings.target))
    }
}

async fn once(
    session: &mut AsyncSession,
    question: &Question<'_>,
) -> Result<Result<Answer, FaultKind>, Error> {
    let pdu = match question {
        Question::Get(names) => {
            let oids = names.iter().map(|name| oid(name)).collect::<Result<Vec<_>, _>>()?;
            session.get_many(&oids.iter().collect::<Vec<_>>()).await?
        }
        Question::Next(name) => session.getnext(&oid(name)?).await?,
        Question::Bulk(name, rows) => session.getbulk(&[&oid(name)?], 0, *rows).await?,
    };
    Ok(answer(&pdu))
}

fn oid(name: &[u32]) -> Result<Oid<'static>, Error> {
    let arcs: Vec<u64> = name.iter().map(|arc| u64::from(*arc)).collect();
    Oid::from(&arcs).map_err(|_| Error::ValueOutOfRange)
}

/// Its clock, or its number of starts, is another than we thought, and is known now.
const fn is_correction(error: &Error) -> bool {
    matches!(error, Error::AuthUpdated | Error::AuthFailure(AuthErrorKind::EngineTimeMismatch))
}

const fn said(error: &Error) -> &'static str {
    match error {
        Error::AuthFailure(AuthErrorKind::SignatureMismatch) => "an answer is not signed with this password",
        Error::AuthFailure(AuthErrorKind::EngineIdMismatch | AuthErrorKind::EngineBootsMismatch) => {
            "another SNMP engine answers than before"
        }
        Error::AuthFailure(_) | Error::AuthUpdated => {
            "it refuses this user, or its password or protocol; see user, auth and privacy"
        }
        Error::RequestIdMismatch | Error::CommunityMismatch => "an answer to another question",
        Error::Send | Error::Receive => "nothing listens there; does its SNMP run?",
        Error::BufferOverflow => "it says that it takes larger messages than there are",
        _ => "what it says is no SNMP",
    }
}

fn silent(settings: &Settings) -> Fault {
    let hint = match settings.version {
        // Agents do not answer a community that they do not know.
        Version::V1 | Version::V2c => "is the community right, and may this box ask?",
        Version::V3 => "may this box ask, and is the privacy password right?",
    };
    let timeout = humantime::format_duration(settings.timeout);
    Fault::new(FaultKind::Timeout, format!("{} did not answer within {timeout}; {hint}", settings.target))
}

async fn open(settings: &Settings) -> Result<AsyncSession, Fault> {
    let address = resolve(&settings.target, settings.timeout).await?;
    let first = i32::from_ne_bytes(rand::random::<[u8; 4]>()) & i32::MAX;
    let opened = match (settings.version, &settings.v3) {
        (Version::V1, _) => AsyncSession::new_v1(address, settings.community.read()?.as_bytes(), first).await,
        (Version::V3, Some(_)) => {
            let mut session = AsyncSession::new_v3(address, first, security(settings)?)
                .await
                .map_err(|error| Fault::new(FaultKind::Refused, format!("{address}: {error}")))?;
            return match tokio::time::timeout(settings.timeout, session.init()).await {
                Ok(Ok(())) => Ok(session),
                Ok(Err(error)) => {
                    Err(Fault::new(kind_of(&error), format!("{}: {}", settings.target, said(&error))))
                }
                Err(_) => Err(silent(settings)),
            };
        }
        _ => AsyncSession::new_v2c(address, settings.community.read()?.as_bytes(), first).await,
    };
    opened.map_err(|error| Fault::new(FaultKind::Refused, format!("{address}: {error}")))
}

async fn resolve(target: &str, timeout: Duration) -> Result<SocketAddr, Fault> {
    match tokio::time::timeout(timeout, tokio::net::lookup_host(target)).await {
        Ok(Ok(mut found)) => {
            found.next().ok_or_else(|| Fault::new(FaultKind::Dns, format!("{target} has no address")))
        }
        Ok(Err(error)) => Err(Fault::new(FaultKind::Dns, format!("{target}: {error}"))),
        Err(_) => Err(Fault::new(FaultKind::Dns, format!("{target}: no answer from the name server"))),
    }
}

fn security(settings: &Settings) -> Result<Security, Fault> {
    let Some(v3) = &settings.v3 else {
        return Err(Fault::new(FaultKind::Internal, "version 3 without its user"));
    };
    let password = |secret: &crate::collector::secret::Secret, what: &str| {
        let text = secret.read()?;
        // RFC 3414 allows none that is shorter, and the key cannot be made of an empty one.
        if text.len() < super::settings::PASSWORD_BYTES_MIN {
            return Err(Fault::new(
                FaultKind::Denied,
                format!("the {what} password is shorter than 8 characters"),
            ));
        }
        Ok(text)
    };
    let auth_password = v3.auth.as_ref().map(|auth| password(&auth.password, "auth")).transpose()?;
    let mut security = Security::new(v3.user.as_bytes(), auth_password.unwrap_or_default().as_bytes())
        .with_context_name(&v3.context);
    security = security.with_auth(match (&v3.auth, &v3.privacy) {
        (None, _) => Auth::NoAuthNoPriv,
        (Some(_), None) => Auth::AuthNoPriv,
        (Some(_), Some(privacy)) => Auth::AuthPriv {
            cipher: match privacy.protocol {
                PrivacyProtocol::Aes128 => snmp2::v3::Cipher::Aes128,
                PrivacyProtocol::Aes256 => snmp2::v3::Cipher::Aes256,
                PrivacyProtocol::Des => snmp2::v3::Cipher::Des,
            },
            privacy_password: password(&privacy.password, "privacy")?.into_bytes(),
        },
    });
    if let Some(auth) = &v3.auth {
        security = security.with_auth_protocol(match auth.protocol {
            AuthProtocol::Md5 => snmp2::v3::AuthProtocol::Md5,
            AuthProtocol::Sha1 => snmp2::v3::AuthProtocol::Sha1,
            AuthProtocol::Sha224 => snmp2::v3::AuthProtocol::Sha224,
            AuthProtocol::Sha256 => snmp2::v3::AuthProtocol::Sha256,
            AuthProtocol::Sha384 => snmp2::v3::AuthProtocol::Sha384,
            AuthProtocol::Sha512 => snmp2::v3::AuthProtocol::Sha512,
        });
    }
    // Where the key is too short for the cipher, this is how most devices lengthen it.
    Ok(security.with_key_extension_method(snmp2::v3::KeyExtension::Reeder))
}

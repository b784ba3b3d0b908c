//! Onboarding: a tenant with its stores and keys, tried, and for each store the folder that its gateway box needs.
//!
//! The steps stand in [`Step`], in this order; each finds what is missing and makes that. So it can be killed anywhere and
//! run again, and comes to the same end. No key can be left over: its file is durable before its hash is registered, so that
//! one that opens something always stands in a file, and whoever runs it again finds it there. Whoever runs it again with
//! another folder gets other keys, and those that never opened anything are revoked in the same transaction.
//!
//! What exists stays as it is: a tenant's company, plan and contacts, a key that opens, what people have changed in
//! `agent.yaml` and `docker-compose.yml`.

mod folder;
pub(crate) mod http;
mod package;
mod request;
mod results;
mod sql;
mod steps;
mod tar;
mod template;
mod validate;

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::{PushToken, StoreKey};

pub use self::request::{Contacts, Request, STORES_MAX, numbered_stores};
pub use self::results::{KeyResult, Results, StoreResult, Validation};

use self::folder::Folder;
use self::package::{About, KEY_FILE, TOKEN_FILE};
use self::steps::{FileKey, Known, Standing};
use self::validate::{Probe, Trouble};
use crate::app::rfc3339;
use crate::audit::Actor;
use crate::db::Db;

/// What is done, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The tenant is there, pending if it is new.
    Tenant,
    /// So are its stores.
    Stores,
    /// Keys and push tokens stand in files, durable.
    Secrets,
    /// The keys' hashes are registered.
    Keys,
    /// The files of each store are written.
    Package,
    /// The cloud knows every key, and opens nothing yet.
    Known,
    /// The tenant is open.
    Active,
    /// Every key opens its own store and nothing else.
    Validated,
    /// README and results are written.
    Results,
}

impl Step {
    /// In their order.
    pub const ALL: [Self; 9] = [
        Self::Tenant,
        Self::Stores,
        Self::Secrets,
        Self::Keys,
        Self::Package,
        Self::Known,
        Self::Active,
        Self::Validated,
        Self::Results,
    ];
}

/// Why onboarding stopped. Run again, it goes on.
#[derive(Debug, thiserror::Error)]
pub enum OnboardError {
    /// What was asked for cannot be; nothing was made.
    #[error("{0}")]
    BadRequest(String),
    /// There is no such plan; nothing was made.
    #[error("there is no plan {plan:?}; there are {known}")]
    UnknownPlan {
        /// Which.
        plan: String,
        /// Those there are.
        known: String,
    },
    /// More stores than the plan has room for; nothing was made.
    #[error(
        "tenant {tenant} would have {wanted} stores; its plan {plan} allows {max}: choose a larger plan, or fewer stores"
    )]
    StoreLimit {
        /// Whose.
        tenant: TenantId,
        /// Its plan.
        plan: String,
        /// Stores that it may have.
        max: u32,
        /// Stores that it would have.
        wanted: u64,
    },
    /// The tenant takes nothing; nothing was made.
    #[error("tenant {tenant} is {status}: make it active first")]
    NotOpen {
        /// Which.
        tenant: TenantId,
        /// What it is.
        status: String,
    },
    /// A store is there already, written otherwise.
    #[error(
        "tenant {0} has a store that differs from one of these only in case: T01 and t01 would be confused"
    )]
    SameIgnoringCase(TenantId),
    /// Both slots of a store are taken by keys that somebody uses.
    #[error("store {0} has two keys in use: revoke the one that its box does not use")]
    TwoInUse(StoreId),
    /// A key file holds what we do not overwrite.
    #[error("{path}: {why}")]
    KeyFile {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// Another process writes there.
    #[error("{0}: another onboarding is writing into this folder")]
    FolderInUse(PathBuf),
    /// A file cannot be read or written.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// The keys are made, and not as they should be.
    #[error("validation: {0}")]
    Invalid(String),
    /// A key opens what it must not; the tenant is suspended.
    #[error("validation: {0}; tenant {1} was suspended: do not use this cloud before that is understood")]
    Leak(String, TenantId),
    /// It was told to stop here.
    #[error("stopped after {0:?}")]
    Stopped(Step),
    /// The database.
    #[error("database: {0}")]
    Sqlx(#[from] sqlx::Error),
    /// A blocking task ended badly.
    #[error("{0}")]
    Task(#[from] tokio::task::JoinError),
    /// What was done cannot be written as JSON.
    #[error("results: {0}")]
    Json(#[from] serde_json::Error),
}

impl OnboardError {
    pub(self) fn file(path: &Path, why: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), why }
    }
}

/// How it is done.
#[derive(Debug, Clone)]
pub struct How {
    /// The folder of the package.
    pub out: PathBuf,
    /// Whether the keys are tried at the cloud.
    pub validate: bool,
    /// Stop after this step, as if killed there: for tests, no flag reaches it.
    pub stop_after: Option<Step>,
}

/// Onboards into a folder, as the command line does it.
///
/// # Errors
/// See [`OnboardError`]; nothing that existed was changed, and run again, it goes on.
pub async fn run(
    db: &Db,
    request: &Request,
    how: &How,
    progress: &mut (impl Write + Send),
) -> Result<Results, OnboardError> {
    request.check()?;
    let actor = Actor::command_line();
    let mut run = Run { db, request, how, actor, progress, keys: Vec::new() };
    run.all().await
}

/// A key with how it came to be.
struct Had {
    key: StoreKey,
    token: PushToken,
    result: KeyResult,
}

/// One run.
struct Run<'a, W> {
    db: &'a Db,
    request: &'a Request,
    how: &'a How,
    actor: Actor,
    progress: &'a mut W,
    keys: Vec<Had>,
}

impl<W: Write> Run<'_, W> {
    async fn all(&mut self) -> Result<Results, OnboardError> {
        let (db, request) = (self.db, self.request);
        let folder = Folder::open(&self.how.out)?;
        let standing = steps::tenant(db, request, &self.actor).await?;
        let made = if standing.is_new { "made, pending" } else { "exists, and stays as it is" };
        self.tell(Step::Tenant, &format!("{} (plan {}): {made}", request.tenant, standing.plan))?;

        let (made, suspended) = steps::stores(db, request, &self.actor).await?;
        self.tell(Step::Stores, &format!("{made} made, {} were there", request.stores.len() - made))?;

        let folder = self.secrets(folder).await?;
        self.register().await?;
        let folder = self.package(&standing, folder).await?;
        let validation = self.open_and_try(&standing, suspended.iter().cloned().collect()).await;
        let results = self.results(&standing, &suspended, &validation)?;
        let readme = self.about(&standing).readme(request.stores.len(), in_words(&results.validation));
        folder.write_beside(&readme)?;
        folder.write_beside(&package::results(&results)?)?;
        validation?;
        self.tell(Step::Results, &format!("{}", self.how.out.join("onboarding_results.json").display()))?;
        Ok(results)
    }

    /// Says how far it is; that nobody listens is no reason to stop.
    fn tell(&mut self, step: Step, what: &str) -> Result<(), OnboardError> {
        let no = Step::ALL.iter().position(|it| *it == step).unwrap_or_default() + 1;
        let name = format!("{step:?}").to_lowercase();
        let _ = writeln!(self.progress, "[{no}/{}] {name}: {what}", Step::ALL.len());
        if self.how.stop_after == Some(step) { Err(OnboardError::Stopped(step)) } else { Ok(()) }
    }

    /// Reads the keys that stand in files, and makes those that are missing.
    async fn secrets(&mut self, folder: Folder) -> Result<Folder, OnboardError> {
        let known = Known::read(self.db, &self.request.tenant, &self.request.stores).await?;
        let (tenant, stores) = (self.request.tenant.clone(), self.request.stores.clone());
        let work = move || -> Result<_, OnboardError> {
            let (mut keys, mut fresh) = (Vec::with_capacity(stores.len()), Vec::new());
            for store in stores {
                let had = have(&folder, &known, &tenant, &store)?;
                let mut files = Vec::new();
                if had.is_new_key {
                    files.push(package::key_file(&had.had.key));
                }
                if had.is_new_token {
                    files.push(package::token_file(&had.had.token));
                }
                if !files.is_empty() {
                    fresh.push((store, files));
                }
                keys.push(had.had);
            }
            folder.keep(&fresh)?;
            Ok((folder, keys, fresh.len()))
        };
        let (folder, keys, made) = tokio::task::spawn_blocking(work).await??;
        self.keys = keys;
        self.tell(Step::Secrets, &format!("of {made} stores made and durable, the others were there"))?;
        Ok(folder)
    }

    async fn register(&mut self) -> Result<(), OnboardError> {
        let new = self.keys.iter().filter(|had| had.result != KeyResult::Kept);
        let new: Vec<StoreKey> = new.map(|had| had.key.clone()).collect();
        let (registered, revoked) = steps::keys(self.db, &self.request.tenant, &new, &self.actor).await?;
        let kept = self.keys.len() - new.len();
        let revoked = match revoked {
            0 => String::new(),
            n => format!(", {n} revoked that had been issued before and never used"),
        };
        self.tell(Step::Keys, &format!("{registered} registered, {kept} kept{revoked}"))
    }

    fn about<'b>(&'b self, standing: &'b Standing) -> About<'b> {
        About {
            tenant: &self.request.tenant,
            company: &standing.company,
            plan: &standing.plan,
            cloud_url: &self.request.cloud_url,
            ca: self.request.ca.as_deref(),
        }
    }

    async fn package(&mut self, standing: &Standing, folder: Folder) -> Result<Folder, OnboardError> {
        let about = self.about(standing);
        let mut files = Vec::with_capacity(self.keys.len());
        for had in &self.keys {
            let store = had.key.store();
            let mut of_store = about.files_of(store, &had.token);
            for file in of_store.iter_mut().filter(|file| file.mode == 0o600) {
                // What a person has changed beside the token stays, if it is this token.
                let there = folder.read(store, file.name)?;
                file.is_kept = there.is_some_and(|text| text.contains(had.token.expose()));
            }
            files.push((store.clone(), of_store));
        }
        let work = move || folder.write(&files).map(|()| folder);
        let folder = tokio::task::spawn_blocking(work).await??;
        self.tell(Step::Package, &format!("written to {}", self.how.out.display()))?;
        Ok(folder)
    }

    /// Tries the keys before and after the tenant is opened.
    async fn open_and_try(
        &mut self,
        standing: &Standing,
        suspended: HashSet<String>,
    ) -> Result<Validation, OnboardError> {
        let tenant = &self.request.tenant;
        if !self.how.validate {
            steps::activate(self.db, tenant, "onboarded without validation", &self.actor).await?;
            self.tell(Step::Active, &format!("{tenant}, without having tried the keys"))?;
            return Ok(Validation::Skipped { why: "asked for by --no-validate" });
        }
        let keys: Vec<StoreKey> = self.keys.iter().map(|had| had.key.clone()).collect();
        let invalid = |trouble: Trouble| OnboardError::Invalid(trouble.to_string());
        let probe = Probe::new(&self.request.cloud_url, self.request.ca.as_deref()).map_err(invalid)?;
        let mut requests = 0;
        if standing.is_pending {
            requests += probe.are_known(&keys).await.map_err(invalid)?;
            self.tell(Step::Known, &format!("{} keys known to {}", keys.len(), self.request.cloud_url))?;
        }
        steps::activate(self.db, tenant, "onboarded", &self.actor).await?;
        self.tell(Step::Active, tenant.as_str())?;
        match probe.open_only_their_own(&keys, &suspended).await {
            Ok(more) => requests += more,
            Err(Trouble::Leak(what)) => {
                steps::suspend(self.db, tenant, "a key opens what it must not", &self.actor).await?;
                return Err(OnboardError::Leak(what, tenant.clone()));
            }
            Err(trouble) => return Err(invalid(trouble)),
        }
        let told = format!("{} keys open their own store and nothing else ({requests} requests)", keys.len());
        self.tell(Step::Validated, &told)?;
        Ok(Validation::Passed { keys: keys.len(), requests })
    }

    fn results(
        &self,
        standing: &Standing,
        suspended: &[String],
        validation: &Result<Validation, OnboardError>,
    ) -> Result<Results, OnboardError> {
        let validation = match validation {
            Ok(validation) => validation.clone(),
            // As if killed: nothing more is written.
            Err(OnboardError::Stopped(step)) => return Err(OnboardError::Stopped(*step)),
            Err(error) => Validation::Failed { why: error.to_string() },
        };
        let stores = self.keys.iter().map(|had| StoreResult {
            store_id: had.key.store().to_string(),
            status: if suspended.iter().any(|it| it == had.key.store().as_str()) {
                "suspended"
            } else {
                "active"
            },
            key: had.result,
            key_id: Some(had.key.label()),
            folder: had.key.store().to_string(),
        });
        Ok(Results {
            tenant_id: self.request.tenant.to_string(),
            company: standing.company.clone(),
            plan: standing.plan.clone(),
            status: if matches!(validation, Validation::Failed { .. }) { "see validation" } else { "active" },
            cloud_url: self.request.cloud_url.clone(),
            finished_at: rfc3339(time::OffsetDateTime::now_utc()),
            validation,
            stores: stores.collect(),
        })
    }
}

/// For the package's README.
const fn in_words(validation: &Validation) -> &'static str {
    match validation {
        Validation::Passed { .. } => "Every key was tried: it opens its own store and nothing else.",
        Validation::Skipped { .. } => "**The keys were not tried** (`--no-validate`).",
        Validation::Failed { .. } => "**Validation failed**: see there, mend it, and run onboarding again.",
    }
}

/// What a store has, and what of it is not in a file yet.
struct Having {
    had: Had,
    is_new_key: bool,
    is_new_token: bool,
}

fn have(folder: &Folder, known: &Known, tenant: &TenantId, store: &StoreId) -> Result<Having, OnboardError> {
    let refused = |why| OnboardError::KeyFile { path: folder.of(store).join(KEY_FILE), why };
    let in_file = folder.read(store, KEY_FILE)?.and_then(|text| text.parse::<StoreKey>().ok());
    let (key, result) = match in_file {
        Some(key) if key.tenant() != tenant || key.store() != store => {
            return Err(refused("holds the key of another store; choose another folder"));
        }
        Some(key) => match known.about(&key) {
            FileKey::Opens => (Some(key), KeyResult::Kept),
            FileKey::Unregistered => (Some(key), KeyResult::Registered),
            FileKey::Revoked => (None, KeyResult::Issued),
            FileKey::NotOurs => {
                return Err(refused(
                    "holds a key of an older system that is not registered: import it first",
                ));
            }
        },
        None => (None, KeyResult::Issued),
    };
    let token = folder.read(store, TOKEN_FILE)?.and_then(|text| text.parse().ok());
    Ok(Having {
        is_new_key: key.is_none(),
        is_new_token: token.is_none(),
        had: Had {
            key: key.unwrap_or_else(|| StoreKey::issue(tenant, store)),
            token: token.unwrap_or_else(PushToken::issue),
            result,
        },
    })
}

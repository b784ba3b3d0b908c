//! `POST /v1/tenants/{tenant_id}/onboarding`: the same over HTTP, with the package as the answer.
//!
//! Nothing is kept of the secrets but the keys' hashes, so an answer that was lost cannot be given again. It need not be: a
//! repetition makes other keys for the stores whose keys have never opened anything, and revokes those in the same
//! transaction. A store whose key is in use is left alone, and is not in the package.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use storepulse_shared::answer::Problem;
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::{PushToken, StoreKey};
use utoipa::ToSchema;

use super::package::{self, About};
use super::results::{KeyResult, Results, StoreResult, Validation};
use super::steps::{self, Known, Standing};
use super::tar::Tar;
use super::{Contacts, OnboardError, Request, numbered_stores};
use crate::app::{App, now_ms, rfc3339};
use crate::auth::OperatorAuth;
use crate::operator::answers::ChangeRefusals;
use crate::operator::request::{Named, Told};
use crate::problem::ApiError;

/// Stores of one package at most: it is made in memory.
const STORES_MAX: usize = 500;

/// What to onboard, as the flags of the command line.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Onboarding {
    /// The company's name; without it the tenant must exist. One that exists keeps its own.
    company: Option<String>,
    /// How many stores, 1 to 500: T01, T02, …
    #[schema(minimum = 1, maximum = 500)]
    stores: usize,
    /// The plan of a tenant that is new; `basic` if it is left out.
    plan: Option<String>,
    /// Whom bills and notices go to.
    email: Option<String>,
    /// Who is in charge.
    admin: Option<String>,
    /// Numbers for WhatsApp, digits with the country's.
    #[serde(default)]
    whatsapp: Vec<String>,
    /// Where the agents reach the cloud: `https://host[:port]`.
    cloud_url: String,
    /// An authority that the agents trust beside their system's (PEM).
    ca: Option<String>,
}

/// Onboard a tenant: make what is missing of it, its stores and their keys, and answer with the package
///
/// Repeatable: keys that have never opened anything are replaced; stores whose keys are in use are left alone, and out of the
/// package. The keys are looked up, not tried: `storepulse-cloud onboard` does that.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant_id}/onboarding",
    tag = "tenants",
    security(("operator_key" = [])),
    params(("tenant_id" = String, Path, description = "the tenant")),
    request_body = Onboarding,
    responses(
        (status = 200, description = "the package, a tar file; it holds secrets", content_type = "application/x-tar", body = Vec<u8>),
        ChangeRefusals
    )
)]
pub(crate) async fn onboard_tenant(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named(tenant): Named<TenantId>,
    Told(asked): Told<Onboarding>,
) -> Result<Response, ApiError> {
    let request = request(&app, tenant, asked).await?;
    let actor = auth.actor();
    let standing = steps::tenant(&app.db, &request, &actor).await?;
    let (_, suspended) = steps::stores(&app.db, &request, &actor).await?;
    let known = Known::read(&app.db, &request.tenant, &request.stores).await?;
    let (left, fresh): (Vec<&StoreId>, Vec<&StoreId>) =
        request.stores.iter().partition(|store| known.in_use(store));
    let keys: Vec<StoreKey> =
        fresh.into_iter().map(|store| StoreKey::issue(&request.tenant, store)).collect();
    steps::keys(&app.db, &request.tenant, &keys, &actor).await?;
    steps::activate(&app.db, &request.tenant, "onboarded over HTTP", &actor).await?;

    let made = keys.iter().map(|key| (key.store(), KeyResult::Issued, Some(key.label())));
    let left = left.into_iter().map(|store| (store, KeyResult::InUse, None));
    let stores = made.chain(left).map(|(store, key, key_id)| StoreResult {
        store_id: store.to_string(),
        status: if suspended.iter().any(|it| it == store.as_str()) { "suspended" } else { "active" },
        key,
        key_id,
        folder: store.to_string(),
    });
    let results = Results {
        tenant_id: request.tenant.to_string(),
        company: standing.company.clone(),
        plan: standing.plan.clone(),
        status: "active",
        cloud_url: request.cloud_url.clone(),
        finished_at: rfc3339(time::OffsetDateTime::now_utc()),
        validation: Validation::Skipped { why: "over HTTP keys are looked up, not tried" },
        stores: stores.collect(),
    };
    let tar = pack(&request, &standing, &keys, &results).map_err(OnboardError::from)?;
    let name = format!("attachment; filename=\"deployment_package_{}.tar\"", request.tenant);
    let headers = [
        (CONTENT_TYPE, "application/x-tar"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_DISPOSITION, name.as_str()),
    ];
    Ok((headers, tar).into_response())
}

async fn request(app: &App, tenant: TenantId, asked: Onboarding) -> Result<Request, ApiError> {
    if asked.stores > STORES_MAX {
        let why = format!("stores: {}, 1 to {STORES_MAX} over HTTP", asked.stores);
        return Err(OnboardError::BadRequest(why).into());
    }
    let company = match asked.company {
        Some(company) => company,
        None => {
            let mut tx = app.db.control().await?;
            let found = super::sql::lock_tenant(&mut tx, &tenant).await?;
            found.ok_or(ApiError::NotFound)?.company
        }
    };
    let request = Request {
        tenant,
        company,
        plan: asked.plan.unwrap_or_else(|| "basic".to_owned()),
        contacts: Contacts { email: asked.email, admin: asked.admin, whatsapp: asked.whatsapp },
        stores: numbered_stores(asked.stores)?,
        cloud_url: asked.cloud_url.trim_end_matches('/').to_owned(),
        ca: asked.ca,
    };
    request.check()?;
    Ok(request)
}

fn pack(
    request: &Request,
    standing: &Standing,
    keys: &[StoreKey],
    results: &Results,
) -> Result<Vec<u8>, serde_json::Error> {
    let about = About {
        tenant: &request.tenant,
        company: &standing.company,
        plan: &standing.plan,
        cloud_url: &request.cloud_url,
        ca: request.ca.as_deref(),
    };
    let root = format!("deployment_package_{}", request.tenant);
    let mut tar = Tar::new(u64::try_from(now_ms() / 1000).unwrap_or_default());
    for key in keys {
        let (dir, token) = (format!("{root}/{}", key.store()), PushToken::issue());
        let mut files = about.files_of(key.store(), &token);
        files.extend([package::key_file(key), package::token_file(&token)]);
        for file in files {
            tar.add(&dir, file.name, file.mode, &file.text);
        }
    }
    let beside = [about.readme(keys.len(), super::in_words(&results.validation)), package::results(results)?];
    for file in beside {
        tar.add(&root, file.name, file.mode, &file.text);
    }
    Ok(tar.finish())
}

impl From<OnboardError> for ApiError {
    fn from(error: OnboardError) -> Self {
        let detail = error.to_string();
        match error {
            OnboardError::BadRequest(_) | OnboardError::UnknownPlan { .. } => {
                Self::refused(StatusCode::UNPROCESSABLE_ENTITY, "bad_value", detail)
            }
            OnboardError::StoreLimit { max, .. } => {
                let mut problem = Problem::of(StatusCode::TOO_MANY_REQUESTS.as_u16(), "store_limit", detail);
                problem.limit = Some(u64::from(max));
                problem.into()
            }
            OnboardError::NotOpen { .. } => Self::refused(StatusCode::CONFLICT, "tenant_not_open", detail),
            OnboardError::SameIgnoringCase(_) => Self::refused(StatusCode::CONFLICT, "store_exists", detail),
            OnboardError::TwoInUse(_) => Self::refused(StatusCode::CONFLICT, "two_active_keys", detail),
            OnboardError::Sqlx(error) => error.into(),
            other => Self::Internal(other.into()),
        }
    }
}

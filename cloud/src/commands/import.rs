//! `import`: batches that a person carried here in files of `storepulse-agent spool export`.
//!
//! Every file is read through and proved before anything of any file is stored. Then each batch takes the road of a
//! batch that came over the link, with its receipt: what is here already is a duplicate, and an import that was
//! interrupted is simply run again.

use std::fs::File;
use std::io::{BufReader, Seek as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use storepulse_shared::export::{ExportReader, ExportedBatch};
use storepulse_shared::ids::{StoreId, TenantId};

use crate::admission::{Admission, AdmissionLimits};
use crate::app::{App, SharedConfig};
use crate::auth::{Lookups, StoreAuth};
use crate::config::DatabaseArgs;
use crate::db::{Db, SettingsWaiver};
use crate::ingest::take_carried;
use crate::limits::Allowance;
use crate::problem::ApiError;
use crate::tenant::sql::{self, Sealer};

/// How often a batch is tried again while the database is busy.
const ATTEMPTS: usize = 20;
/// Refusals of one file that are told one by one.
const REFUSALS_SHOWN: usize = 100;

#[derive(Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    /// The tenant's id
    #[arg(long)]
    tenant: TenantId,
    /// The store's id
    #[arg(long)]
    store: StoreId,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Files of `storepulse-agent spool export`
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What to import.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whose it must be.
    pub tenant: TenantId,
    /// Whose it must be.
    pub store: StoreId,
    /// The files.
    pub files: Vec<PathBuf>,
    /// Print JSON.
    pub json: bool,
}

impl ImportArgs {
    pub(crate) fn request(&self) -> Request {
        let Self { tenant, store, json, files, .. } = self;
        Request { tenant: tenant.clone(), store: store.clone(), files: files.clone(), json: *json }
    }
}

/// What became of the batches of one file.
#[derive(Debug, Default, Serialize)]
struct Report {
    file: PathBuf,
    received: u64,
    duplicate: u64,
    refused: u64,
    /// Stored of what was received.
    samples: u64,
    /// Rejected one by one of what was received.
    rejected_samples: u64,
    /// The first refusals.
    refusals: Vec<Refusal>,
}

#[derive(Debug, Serialize)]
struct Refusal {
    batch: String,
    status: u16,
    code: String,
    detail: String,
}

/// Imports the files, or nothing if one of them cannot be believed.
///
/// # Errors
/// The store is not there or not active, a file is not whole or not its own, or the database failed.
pub async fn run(
    db: &Db,
    request: &Request,
    waiver: SettingsWaiver,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let sealer = find_sealer(db, request).await?;
    let hashes: Vec<[u8; 32]> = sealer.keys.iter().map(|key| key.hash).collect();
    let mut proved = Vec::with_capacity(request.files.len());
    for path in &request.files {
        let file = prove(path, request, &sealer, &hashes)
            .with_context(|| format!("{}: nothing was imported", path.display()))?;
        proved.push((path, file));
    }
    db.make_partitions().await?;
    let app = App::new(
        db.clone(),
        Admission::new(&AdmissionLimits::default(), 1),
        SharedConfig { waiver, ..SharedConfig::default() },
        // No request is served, so no key is asked for, and nobody is written to.
        Lookups::new().0,
        None,
    )?;
    let mut reports = Vec::with_capacity(proved.len());
    for (path, (file, auth)) in proved {
        let report = take_file(&app, &auth, path, file, &hashes).await;
        reports.push(report.with_context(|| {
            format!("{}: interrupted; import it again, what is here stays once", path.display())
        })?);
    }
    print(&reports, request.json, out)
}

/// The store with its active keys, if it may send.
async fn find_sealer(db: &Db, request: &Request) -> anyhow::Result<Sealer> {
    let Request { tenant, store, .. } = request;
    let mut tx = db.control().await?;
    let sealer = sql::sealer(&mut tx, tenant, store).await?;
    let sealer = sealer.with_context(|| format!("store {store} of tenant {tenant} does not exist"))?;
    anyhow::ensure!(
        sealer.tenant_status == "active" && sealer.store_status == "active",
        "tenant {tenant} is {}, store {store} is {}: both must be active to take samples",
        sealer.tenant_status,
        sealer.store_status
    );
    Ok(sealer)
}

/// Reads a file through: it is whole, unaltered, and of this store. Returns it with the identity that it has proved.
fn prove(
    path: &Path,
    request: &Request,
    sealer: &Sealer,
    hashes: &[[u8; 32]],
) -> anyhow::Result<(File, StoreAuth)> {
    let mut file = File::open(path)?;
    let mut reader = ExportReader::open(BufReader::new(&file), hashes)?;
    let about = reader.about().clone();
    anyhow::ensure!(
        about.tenant == request.tenant && about.store == request.store,
        "it is of store {} of tenant {}, not of store {} of tenant {}: give --tenant and --store of the file",
        about.store,
        about.tenant,
        request.store,
        request.tenant
    );
    let key = sealer.keys.iter().find(|key| key.id == about.key).with_context(|| {
        format!(
            "it is sealed with key {}, which is not active: export again with the key that the box has now \
             (`key list` shows which are active)",
            about.key
        )
    })?;
    while reader.next_batch()?.is_some() {}
    drop(reader);
    file.rewind()?;
    let auth = StoreAuth {
        tenant: about.tenant,
        store: about.store,
        key_id: about.key.into(),
        retention_days: sealer.retention_days,
        key_hash: key.hash,
        rotate_key: false,
        settings: None,
        allowance: Allowance::unlimited().into(),
    };
    Ok((file, auth))
}

async fn take_file(
    app: &App,
    auth: &StoreAuth,
    path: &Path,
    file: File,
    hashes: &[[u8; 32]],
) -> anyhow::Result<Report> {
    let mut report = Report { file: path.to_owned(), ..Report::default() };
    let mut reader = ExportReader::open(BufReader::new(file), hashes)?;
    while let Some(batch) = reader.next_batch()? {
        take_one(app, auth, batch, &mut report).await?;
    }
    Ok(report)
}

async fn take_one(
    app: &App,
    auth: &StoreAuth,
    batch: ExportedBatch,
    report: &mut Report,
) -> anyhow::Result<()> {
    let id = batch.header.batch;
    for _ in 0..ATTEMPTS {
        match take_carried(app, auth, batch.clone()).await {
            Ok(ack) if ack.duplicate => report.duplicate += 1,
            Ok(ack) => {
                report.received += 1;
                report.samples += ack.processed;
                report.rejected_samples += ack.rejected.iter().map(|r| r.samples).sum::<u64>();
            }
            Err(ApiError::Refused(problem)) => {
                report.refused += 1;
                if report.refusals.len() < REFUSALS_SHOWN {
                    let (status, code, detail) = (problem.status, problem.code, problem.detail);
                    report.refusals.push(Refusal { batch: id.to_string(), status, code, detail });
                }
            }
            Err(ApiError::Overloaded { retry_after }) => {
                tokio::time::sleep(retry_after).await;
                continue;
            }
            Err(ApiError::Internal(cause)) => return Err(cause.context(format!("batch {id}"))),
            Err(error) => anyhow::bail!("batch {id}: {error:?}"),
        }
        return Ok(());
    }
    anyhow::bail!("batch {id}: the database was busy {ATTEMPTS} times")
}

fn print(reports: &[Report], json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
        let total = serde_json::json!({
            "received": sum(|r| r.received),
            "duplicate": sum(|r| r.duplicate),
            "refused": sum(|r| r.refused),
            "files": reports,
        });
        writeln!(out, "{total}")?;
        return Ok(());
    }
    for report in reports {
        let Report { file, received, duplicate, refused, samples, rejected_samples, refusals } = report;
        writeln!(
            out,
            "{}: {received} batches received, {duplicate} duplicate, {refused} refused; \
             {samples} samples stored, {rejected_samples} rejected",
            file.display()
        )?;
        for Refusal { batch, status, code, detail } in refusals {
            writeln!(out, "  refused {batch}: {status} {code}: {detail}")?;
        }
    }
    Ok(())
}

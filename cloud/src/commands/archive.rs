//! `export`, `tenant erase` and `tenant restore`: everything of a tenant as one file, away with it, and back.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use storepulse_shared::ids::TenantId;

use crate::archive;
use crate::audit::Actor;
use crate::config::DatabaseArgs;
use crate::db::Db;

#[derive(Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    /// The tenant's id
    #[arg(long)]
    pub(crate) tenant: TenantId,
    /// The file to make; it must not be there
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// Writes the file, under another name until it is whole.
///
/// # Errors
/// There is no such tenant, the file is there or cannot be written, or the database is away.
pub async fn export(
    db: &Db,
    tenant: &TenantId,
    file: &Path,
    out: &mut (impl Write + Send),
) -> anyhow::Result<()> {
    anyhow::ensure!(!file.exists(), "{} is there already: name another file", file.display());
    let name = file.file_name().with_context(|| format!("{} names no file", file.display()))?;
    let unfinished = file.with_file_name(format!("{}.unfinished", name.to_string_lossy()));
    let to = || -> std::io::Result<std::fs::File> {
        if unfinished.exists() {
            std::fs::remove_file(&unfinished)?;
        }
        // Hashes of keys, names of people: for nobody else's eyes.
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)
    };
    let to = to().with_context(|| unfinished.display().to_string())?;
    let mut told = Ok(());
    let written = archive::write(db, tenant, to, |table, rows| {
        if told.is_ok() {
            told = writeln!(out, "{:>10} {}", rows, table.name());
        }
    });
    let Some((to, _)) = written.await? else {
        std::fs::remove_file(&unfinished)?;
        anyhow::bail!("tenant {tenant} does not exist");
    };
    told?;
    to.sync_all()?;
    std::fs::rename(&unfinished, file).with_context(|| file.display().to_string())?;
    writeln!(out, "{} is whole", file.display())?;
    Ok(())
}

/// Erases an inactive tenant.
///
/// # Errors
/// There is no such tenant, it is not inactive, or the database is away.
pub async fn erase(db: &Db, tenant: &TenantId, out: &mut (impl Write + Send)) -> anyhow::Result<()> {
    let mut told = Ok(());
    archive::erase(db, tenant, &Actor::command_line(), |what, rows| {
        if told.is_ok() {
            told = writeln!(out, "{rows:>10} {what}");
        }
    })
    .await?;
    told?;
    writeln!(out, "tenant {tenant} is erased; a mark, the audit and the number of its last series stay")?;
    Ok(())
}

/// Restores the tenant of an archive.
///
/// # Errors
/// The archive cannot be believed, the tenant is there, or the database is away.
pub async fn restore(db: &Db, file: &Path, out: &mut (impl Write + Send)) -> anyhow::Result<()> {
    let from = std::fs::File::open(file).with_context(|| file.display().to_string())?;
    let (mut told, actor) = (Ok(()), Actor::command_line());
    let restored = archive::restore(db, from, &actor, |table, rows| {
        if told.is_ok() {
            told = writeln!(out, "{rows:>10} {}", table.name());
        }
    });
    let restored = restored.await.with_context(|| file.display().to_string())?;
    told?;
    let tenant = restored.tenant;
    if let Some(domain) = restored.domain_taken {
        writeln!(
            out,
            "{domain} is the domain of another tenant by now and stays that one's: `tenant update --tenant {tenant} \
             --custom-domain …` gives this one another"
        )?;
    }
    writeln!(out, "tenant {tenant} is restored; `verify --tenant {tenant}` compares it with itself")?;
    Ok(())
}

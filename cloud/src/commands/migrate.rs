//! `migrate`: roles, if asked for, and the schema.

use std::io::Write;
use std::path::Path;

use anyhow::Context as _;

use crate::config::MigrateArgs;
use crate::schema::{self, RolePasswords};

pub(super) async fn run(args: MigrateArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let login = &args.database_url.0;
    if args.bootstrap {
        let passwords = RolePasswords {
            app: args.app_password_file.as_deref().map(read_password).transpose()?,
            control: args.control_password_file.as_deref().map(read_password).transpose()?,
        };
        schema::bootstrap(login, &passwords).await?;
        writeln!(
            out,
            "roles are there: storepulse_owner, storepulse_app, storepulse_control, storepulse_bi"
        )?;
    }
    let migrations = schema::migrate(login).await?;
    writeln!(out, "schema is up to date: {migrations} migrations")?;
    Ok(())
}

fn read_password(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("password file {}", path.display()))?;
    let password = text.trim_end_matches(['\r', '\n']).to_owned();
    anyhow::ensure!(!password.is_empty(), "password file {} is empty", path.display());
    Ok(password)
}

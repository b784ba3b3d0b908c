//! `migrate`: roles, if asked for, and the schema.

use std::io::Write;

use crate::config::{MigrateArgs, read_password};
use crate::schema::{self, RolePasswords};

pub(super) async fn run(args: MigrateArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let login = &args.database_url.login(args.password_file.as_deref())?;
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

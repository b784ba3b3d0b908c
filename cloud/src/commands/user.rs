//! `user`: the people of a tenant. The first admin of a tenant is made here; further users make themselves over HTTP.

use std::io::Write;

use clap::{Args, Subcommand};
use storepulse_shared::ids::{StoreId, TenantId};

use crate::audit::Actor;
use crate::config::DatabaseArgs;
use crate::db::Db;
use crate::mail::Language;
use crate::people::Role;
use crate::people::user::{self, FirstPassword, NewUser, User, UserChange};

/// Users that are read at once.
const PAGE: i64 = 1_000;

#[derive(Args)]
pub(crate) struct UserArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Args)]
struct Who {
    /// The tenant's id
    #[arg(long)]
    tenant: TenantId,
    /// The name that the user signs in with
    #[arg(long)]
    user: String,
}

#[derive(Subcommand)]
enum Action {
    /// Make a user and print its first password, which it has to change first of all; it cannot be shown again
    Add {
        #[command(flatten)]
        who: Who,
        /// What it may do
        #[arg(long)]
        role: Role,
        /// Where mail reaches it; it signs in with this, too
        #[arg(long)]
        email: Option<String>,
        /// How it is shown to others; its user name if it is left out
        #[arg(long)]
        name: Option<String>,
        /// A store that it sees, again for each; all if there is none
        #[arg(long = "store")]
        stores: Vec<StoreId>,
        /// In which it is written to; the tenant's if it is left out
        #[arg(long)]
        language: Option<Language>,
    },
    /// List the users of a tenant
    List {
        /// The tenant's id
        #[arg(long)]
        tenant: TenantId,
        /// A JSON object for each, instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Change a user; it counts within five seconds
    Update {
        #[command(flatten)]
        who: Who,
        /// What it may do
        #[arg(long)]
        role: Option<Role>,
        /// How it is shown to others
        #[arg(long)]
        name: Option<String>,
        /// Where mail reaches it; '' for nowhere
        #[arg(long)]
        email: Option<String>,
        /// A store that it sees, again for each
        #[arg(long = "store", conflicts_with = "all_stores")]
        stores: Vec<StoreId>,
        /// It sees all stores
        #[arg(long)]
        all_stores: bool,
    },
    /// Sign a user out everywhere and let it not sign in again
    Deactivate(Who),
    /// Let a user sign in again
    Activate(Who),
    /// Print a new first password; the user is signed out everywhere
    ResetPassword(Who),
}

pub(crate) async fn run(db: &Db, args: UserArgs, out: &mut impl Write) -> anyhow::Result<()> {
    match args.action {
        Action::Add { who, role, email, name, stores, language } => {
            let stores = (!stores.is_empty()).then_some(stores);
            let new = NewUser { user_name: who.user, email, name, role, stores, language };
            let (password, hash) = user::first_password()?;
            let mut tx = db.tenant(&who.tenant).await?;
            user::create(&mut tx, &Actor::command_line(), &new, Some(&hash), FirstPassword::SeenByOthers)
                .await?;
            tx.commit().await?;
            writeln!(out, "{}", password.expose())?;
        }
        Action::List { tenant, json } => list(db, &tenant, json, out).await?,
        Action::Update { who, role, name, email, stores, all_stores } => {
            let email = email.map(|email| (!email.is_empty()).then_some(email));
            let stores = if all_stores { Some(None) } else { (!stores.is_empty()).then_some(Some(stores)) };
            let change = UserChange { email, name, role, stores, ..UserChange::default() };
            update(db, &who, &change, out).await?;
        }
        Action::Deactivate(who) => {
            update(db, &who, &UserChange { active: Some(false), ..UserChange::default() }, out).await?;
        }
        Action::Activate(who) => {
            update(db, &who, &UserChange { active: Some(true), ..UserChange::default() }, out).await?;
        }
        Action::ResetPassword(who) => {
            let (password, hash) = user::first_password()?;
            let mut tx = db.tenant(&who.tenant).await?;
            let id = user::id_of(&mut tx, &who.user).await?;
            user::reset_password(&mut tx, &Actor::command_line(), id, &hash).await?;
            tx.commit().await?;
            writeln!(out, "{}", password.expose())?;
        }
    }
    Ok(())
}

async fn update(db: &Db, who: &Who, change: &UserChange, out: &mut impl Write) -> anyhow::Result<()> {
    let mut tx = db.tenant(&who.tenant).await?;
    let id = user::id_of(&mut tx, &who.user).await?;
    let user = user::update(&mut tx, &Actor::command_line(), id, change).await?;
    tx.commit().await?;
    line(out, &user)
}

async fn list(db: &Db, tenant: &TenantId, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let mut after: Option<String> = None;
    loop {
        let mut tx = db.tenant(tenant).await?;
        let users = user::list(&mut tx, after.as_deref(), PAGE).await?;
        tx.rollback().await?;
        for user in &users {
            if json {
                writeln!(out, "{}", serde_json::to_string(user)?)?;
            } else {
                line(out, user)?;
            }
        }
        after = users.last().map(|user| user.user_name.clone());
        if after.is_none() {
            return Ok(());
        }
    }
}

fn line(out: &mut impl Write, user: &User) -> anyhow::Result<()> {
    let state = if user.active { "active" } else { "deactivated" };
    let stores = user.stores.as_ref().map_or_else(|| "all stores".to_owned(), |stores| stores.join(" "));
    let (name, role) = (&user.user_name, user.role);
    writeln!(out, "{name:<24}  {role:<6}  {state:<11}  {stores}  {}", user.name)?;
    Ok(())
}

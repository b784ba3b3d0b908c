//! `onboard`: a tenant with its stores, keys, and for each store the folder that its gateway box needs. What it does stands
//! in [`crate::onboarding`].

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use storepulse_shared::ids::TenantId;

use crate::config::{ConfigError, DatabaseArgs};
use crate::db::Db;
use crate::onboarding::{self, Contacts, How, OnboardError, Request, numbered_stores};

#[derive(Args)]
pub(crate) struct OnboardArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    /// The tenant's id: a-z, 0-9 and '-'
    #[arg(long)]
    tenant_id: TenantId,
    /// The company's name
    #[arg(long)]
    company: String,
    /// How many stores: they are named T01, T02, …
    #[arg(long)]
    stores: usize,
    /// Whom bills and notices go to
    #[arg(long)]
    email: Option<String>,
    /// Who is in charge
    #[arg(long)]
    admin: Option<String>,
    /// A number for WhatsApp, digits with the country's; may be given several times
    #[arg(long, value_name = "NUMBER", value_delimiter = ',')]
    whatsapp: Vec<String>,
    /// The plan, of a tenant that is new
    #[arg(long, default_value = "basic")]
    plan: String,
    /// Where the agents reach the cloud
    #[arg(long, value_name = "URL")]
    cloud_url: String,
    /// A certificate authority for the agents, from `serve --tls-self-signed`
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Do not try the keys: the cloud is not up yet
    #[arg(long)]
    no_validate: bool,
    /// The folder to write, with one folder a store
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl OnboardArgs {
    fn request(&self) -> anyhow::Result<Request> {
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).with_context(|| format!("--ca {}", path.display()))
        };
        Ok(Request {
            tenant: self.tenant_id.clone(),
            company: self.company.clone(),
            plan: self.plan.clone(),
            contacts: Contacts {
                email: self.email.clone(),
                admin: self.admin.clone(),
                whatsapp: self.whatsapp.clone(),
            },
            stores: numbered_stores(self.stores)?,
            cloud_url: self.cloud_url.trim_end_matches('/').to_owned(),
            ca: self.ca.as_ref().map(read).transpose()?,
        })
    }
}

pub(crate) async fn run(db: &Db, args: OnboardArgs, out: &mut (impl Write + Send)) -> anyhow::Result<()> {
    let how = How { out: args.out.clone(), validate: !args.no_validate, stop_after: None };
    match onboarding::run(db, &args.request()?, &how, out).await {
        Ok(_) => Ok(()),
        Err(OnboardError::BadRequest(why)) => Err(ConfigError(why).into()),
        Err(error @ OnboardError::Invalid(_)) => Err(error).context(
            "run it again when that is mended: it goes on where it was (or --no-validate, if the cloud is not up yet)",
        ),
        Err(error) => Err(error.into()),
    }
}

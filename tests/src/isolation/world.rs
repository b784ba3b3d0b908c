//! The world of the suite: tenants whose stores, devices and series have the same names, one cloud, one database.
//!
//! Everything was sent through the cloud's own routes with keys that onboarding issued; only what has no route yet
//! (suspending, revoking) is written as `storepulse_control`, the role that will do it. The world refuses to begin
//! where it would prove nothing: every table with a `tenant_id` must hold rows of every tenant.

use std::net::SocketAddr;
use std::path::Path;

use storepulse_cloud::admission::AdmissionLimits;
use storepulse_cloud::commands::operator;
use storepulse_cloud::db::Db;
use storepulse_cloud::schema::{self, RolePasswords};

use super::canary::Canary;
use super::content;
use super::keys::{self, OddKeys};
use super::people::{self, People, Somebody};
use super::place::Place;
use super::readers::Readers;
use super::session::{Session, quote};
use super::wire::{self, Request};
use crate::cloud::Cloud;
use crate::cluster::TestDb;
use crate::{store, upkeep, wait};

/// The tenant that all the others are after.
pub(super) const VICTIM: &str = "la-villa";
/// Another tenant, with stores of the same names.
pub(super) const STRANGER: &str = "el-prado";
/// A tenant that is suspended.
pub(super) const SUSPENDED: &str = "costa-sur";
/// A tenant whose name the victim's begins with.
pub(super) const PREFIX: &str = "la";
/// A tenant with stores of the same names, and nothing in them.
pub(super) const NEWCOMER: &str = "nueva";
/// A store that nobody has.
pub(super) const NOBODYS_STORE: &str = "X99";

/// Who there is.
#[derive(Debug)]
pub struct World {
    /// Its database.
    pub db: TestDb,
    /// Where its cloud answers.
    pub address: SocketAddr,
    /// `la-villa/T01`, whose data must not be seen.
    pub victim: Place,
    /// `la-villa/T02`.
    pub sibling: Place,
    /// `la-villa/V77`: no other tenant has a store of this name.
    pub only_the_victims: Place,
    /// `la-villa/T03`, suspended.
    pub suspended_store: Place,
    /// `el-prado/T01`.
    pub stranger: Place,
    /// `el-prado/T02`.
    pub stranger_sibling: Place,
    /// `costa-sur/T01`, of a suspended tenant.
    pub suspended_tenant: Place,
    /// `la/T01`: what compares tenants by how they begin shows it the victim's, or its own to the victim.
    pub prefix: Place,
    /// The value of `Authorization` of an operator.
    pub operator: String,
    /// The same of one whose key was revoked.
    pub(super) revoked_operator: String,
    /// Who reads one tenant each, in SQL.
    pub(super) readers: Readers,
    pub(super) odd_keys: OddKeys,
    /// Who signs in, and with what nobody does.
    pub(super) people: People,
    cloud: Cloud,
}

impl World {
    /// Makes it in an empty, migrated database; the packages of the stores go into `dir`.
    ///
    /// # Errors
    /// Something was refused, or the world would prove nothing.
    pub async fn build(db: &TestDb, dir: &Path) -> anyhow::Result<Self> {
        complete(db).await?;
        // All that is tried here comes from one address.
        let limits = AdmissionLimits { wrong_keys_max: u32::MAX, ..AdmissionLimits::default() };
        let cloud = Cloud::start_within(limits, db, None).await?;
        let address = cloud.address;
        let [victim, sibling, suspended_store, only_the_victims] =
            open(db, &cloud, dir, VICTIM, ["T01", "T02", "T03", "V77"], 910_100).await?;
        let [stranger, stranger_sibling] = open(db, &cloud, dir, STRANGER, ["T01", "T02"], 920_100).await?;
        let [suspended_tenant] = open(db, &cloud, dir, SUSPENDED, ["T01"], 930_100).await?;
        let [prefix] = open(db, &cloud, dir, PREFIX, ["T01"], 940_100).await?;
        upkeep::run(db).await?;
        let all = [
            &victim,
            &sibling,
            &suspended_store,
            &only_the_victims,
            &stranger,
            &stranger_sibling,
            &suspended_tenant,
            &prefix,
        ];
        for place in all {
            content::send_more(address, place).await?;
        }
        store::onboard(db, NEWCOMER, &["T01", "T02"], &cloud.url(), None, &dir.join(NEWCOMER)).await?;

        let [operator, revoked_operator] = operators(db, address).await?;
        let mut control = Session::open(&db.control).await?;
        for place in all {
            content::manage(&mut control, place).await?;
        }
        let mut admin = Session::open(&db.admin).await?;
        for place in all {
            content::take_over(&mut admin, place).await?;
        }
        admin.close().await?;
        let people = people::make(db, address, &operator).await?;
        let odd_keys = keys::make(&mut control, address, &victim, &sibling, &stranger).await?;
        let suspend = format!(
            "update tenants set status = 'suspended' where tenant_id = {};
            update stores set status = 'suspended' where tenant_id = {} and store_id = {};",
            quote(SUSPENDED),
            quote(VICTIM),
            quote(suspended_store.store.as_str()),
        );
        control.run(&suspend).await?;
        control.close().await?;
        keys::until_refused(address, &suspended_store.key, 403).await?;
        keys::until_refused(address, &suspended_tenant.key, 403).await?;
        let world = Self {
            db: db.clone(),
            address,
            victim,
            sibling,
            only_the_victims,
            suspended_store,
            stranger,
            stranger_sibling,
            suspended_tenant,
            prefix,
            operator,
            revoked_operator,
            readers: Readers::open(db).await?,
            odd_keys,
            people,
            cloud,
        };
        world.has_rows_everywhere().await?;
        Ok(world)
    }

    /// Every store with data.
    #[must_use]
    pub fn places(&self) -> [&Place; 8] {
        [
            &self.victim,
            &self.sibling,
            &self.only_the_victims,
            &self.suspended_store,
            &self.stranger,
            &self.stranger_sibling,
            &self.suspended_tenant,
            &self.prefix,
        ]
    }

    /// The tenants with data whose name is in no other word. That of `la` is in too many; its stores' texts are not.
    pub(super) fn tenants() -> [&'static str; 3] {
        [VICTIM, STRANGER, SUSPENDED]
    }

    /// What a store's key must not be shown; nobody's key, if there is none.
    pub(super) fn canaries_for_store(&self, viewer: Option<&Place>) -> Vec<Canary> {
        let is_viewers = |p: &Place| viewer.is_some_and(|v| v.tenant == p.tenant && v.store == p.store);
        let others = self.places().into_iter().filter(|place| !is_viewers(place));
        let tenants = Self::tenants().into_iter().filter(|t| viewer.is_none_or(|v| v.tenant.as_str() != *t));
        tenants.map(tenant_canary).chain(others.flat_map(Place::canaries)).collect()
    }

    /// What somebody who is signed in must not be shown.
    pub(super) fn canaries_for_person(&self, who: &Somebody) -> Vec<Canary> {
        let sees = |place: &&Place| place.tenant.as_str() == who.tenant && who.sees(place.store.as_str());
        let others = self.places().into_iter().filter(|place| !sees(place));
        let tenants = Self::tenants().into_iter().filter(|tenant| *tenant != who.tenant);
        tenants.map(tenant_canary).chain(others.flat_map(Place::canaries)).collect()
    }

    /// Whether a tenant has a store of this name.
    pub(super) fn has_store(tenant: &str, store: &str) -> bool {
        match tenant {
            VICTIM => ["T01", "T02", "T03", "V77"].contains(&store),
            STRANGER => ["T01", "T02"].contains(&store),
            _ => store == "T01",
        }
    }

    /// What a transaction bound to a tenant must not be shown.
    pub(super) fn canaries_for_tenant(&self, viewer: Option<&str>) -> Vec<Canary> {
        let is_viewers = |tenant: &str| viewer == Some(tenant);
        let others = self.places().into_iter().filter(|place| !is_viewers(place.tenant.as_str()));
        let tenants = Self::tenants().into_iter().filter(|tenant| !is_viewers(tenant));
        tenants.map(tenant_canary).chain(others.flat_map(Place::canaries)).collect()
    }

    /// Stops the cloud.
    ///
    /// # Errors
    /// It had failed.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.cloud.stop().await
    }

    /// A table without rows of somebody could leak all it likes and nobody would see it.
    async fn has_rows_everywhere(&self) -> anyhow::Result<()> {
        let mut admin = Session::open(&self.db.admin).await?;
        let tables = "select c.oid::regclass::text from pg_class c
            join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition";
        for table in admin.run(tables).await?.column() {
            let tenants = admin.run(&format!("select distinct tenant_id from {table}")).await?.column();
            for tenant in Self::tenants().into_iter().chain([PREFIX]) {
                let there = tenants.iter().any(|t| t == tenant);
                anyhow::ensure!(
                    there,
                    "{table} has no row of {tenant}: teach isolation/content.rs to make one"
                );
            }
        }
        admin.close().await
    }
}

/// Grants on the database itself: a clone has the tables of its template with all their grants, but not these.
///
/// # Errors
/// The server refused.
pub async fn complete(db: &TestDb) -> anyhow::Result<()> {
    Ok(schema::bootstrap(&db.admin, &RolePasswords::default()).await?)
}

/// Two operators: one whose key opens, and one whose key was used and then revoked.
async fn operators(db: &TestDb, address: SocketAddr) -> anyhow::Result<[String; 2]> {
    let door = Db::connect(&db.config()).await?;
    let (kept, revoked) = (operator::issue(&door, "ana").await?, operator::issue(&door, "bob").await?);
    let [kept, bearer] = [&kept, &revoked].map(|key| format!("Bearer {}", key.expose()));
    let ask = Request::new("GET", "/v1/tenants").with("authorization", &bearer);
    let used = wire::send(address, &ask).await?;
    anyhow::ensure!(used.status == 200, "an operator's key opens nothing: {}", used.text());
    operator::revoke(&door, revoked.id()).await?;
    door.close().await;
    wait::until("an operator's key to be refused", keys::REVOCATION, async || {
        Ok((wire::send(address, &ask).await?.status == 401).then_some(()))
    })
    .await?;
    Ok([kept, bearer])
}

fn tenant_canary(tenant: &str) -> Canary {
    Canary { of: tenant.to_owned(), text: tenant.to_owned() }
}

/// Onboards a tenant and lets its stores speak. The values of its n-th store begin at `base` + n.
async fn open<const N: usize>(
    db: &TestDb,
    cloud: &Cloud,
    dir: &Path,
    tenant: &str,
    stores: [&str; N],
    base: u32,
) -> anyhow::Result<[Place; N]> {
    let made = store::onboard(db, tenant, &stores, &cloud.url(), None, &dir.join(tenant)).await?;
    let mut places = Vec::with_capacity(N);
    for (store, n) in made.iter().zip(1..) {
        let mut place = Place::new(store, base + n);
        content::send(cloud.address, &mut place).await?;
        places.push(place);
    }
    <[Place; N]>::try_from(places).map_err(|_| anyhow::anyhow!("{tenant} has not got its stores"))
}

//! Tenants cannot see each other, and the suite that says so can fail.
//!
//! The cases are those of `cargo isolation`, which tries all of HTTP with the policies as they are; here it is tried with every policy
//! open, where the service's own predicates have to do, and with few of the forgeries. Roles belong to the whole server, which other tests use at the same time: what
//! needs bad roles makes its own, and what needs bad settings starts a server of its own.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use storepulse_cloud::admission::AdmissionLimits;
use storepulse_cloud::app;
use storepulse_cloud::db::{Db, SettingsWaiver};
use storepulse_testbed::cluster::{Cluster, TestDb};
use storepulse_testbed::isolation::mutate::{self, Mutant};
use storepulse_testbed::isolation::routes::Forged;
use storepulse_testbed::isolation::session::Session;
use storepulse_testbed::isolation::world::{self, World};
use storepulse_testbed::isolation::{case, catalogue, layers, routes, sql, wire};
use storepulse_testbed::run_dir::RunDir;
use storepulse_testbed::wait;
use tokio_util::sync::CancellationToken;

use crate::setting;

/// What nobody noticed.
pub(crate) fn alive(mutants: &[Mutant]) -> Vec<&str> {
    assert!(!mutants.is_empty());
    mutants.iter().filter(|mutant| !mutant.caught).map(|mutant| mutant.name.as_str()).collect()
}

pub(crate) async fn world() -> World {
    World::build(&setting::database().await, &setting::folder().await).await.expect("a world")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_with_the_same_names_never_see_each_others_rows_in_sql() {
    let world = world().await;
    let cases = sql::cases(&world).await.unwrap();
    assert_eq!(case::leaks(&cases), [""; 0]);
    assert!(cases.len() >= 1_000, "only {} cases", cases.len());
    world.stop().await.unwrap();
}

/// Whoever gives a role another permission, or takes one, is noticed.
#[tokio::test(flavor = "multi_thread")]
async fn every_permission_opens_and_closes_routes() {
    let world = world().await;
    let mutants = mutate::of_permissions(&world).await.unwrap();
    assert_eq!(alive(&mutants), [""; 0]);
    assert_eq!(mutants.len(), 20);
    world.stop().await.unwrap();
}

/// The table in the README is the one that is observed: whoever opens a route to somebody says so there.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_call_which_route_is_what_the_readme_says() {
    let world = world().await;
    let observed = routes::roles::table(&world).await.unwrap();
    let readme = include_str!("../../cloud/README.md");
    let (_, rest) = readme.split_once("<!-- roles -->\n").unwrap();
    let (written, _) = rest.split_once("<!-- /roles -->").unwrap();
    assert!(written == observed, "put this between the marks in cloud/README.md:\n{observed}");
    world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_policy_open_the_services_own_predicates_let_nothing_through() {
    let world = world().await;
    let cases = layers::predicates_alone(&world, Forged::Little).await.unwrap();
    assert_eq!(case::leaks(&cases), [""; 0]);
    assert!(cases.len() >= 1_000, "only {} cases", cases.len());
    let mut admin = Session::open(&world.db.admin).await.unwrap();
    let left = catalogue::cases(&mut admin).await.unwrap();
    assert_eq!(case::leaks(&left), [""; 0], "the policies are as they were");
    admin.close().await.unwrap();
    world.stop().await.unwrap();
}

#[tokio::test]
async fn every_query_on_a_table_of_tenants_binds_a_tenant() {
    let db = setting::database().await;
    let mut admin = Session::open(&db.admin).await.unwrap();
    let cases = layers::queries::cases(&mut admin).await.unwrap();
    assert_eq!(case::leaks(&cases), [""; 0]);
    assert!(cases.len() >= 150, "only {} queries", cases.len());
    admin.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_store_of_the_same_tenant_is_404_to_a_store_key() {
    let world = world().await;
    let ask = async |target: &str| {
        let request = wire::Request::new("GET", target).with("authorization", &world.sibling.bearer());
        wire::send(world.address, &request).await.unwrap()
    };
    assert_eq!(ask("/v1/stores/T02/status").await.status, 200, "its own");
    for read in ["status", "metrics", "latest", "events", "losses"] {
        let another = ask(&format!("/v1/stores/T01/{read}")).await;
        let nobodys = ask(&format!("/v1/stores/X99/{read}")).await;
        assert_eq!(another.status, 404);
        assert_eq!(another, nobodys, "what is not yours is answered like what does not exist");
    }
    world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tenant_in_the_transaction_no_row_is_visible() {
    let world = world().await;
    let mut app = Session::open(&world.db.app).await.unwrap();
    for table in ["tenants", "stores", "streams", "sample_batches", "series", "events", "losses", "samples"] {
        let count = format!("select count(*)::text from {table}");
        let counted = app.run(&count).await.unwrap();
        assert_eq!(counted.rows, [[Some("0".to_owned())]], "{table}");
        let bound = format!("begin; select set_config('app.tenant_id', 'la-villa', true); {count}; commit");
        let counted = app.run(&bound).await.unwrap();
        assert_ne!(counted.rows[1], [Some("0".to_owned())], "{table} of a tenant");
        assert_eq!(app.run(&count).await.unwrap().rows, [[Some("0".to_owned())]], "{table} afterwards");
    }
    app.close().await.unwrap();
    world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_is_what_it_is_meant_to_be_and_every_breakage_of_it_is_reported() {
    let db = setting::database().await;
    world::complete(&db).await.unwrap();
    let mut admin = Session::open(&db.admin).await.unwrap();
    let cases = catalogue::cases(&mut admin).await.unwrap();
    assert_eq!(case::leaks(&cases), [""; 0]);
    assert_eq!(alive(&mutate::in_catalogue(&mut admin).await.unwrap()), [""; 0]);
    admin.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hole_in_the_database_is_seen_by_one_of_its_roles() {
    let world = world().await;
    assert_eq!(alive(&mutate::for_roles(&world).await.unwrap()), [""; 0]);
    let mut admin = Session::open(&world.db.admin).await.unwrap();
    let left = catalogue::cases(&mut admin).await.unwrap();
    assert_eq!(case::leaks(&left), [""; 0], "every breakage was taken back");
    admin.close().await.unwrap();
    world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_of_a_cloud_is_noticed_from_outside() {
    let mut world = world().await;
    assert_eq!(alive(&mutate::on_routes(&mut world).await.unwrap()), [""; 0]);
    world.stop().await.unwrap();
}

/// A login that exists for one test, with these words behind `create role`.
async fn role(db: &TestDb, name: &str, how: &str) -> PgConnectOptions {
    let mut admin = Session::open(&db.admin).await.unwrap();
    admin.run(&format!("create role {name} login password 'worthless' {how}")).await.unwrap();
    admin.close().await.unwrap();
    db.app.clone().username(name).password("worthless")
}

/// Why a cloud with this login for tenants' data does not start.
async fn refusal(db: &TestDb, app: PgConnectOptions) -> String {
    let mut config = db.config();
    config.app = app;
    match Db::connect(&config).await {
        Ok(_) => "it starts".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cloud_refuses_to_start_with_a_role_that_can_bypass_row_level_security() {
    let db = setting::database().await;
    let owns = "create table owned (n integer); alter table owned owner to owner_of_one";
    for (name, how, then, why) in [
        ("all_powerful", "superuser", "", "is superuser"),
        ("bypassing", "bypassrls", "", "has BYPASSRLS"),
        ("acting_owner", "in role storepulse_owner", "", "is a member of storepulse_owner"),
        ("owner_of_one", "", owns, "owns tables"),
        ("heir", "in role bypassing", "", "is a member of a role that is superuser or has BYPASSRLS"),
        ("somebody", "", "", "expected storepulse_app"),
    ] {
        let login = role(&db, name, how).await;
        let mut admin = Session::open(&db.admin).await.unwrap();
        admin.run(then).await.unwrap();
        let said = refusal(&db, login).await;
        assert!(said.contains(name) && said.contains(why), "{name}: {said}");
        admin.close().await.unwrap();
    }
    assert!(refusal(&db, db.control.clone()).await.contains("expected storepulse_app"));
    assert_eq!(refusal(&db, db.app.clone()).await, "it starts");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cloud_refuses_to_start_as_a_superuser_who_plays_the_app_role() {
    let db = setting::database().await;
    let playing = db.admin.clone().options([("role", "storepulse_app")]);
    assert_ne!(refusal(&db, playing).await, "it starts", "`reset role` would make it a superuser again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cloud_does_not_serve_when_it_refuses_to_start() {
    let db = setting::database().await;
    let mut database = db.config();
    database.app = db.admin.clone();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = app::Config {
        database,
        tls: None,
        admission: AdmissionLimits::default(),
        resolution: Default::default(),
        people: Default::default(),
        drain_delay: Duration::ZERO,
    };
    let error = app::run(config, listener, CancellationToken::new()).await.unwrap_err().to_string();
    assert!(error.contains("refusing to start") && error.contains("is superuser"), "{error}");
}

/// What is broken, how it is mended, and what the cloud says of it.
const HOLES: [(&str, &str, &str); 8] = [
    (
        "alter table events disable row level security",
        "alter table events enable row level security",
        "events has row-level security off",
    ),
    (
        "alter table events no force row level security",
        "alter table events force row level security",
        "events has row-level security off or not forced",
    ),
    ("create policy more on events using (true)", "drop policy more on events", "policy more for PUBLIC"),
    (
        "grant select on sample_batches_default to storepulse_app",
        "revoke select on sample_batches_default from storepulse_app",
        "sample_batches_default is a partition with grants",
    ),
    (
        "alter table sample_batches_default disable row level security",
        "alter table sample_batches_default enable row level security",
        "sample_batches_default has row-level security off",
    ),
    (
        "alter view samples reset (security_invoker)",
        "alter view samples set (security_invoker = true)",
        "samples is a view without security_invoker",
    ),
    (
        "create materialized view more as select * from events",
        "drop materialized view more",
        "more is a view without security_invoker",
    ),
    (
        "grant truncate on events to public",
        "revoke truncate on events from public",
        "events may be truncated",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_cloud_refuses_to_start_with_a_hole_in_the_schema_and_is_not_ready_when_one_appears() {
    let world = world().await;
    let mut admin = Session::open(&world.db.admin).await.unwrap();
    // The cloud remembers for a second what it found.
    let becomes = async |status: u16| {
        let what = format!("/ready to say {status}");
        wait::until(&what, Duration::from_secs(10), async || {
            let answer = wire::send(world.address, &wire::Request::new("GET", "/ready")).await?;
            Ok((answer.status == status).then_some(()))
        })
        .await
    };
    for (hole, mended, why) in HOLES {
        admin.run(hole).await.unwrap();
        let said = refusal(&world.db, world.db.app.clone()).await;
        assert!(said.contains("refusing to start") && said.contains(why), "{hole}: {said}");
        becomes(503).await.expect(hole);
        admin.run(mended).await.unwrap();
        becomes(200).await.expect(mended);
    }
    admin.close().await.unwrap();
    world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cloud_refuses_to_start_where_a_commit_would_not_be_durable() {
    let run_dir = RunDir::create("settings").unwrap();
    let cluster = Cluster::start(&run_dir, true).await.unwrap();
    let db = cluster.database().await.unwrap();
    assert_eq!(refusal(&db, db.app.clone()).await, "it starts");
    let mut admin = Session::open(&db.admin).await.unwrap();
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        admin.run(&format!("alter system set {setting} = off")).await.unwrap();
        admin.run("select pg_reload_conf()").await.unwrap();
        // The server takes its time to read its files again.
        let told = wait::until("a refusal", Duration::from_secs(10), async || {
            let said = refusal(&db, db.app.clone()).await;
            Ok((said != "it starts").then_some(said))
        });
        assert!(told.await.unwrap().contains(&format!("{setting} is off")));
        let mut waived = db.config();
        waived.waiver = SettingsWaiver::WorthlessData;
        Db::connect(&waived).await.expect("the testbed may waive it").close().await;
        admin.run(&format!("alter system reset {setting}")).await.unwrap();
        admin.run("select pg_reload_conf()").await.unwrap();
        wait::until("the setting", Duration::from_secs(10), async || {
            Ok((refusal(&db, db.app.clone()).await == "it starts").then_some(()))
        })
        .await
        .unwrap();
    }
    admin.close().await.unwrap();
    cluster.stop().await;
}

//! People who read in SQL: how they get their logins, what these may, and that nothing of others can be had with them.

use std::os::unix::fs::PermissionsExt as _;

use sqlx::postgres::PgConnectOptions;
use storepulse_cloud::commands::bi_role::{self, Action};
use storepulse_cloud::db::Db;
use storepulse_testbed::cluster::{Cluster, TestDb};
use storepulse_testbed::isolation::session::Session;
use storepulse_testbed::isolation::{bi, case, catalogue, mutate};
use storepulse_testbed::run_dir::RunDir;

use crate::isolation::{alive, world};
use crate::setting::{database, folder};

async fn run(admin: &PgConnectOptions, action: Action) -> Result<String, String> {
    let mut out = Vec::new();
    match bi_role::run(admin, action, &mut out).await {
        Ok(()) => Ok(String::from_utf8(out).unwrap()),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// Tenants of a test have names of their own, as roles are the server's and other tests use it too.
async fn tenant(db: &TestDb, id: &str) {
    let mut admin = Session::open(&db.admin).await.unwrap();
    let insert = format!("insert into tenants (tenant_id, company) values ('{id}', 'Company of {id}')");
    admin.run(&insert).await.unwrap();
    allow(&mut admin, id).await;
    admin
        .run(&format!("insert into stores (tenant_id, store_id, name) values ('{id}', 'T01', 'First')"))
        .await
        .unwrap();
    admin.close().await.unwrap();
}

async fn allow(admin: &mut Session, id: &str) {
    let allow = format!(
        "insert into tenant_settings (tenant_id, type, name, value) values ('{id}', 'features', 'bi', 'true')"
    );
    admin.run(&allow).await.unwrap();
}

async fn one(session: &mut Session, statement: &str) -> String {
    let reply = session.run(statement).await.unwrap();
    reply.rows[0][0].clone().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_never_see_another_tenants_rows_in_sql() {
    let world = world().await;
    let cases = bi::cases(&world).await.unwrap();
    assert_eq!(case::leaks(&cases), [""; 0]);
    assert!(cases.len() >= 500, "only {} cases", cases.len());
    world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hole_for_readers_is_seen_by_one_of_them() {
    let world = world().await;
    assert_eq!(alive(&mutate::for_readers(&world).await.unwrap()), [""; 0]);
    let mut admin = Session::open(&world.db.admin).await.unwrap();
    let left = catalogue::cases(&mut admin).await.unwrap();
    assert_eq!(case::leaks(&left), [""; 0], "every breakage was taken back");
    admin.close().await.unwrap();
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_reader_is_made_told_once_and_dropped() {
    let db = database().await;
    // As long as a tenant's id may be: its role has 56 bytes.
    let id = format!("chain-{}-of-a-kind", "x".repeat(34));
    tenant(&db, &id).await;
    tenant(&db, "other-chain").await;
    let file = folder().await.join("reader.url");
    let create = Action::Create { tenant: id.parse().unwrap(), out: Some(file.clone()) };

    let said = run(&db.admin, create.clone()).await.unwrap();
    assert!(said.contains(&format!("created sp_bi_{id}")) && !said.contains("postgres://"), "{said}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let url = std::fs::read_to_string(&file).unwrap();
    let login: PgConnectOptions = url.trim().parse().unwrap();
    let mut reader = Session::open(&login).await.unwrap();
    assert_eq!(one(&mut reader, "select string_agg(tenant_id, ',') from stores").await, id);
    assert_eq!(one(&mut reader, "select count(*)::text from samples").await, "0");
    for (setting, value) in [
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "1min"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("work_mem", "16MB"),
        ("temp_file_limit", "1GB"),
        ("max_parallel_workers_per_gather", "0"),
    ] {
        assert_eq!(one(&mut reader, &format!("show {setting}")).await, value, "{setting}");
    }

    let listed = run(&db.admin, Action::List).await.unwrap();
    assert!(listed.contains(&format!("sp_bi_{id}  may log in  1 of 4 sessions")), "{listed}");
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(Session::open(&login).await.unwrap());
    }
    let fifth = Session::open(&login).await.unwrap_err().to_string();
    assert!(fifth.contains("too many connections for role"), "{fifth}");

    // Neither the file nor the role is made anew.
    let again = run(&db.admin, create).await.unwrap_err();
    assert!(again.contains("reader.url"), "{again}");
    let printed = Action::Create { tenant: id.parse().unwrap(), out: None };
    let again = run(&db.admin, printed).await.unwrap_err();
    assert!(again.contains("exists") && again.contains("bi-role drop"), "{again}");

    let drop = Action::Drop { tenant: id.parse().unwrap() };
    assert_eq!(run(&db.admin, drop.clone()).await.unwrap(), format!("dropped sp_bi_{id}\n"));
    assert!(reader.run("select 1").await.is_err(), "its sessions are gone");
    assert!(Session::open(&login).await.is_err());
    let missing = run(&db.admin, drop).await.unwrap_err();
    assert!(missing.contains("does not exist") && missing.contains("bi-role list"), "{missing}");
}

#[tokio::test]
async fn a_reader_of_nobody_is_refused_and_leaves_no_file() {
    let db = database().await;
    let file = folder().await.join("reader.url");
    let create = Action::Create { tenant: "nobody-at-all".parse().unwrap(), out: Some(file.clone()) };
    let refused = run(&db.admin, create).await.unwrap_err();
    assert_eq!(refused, "tenant nobody-at-all does not exist");
    assert!(!file.exists());
    // Neither login of the service may make roles.
    for login in [&db.app, &db.control] {
        let create = Action::Create { tenant: "nobody-at-all".parse().unwrap(), out: None };
        let refused = run(login, create).await.unwrap_err();
        assert!(refused.contains("permission denied"), "{refused}");
    }
}

#[tokio::test]
async fn a_login_that_may_create_roles_and_nothing_else_makes_readers() {
    let db = database().await;
    tenant(&db, "managed-chain").await;
    let mut admin = Session::open(&db.admin).await.unwrap();
    admin.run("create role bi_maker login createrole password 'worthless'").await.unwrap();
    let maker = db.app.clone().username("bi_maker").password("worthless");
    let create = Action::Create { tenant: "managed-chain".parse().unwrap(), out: None };
    let url = run(&maker, create).await.unwrap();
    let mut reader = Session::open(&url.trim().parse().unwrap()).await.unwrap();
    assert_eq!(one(&mut reader, "select string_agg(tenant_id, ',') from stores").await, "managed-chain");
    let drop = Action::Drop { tenant: "managed-chain".parse().unwrap() };
    let refused = run(&maker, drop.clone()).await.unwrap_err();
    assert!(refused.contains("open sessions"), "{refused}");
    reader.close().await.unwrap();
    let gone = async || {
        let left = "select count(*)::text from pg_stat_activity where usename = 'sp_bi_managed-chain'";
        Ok((one(&mut admin, left).await == "0").then_some(()))
    };
    storepulse_testbed::wait::until("the session to end", std::time::Duration::from_secs(10), gone)
        .await
        .unwrap();
    assert_eq!(run(&maker, drop).await.unwrap(), "dropped sp_bi_managed-chain\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cloud_refuses_to_start_when_others_than_tenants_readers_are_in_the_group() {
    // Roles are the server's, so this needs one of its own.
    let run_dir = RunDir::create("readers").unwrap();
    let cluster = Cluster::start(&run_dir, false).await.unwrap();
    let db = cluster.database().await.unwrap();
    let mut admin = Session::open(&db.admin).await.unwrap();
    for (made, dropped, says) in [
        ("create role analyst in role storepulse_bi", "drop role analyst", "named for no tenant"),
        (
            r#"create role "sp_bi_la-villa" bypassrls in role storepulse_bi"#,
            r#"drop role "sp_bi_la-villa""#,
            "not bound by row-level security",
        ),
        (
            r#"create role "sp_bi_la-villa" in role storepulse_bi"#,
            r#"drop role "sp_bi_la-villa""#,
            "it starts",
        ),
    ] {
        admin.run(made).await.unwrap();
        let said = match Db::connect(&db.config()).await {
            Ok(_) => "it starts".to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(said.contains(says), "{made}: {said}");
        admin.run(dropped).await.unwrap();
    }
    admin.close().await.unwrap();
    cluster.stop().await;
}

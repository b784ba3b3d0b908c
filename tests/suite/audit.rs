//! Who did what: every change has its entry, nobody who serves can change one, and whoever does is found out.

use reqwest::Method;
use serde_json::json;
use storepulse_cloud::commands::audit::{self, Action};
use storepulse_cloud::db::Db;
use storepulse_testbed::by_hand::ByHand;
use storepulse_testbed::isolation::session::Session;

use crate::setting::{Setting, operator};

async fn run(door: &Db, action: Action) -> (bool, String) {
    let mut out = Vec::new();
    let outcome = audit::run(door, action, &mut out).await;
    let said = outcome.as_ref().err().map(|e| format!("{e:#}")).unwrap_or_default();
    (outcome.is_ok(), String::from_utf8(out).unwrap() + &said)
}

/// A tenant with a history.
async fn setting_with_history() -> (Setting, ByHand, Db) {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    for (method, path, body) in [
        (Method::PATCH, "/v1/tenants/la-villa", json!({ "plan": "premium" })),
        (Method::POST, "/v1/tenants/la-villa/stores", json!({ "store_id": "N01", "name": "Ñandú \"x\"" })),
        (Method::POST, "/v1/tenants/la-villa/stores/N01/keys", json!({})),
        (Method::PUT, "/v1/tenants/la-villa/status", json!({ "status": "suspended" })),
        (Method::PUT, "/v1/tenants/la-villa/status", json!({ "status": "active" })),
    ] {
        let answer = ByHand::answer(ana.request(method, path).json(&body)).await.unwrap();
        assert!(answer.status < 300, "{path}: {answer:?}");
    }
    let door = Db::connect(&setting.db.config()).await.unwrap();
    (setting, ana, door)
}

#[tokio::test]
async fn every_change_has_its_entry_and_a_refused_one_has_none() {
    let (_setting, ana, _door) = setting_with_history().await;
    let actions = async || {
        let read = ana.get("/v1/tenants/la-villa/audit?limit=1000").await.unwrap();
        let entries = read.json["entries"].as_array().unwrap().clone();
        assert!(entries.iter().zip(1..).all(|(entry, no)| entry["no"] == no), "numbered without gaps");
        let actions = entries.iter().map(|entry| entry["action"].as_str().unwrap().to_owned());
        (actions.collect::<Vec<_>>(), read.json.to_string())
    };
    let (before, text) = actions().await;
    let own = ["tenant.updated", "store.created", "key.issued", "tenant.suspended", "tenant.activated"];
    assert_eq!(before[before.len() - own.len()..], own);
    assert!(
        !text.contains("store_la-villa_") && !text.contains("Ñandú"),
        "ids, no secrets and no names: {text}"
    );
    assert!(text.contains("operator:ana/"), "{text}");
    let illegal = json!({ "status": "inactive" });
    let refused = ana.request(Method::PUT, "/v1/tenants/la-villa/status").json(&illegal);
    assert_eq!(ByHand::answer(refused).await.unwrap().status, 409);
    assert_eq!(actions().await.0, before);
    let operators = ana.get("/v1/audit").await.unwrap();
    assert_eq!(operators.json["entries"][0]["action"], "operator.key_issued");
}

#[tokio::test]
async fn the_chain_is_proved_and_exported_and_every_tampering_is_found() {
    let (setting, _ana, door) = setting_with_history().await;
    let tenant = || Some("la-villa".parse().unwrap());
    let (holds, said) = run(&door, Action::Verify { tenant: None }).await;
    assert!(holds && said.contains("tenant:la-villa") && said.contains("operators"), "{said}");
    let (_, exported) = run(&door, Action::Export { tenant: tenant() }).await;
    assert!(exported.lines().count() >= 5 && exported.contains("tenant.suspended"), "{exported}");
    let (known, said) = run(&door, Action::Verify { tenant: Some("nobody".parse().unwrap()) }).await;
    assert!(!known && said.contains("does not exist"), "{said}");

    let mut admin = Session::open(&setting.db.admin).await.unwrap();
    for (tampering, fault) in [
        ("update audit_entries set detail = '{\"plan\": 1}' where no = 1", "entry 1"),
        ("update audit_entries set actor = 'operator:bob/00000000' where no = 2", "entry 2"),
        ("update audit_entries set at = at + interval '1 microsecond' where no = 2", "entry 2"),
        ("update audit_entries set action = 'store.created ' where no = 1", "entry 1"),
        ("delete from audit_entries where no = 2", "entry 2 is missing"),
        (
            "update audit_entries set subject = 'x', hash = audit_hash(previous, no, at, actor, action, 'x', detail) where no = 2",
            "entry 3 does not follow",
        ),
    ] {
        admin.run("create table kept as select * from audit_entries").await.unwrap();
        admin.run(tampering).await.unwrap();
        let (holds, said) = run(&door, Action::Verify { tenant: tenant() }).await;
        assert!(!holds && said.contains(fault), "{tampering}: {said}");
        admin
            .run(
                "alter table audit_entries disable trigger chain; delete from audit_entries;
                insert into audit_entries select * from kept; drop table kept;
                alter table audit_entries enable trigger chain",
            )
            .await
            .unwrap();
        let (holds, said) = run(&door, Action::Verify { tenant: tenant() }).await;
        assert!(holds, "as it was: {said}");
    }
    admin.close().await.unwrap();
}

#[tokio::test]
async fn neither_role_of_the_service_can_change_or_delete_an_entry_or_write_its_own_hash() {
    let (setting, _ana, door) = setting_with_history().await;
    for login in [&setting.db.app, &setting.db.control] {
        let mut session = Session::open(login).await.unwrap();
        for statement in [
            "update audit_entries set actor = 'x'",
            "delete from audit_entries",
            "truncate audit_entries",
            "update operator_audit_entries set actor = 'x'",
            "delete from operator_audit_entries",
            "alter table audit_entries disable trigger chain",
        ] {
            let refused = session.run(statement).await.unwrap_err().to_string();
            assert!(refused.contains("42501"), "{statement}: {refused}");
        }
        session.close().await.unwrap();
    }
    // Whatever number, time and hashes a writer gives, the database makes its own.
    let mut control = Session::open(&setting.db.control).await.unwrap();
    let forged = "insert into audit_entries (tenant_id, no, at, actor, action, subject, previous, hash)
        values ('la-villa', 1, '2001-01-01', 'command-line:mallory', 'tenant.updated', 'tenant:la-villa', '', '')";
    control.run(forged).await.unwrap();
    control.close().await.unwrap();
    let (holds, said) = run(&door, Action::Verify { tenant: Some("la-villa".parse().unwrap()) }).await;
    assert!(holds, "{said}");
}

//! Which tenant a request says it is for: it must be the credential's, and grants nothing.

use std::time::Duration;

use storepulse_cloud::resolution::ResolutionConfig;
use storepulse_testbed::by_hand::{Answer, ByHand};
use storepulse_testbed::cloud::Cloud;
use storepulse_testbed::cluster::TestDb;
use storepulse_testbed::store::{self, Store};
use storepulse_testbed::upkeep::as_admin;
use storepulse_testbed::wait;

use crate::limits::refusals;
use crate::setting::{Setting, TENANT, database, folder};

const LIMIT: Duration = Duration::from_secs(5);

async fn start(development: bool) -> (TestDb, Cloud, Store) {
    let db = database().await;
    let resolution = ResolutionConfig { base_domain: Some("pulse.example".to_owned()), development };
    let cloud = Cloud::start_resolving(resolution, &db).await.unwrap();
    let out = folder().await;
    store::onboard(&db, "el-prado", &["P01"], &cloud.url(), None, &folder().await).await.unwrap();
    let stores = store::onboard(&db, TENANT, &["T01"], &cloud.url(), None, &out).await;
    (db, cloud, stores.unwrap().remove(0))
}

async fn ask(cloud: &Cloud, store: &Store, path: &str, headers: &[(&str, &str)]) -> Answer {
    let agent = ByHand::new(&cloud.url(), None, Some(store.bearer())).unwrap();
    let request = agent.request(reqwest::Method::GET, path);
    ByHand::answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_sub_domain_of_another_tenant_is_refused_whether_it_exists_or_not() {
    let (db, cloud, store) = start(false).await;
    for host in [
        "la-villa.pulse.example",
        "LA-Villa.Pulse.Example:443",
        "www.pulse.example",
        "api.pulse.example",
        "x.test",
    ] {
        assert_eq!(ask(&cloud, &store, "/v1/stores", &[("host", host)]).await.status, 200, "{host}");
    }
    let existing = ask(&cloud, &store, "/v1/stores", &[("host", "el-prado.pulse.example")]).await;
    assert_eq!((existing.status, existing.code()), (403, "tenant_mismatch"));
    let nobodys = ask(&cloud, &store, "/v1/stores", &[("host", "nobody.pulse.example")]).await;
    assert_eq!((nobodys.status, &nobodys.json), (403, &existing.json));
    let header = ask(&cloud, &store, "/v1/stores", &[("x-tenant-id", "el-prado")]).await;
    assert_eq!((header.status, header.code()), (403, "tenant_mismatch"));
    let both = [("host", "la-villa.pulse.example"), ("x-tenant-id", "el-prado")];
    assert_eq!(ask(&cloud, &store, "/v1/stores", &both).await.status, 403, "one of two claims is wrong");
    let setting = Setting { db, cloud, stores: vec![store] };
    assert_eq!(refusals(&setting, "tenant_mismatch").await, 4.0);
}

#[tokio::test]
async fn a_host_grants_nothing() {
    let (_db, cloud, _) = start(true).await;
    let nobody = ByHand::new(&cloud.url(), None, None).unwrap();
    let plain = nobody.get("/v1/stores").await.unwrap();
    for (path, header) in [
        ("/v1/stores", ("host", "la-villa.pulse.example")),
        ("/v1/stores", ("x-tenant-id", TENANT)),
        ("/v1/stores?tenant=la-villa", ("accept", "*/*")),
    ] {
        let request = nobody.request(reqwest::Method::GET, path).header(header.0, header.1);
        let answer = ByHand::answer(request).await.unwrap();
        assert_eq!((answer.status, &answer.json), (401, &plain.json), "{path} {header:?}");
    }
}

#[tokio::test]
async fn a_tenants_own_domain_is_known_soon_after_it_was_set() {
    let (db, cloud, store) = start(false).await;
    let host = [("host", "metrics.prado.test")];
    assert_eq!(ask(&cloud, &store, "/v1/stores", &host).await.status, 200, "nobody's");
    for (tenant, status) in [("el-prado", 403), (TENANT, 200)] {
        let set = format!(
            "update tenants set custom_domain = case when tenant_id = '{tenant}' then 'metrics.prado.test' end returning tenant_id"
        );
        as_admin(&db, &set).await.unwrap();
        wait::until("the domain to be known", LIMIT, async || {
            Ok((ask(&cloud, &store, "/v1/stores", &host).await.status == status).then_some(()))
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn the_query_names_a_tenant_in_development_only() {
    for (development, of_own, of_other) in [(true, 200, 403), (false, 400, 400)] {
        let (_db, cloud, store) = start(development).await;
        let own = ask(&cloud, &store, "/v1/stores/T01/delivery?limit=5&tenant=la-villa", &[]).await;
        let other = ask(&cloud, &store, "/v1/stores/T01/delivery?limit=5&tenant=el-prado", &[]).await;
        assert_eq!((own.status, other.status), (of_own, of_other), "development: {development}");
    }
}

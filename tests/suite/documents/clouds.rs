//! `cloud/README.md`: the service on one machine, on a PostgreSQL of one's own, and what operators do with it.

use storepulse_cloud::embedded::{DATABASE, Embedded, Options};
use storepulse_testbed::cluster::TestDb;
use storepulse_testbed::store::free_address;
use storepulse_testbed::upkeep::as_admin;

use super::run;
use super::session::Stage;
use crate::setting::folder;

pub(super) const README: &str = "cloud/README.md";

/// The hosts, folders and ports that all documents of the cloud speak of.
pub(super) async fn stage() -> Stage {
    let mut stage = Stage::new().await;
    let listen = stage.listen.clone();
    let (_, port) = listen.rsplit_once(':').unwrap();
    let srv = folder().await.join("srv/storepulse").display().to_string();
    stage.play("/srv/storepulse", srv);
    stage.play("cloud.lan:8443", format!("localhost:{port}")).play("cloud.lan", "localhost");
    stage.play("0.0.0.0:8443", listen);
    stage
}

/// A PostgreSQL of one's own, with an empty database for the service, and the database of an older system.
async fn own_postgresql() -> Embedded {
    let server = Embedded::start(Options::durable(folder().await.join("own"))).await.unwrap();
    server.create_database(DATABASE).await.unwrap();
    server.create_database("shop").await.unwrap();
    let shop = TestDb::durable(&server, "shop");
    for sql in [
        "create table metrics (store_id text, device_id text, metric text, value float8, \"timestamp\" timestamptz)",
        "insert into metrics select 'T0' || n % 3, 'pos', 'retail.pos.up', n, now() - n * interval '1 minute'
            from generate_series(1, 300) n",
    ] {
        as_admin(&shop, sql).await.unwrap();
    }
    server
}

/// An agent that cannot reach its cloud takes a push and is stopped; what it holds is carried here.
fn carried() -> String {
    let (push, local) = (free_address().unwrap(), free_address().unwrap());
    format!(
        "sed -e 's/0.0.0.0:9751/{push}/' -e 's|url: .*|url: https://localhost:1|' package/T01/agent.yaml >package/T01/away.yaml
        echo 'local: {{ listen: \"{local}\" }}' >>package/T01/away.yaml
        command storepulse-agent run --config package/T01/away.yaml >\"$STAGE/away.log\" 2>&1 &
        curl --retry 60 --retry-delay 1 --retry-connrefused -H \"Authorization: Bearer $(cat package/T01/push.token)\" \
            http://{push}/v1/metrics/batch -d '{{\"metrics\":[{{\"device_id\":\"POS01\",\"metric\":\"retail.pos.up\",\"value\":1}}]}}'
        ended $!
        storepulse-agent spool export --config package/T01/away.yaml --out storepulse-la-villa-T01-20261121T103000Z.export"
    )
}

#[tokio::test]
async fn every_command_of_the_clouds_readme_works() {
    let mut stage = stage().await;
    let own = own_postgresql().await;
    let of =
        |user: &str, password: &str| Embedded::url(&own.admin(DATABASE).username(user).password(password));
    stage.play("postgres://owner@db/storepulse", Embedded::url(&own.admin(DATABASE)));
    stage.play("postgres://storepulse_app:…@db/storepulse", of("storepulse_app", "of-the-app"));
    stage.play("postgres://storepulse_control:…@db/storepulse", of("storepulse_control", "of-control"));
    stage.play("postgres://reader@old/shop", Embedded::url(&own.admin("shop")));
    // Yesterday, whatever day the document was written on.
    let yesterday = time::OffsetDateTime::now_utc() - time::Duration::days(1);
    stage.play("2026-11-21T", format!("{}T", yesterday.date()));
    stage.play("--key-id k3yId008", "--key-id $key_id");
    stage.play("smtps://user:password@mail.example.com", format!("smtp://{}", free_address().unwrap()));
    for (file, password) in [("app.pw", "of-the-app"), ("control.pw", "of-control")] {
        std::fs::write(stage.here.join(file), password).unwrap();
    }
    stage.before = vec![
        (
            "migrate --bootstrap",
            "cp /srv/storepulse/tls/server.pem cert.pem; cp /srv/storepulse/tls/server.key key.pem"
                .to_owned(),
        ),
        ("november.csv", "cp package/T01/store.key package/T01/ca.pem .".to_owned()),
        ("k3yId008", "key_id=$(grep -o '.\\{46\\}$' package/T02/store.key | cut -c 1-8)".to_owned()),
        ("storepulse-cloud import", carried()),
        // Not for the commands that follow: they say themselves how the database is reached.
        (
            "set_config",
            "STOREPULSE_DATABASE_URL=$(sed -n 's/^STOREPULSE_DATABASE_URL=//p' /srv/storepulse/db/access)"
                .to_owned(),
        ),
        (
            "bi-role --database-url",
            "urls='--database-url postgres://storepulse_app:…@db/storepulse --control-url postgres://storepulse_control:…@db/storepulse'
            storepulse-cloud tenant $urls restore la-villa.archive
            storepulse-cloud setting $urls set --tenant la-villa features.bi true"
                .to_owned(),
        ),
    ];
    run(README, &stage).await;
    own.stop().await;
}

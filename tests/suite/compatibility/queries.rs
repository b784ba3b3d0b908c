//! While instances are upgraded one after the other, the service of the version before runs on the new schema.

use storepulse_testbed::cloud::Cloud;
use storepulse_testbed::compat::queries;
use storepulse_testbed::upkeep::as_admin;

use crate::setting::database;

#[tokio::test]
async fn every_query_of_the_version_before_means_the_same_on_this_schema() {
    let (db, previous) = (database().await, queries::previous().unwrap());
    assert!(previous.len() > 100, "{}", previous.len());
    let texts: Vec<String> = previous.iter().map(|query| query.query.clone()).collect();
    let now = queries::understood(&db.admin, &texts).await.unwrap();
    let mut wrong = Vec::new();
    for (before, now) in previous.iter().zip(now) {
        match now {
            Ok(now) if now == *before => {}
            Ok(now) => wrong.push(format!("{}\n  was {before:?}\n  is {now:?}", before.query)),
            Err(why) => wrong.push(format!("{}\n  {why}", before.query)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The test can fail: a column that goes is missed.
    as_admin(&db, "alter table streams drop column host_id cascade").await.unwrap();
    let without = queries::understood(&db.admin, &texts).await.unwrap();
    assert!(without.iter().any(Result::is_err));
}

/// As the version before finds it once the new one has migrated: it serves, and its own `migrate` has nothing to say.
#[tokio::test]
async fn a_service_starts_and_migrates_on_a_schema_that_is_ahead_of_it() {
    let db = database().await;
    as_admin(&db, "alter table stores add column made_by_the_next_version text").await.unwrap();
    let ahead = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
        values (9999, 'of the next version', true, '\\x00', 0)";
    as_admin(&db, ahead).await.unwrap();
    storepulse_cloud::schema::migrate(&db.admin).await.unwrap();
    Cloud::start(&db, None).await.unwrap().stop().await.unwrap();
}

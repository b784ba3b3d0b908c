//! `deploy/runbook.md`: against a cloud with one machine's worth of PostgreSQL, which the first test of it has started.

use super::clouds::stage;
use super::run;

pub(super) const RUNBOOK: &str = "deploy/runbook.md";

#[tokio::test]
async fn every_command_of_the_runbook_works_and_shows_what_it_says() {
    let mut stage = stage().await;
    let serve = "storepulse-cloud serve --embedded /srv/storepulse/db --tls-self-signed /srv/storepulse/tls \
                 --tls-name cloud.lan --listen 0.0.0.0:8443";
    stage.before = vec![("export $(cat", serve.to_owned())];
    run(RUNBOOK, &stage).await;
}

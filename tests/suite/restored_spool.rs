//! A spool that is copied back from an hour ago.

use std::path::Path;
use std::time::Duration;

use storepulse_testbed::by_hand::ByHand;
use storepulse_testbed::oracle::Verdict;
use storepulse_testbed::proxy::Fault;
use storepulse_testbed::scene::{Scene, Shop};

use crate::setting::{database, folder, testbed};

const PACE: Duration = Duration::from_millis(25);
const LIMIT: Duration = Duration::from_secs(60);

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        // What a killed agent leaves behind is no file, and in no copy.
        if !entry.file_type().unwrap().is_file() {
            continue;
        }
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn nothing_is_stored_twice_nothing_is_lost_and_the_fork_is_reported() {
    let dir = folder().await;
    let mut scene = Scene::set(testbed(), database().await, &dir, 1).await.unwrap();
    let mut shop = Shop::open(testbed(), &scene.stores[0], &scene.link, PACE).await.unwrap();
    shop.until_more_is_sent(40).await.unwrap();

    // The copy holds delivered batches, batches that wait, and an open one.
    scene.link.set(Fault::Cut);
    shop.until_more_is_sent(40).await.unwrap();
    shop.kill().unwrap();
    let spool = shop.agent.spool_dir();
    copy_folder(&spool, &dir.join("copy"));

    // Life goes on: what the copy holds is delivered, and an hour's worth of other things.
    shop.agent.restart().await.unwrap();
    scene.link.set(Fault::None);
    shop.until_more_is_sent(80).await.unwrap();
    shop.agent.until_drained_once(LIMIT).await.unwrap();
    // In order: what is accepted up to here is delivered, so that nothing is in the spool alone when it is replaced.
    shop.agent.stop().await.unwrap();

    // The copy is put back.
    std::fs::remove_dir_all(&spool).unwrap();
    copy_folder(&dir.join("copy"), &spool);
    shop.agent.restart().await.unwrap();
    shop.until_more_is_sent(40).await.unwrap();

    let status = {
        let store = &scene.stores[0];
        let agent = ByHand::new(&scene.cloud.url(), Some(&scene.cloud.ca()), Some(store.bearer())).unwrap();
        let closing = shop.close(&scene.db, LIMIT).await.unwrap();
        assert_eq!(closing.verdict, Verdict::default(), "{closing:?}\n{}", closing.agent.said());
        assert_eq!(closing.totals.missing, 0, "{closing:?}");
        agent.get("/v1/stores/T01/status").await.unwrap().json
    };
    assert_eq!(status["forked"], true, "{status}");
    let kinds: Vec<_> = status["events"].as_array().unwrap().iter().map(|e| e["kind"].clone()).collect();
    assert!(kinds.contains(&"agent.spool_forked".into()), "{status}");
    scene.cloud.stop().await.unwrap();
}

//! From the device to the database, through everything that goes wrong in between. The verdict is the devices'.

use std::time::Duration;

use storepulse_shared::key::StoreKey;
use storepulse_testbed::oracle::Verdict;
use storepulse_testbed::proxy::Fault;
use storepulse_testbed::scene::{Closing, Scene, Shop};
use storepulse_testbed::store::waiting;
use storepulse_testbed::wait;

use crate::setting::{database, folder, testbed};

const PACE: Duration = Duration::from_millis(25);
const LIMIT: Duration = Duration::from_secs(60);

async fn scene() -> (Scene, Shop) {
    let scene = Scene::set(testbed(), database().await, &folder().await, 1).await.unwrap();
    let shop = Shop::open(testbed(), &scene.stores[0], &scene.link, PACE).await.unwrap();
    shop.until_more_is_sent(20).await.unwrap();
    (scene, shop)
}

/// Lets it run a little more, closes, and expects everything to have arrived once.
async fn all_arrives_once(mut scene: Scene, shop: Shop) -> Closing {
    shop.until_more_is_sent(20).await.unwrap();
    let closing = shop.close(&scene.db, LIMIT).await.unwrap();
    assert_eq!(closing.verdict, Verdict::default(), "{closing:?}\n{}", closing.agent.said());
    assert_eq!(closing.totals.missing, 0, "{closing:?}");
    assert!(closing.sent >= 40 && closing.totals.samples >= 40, "{closing:?}");
    scene.link.stop().await;
    scene.cloud.stop().await.unwrap();
    closing
}

async fn until_state(shop: &Shop, state: &str) -> serde_json::Value {
    let seen = wait::until(state, LIMIT, async || {
        let status = shop.agent.read_status().await?;
        Ok((status["uplink"]["state"] == state).then_some(status))
    });
    seen.await.unwrap_or_else(|e| panic!("{e:#}\n{}", shop.agent.said()))
}

#[tokio::test]
async fn a_link_that_is_cut_loses_nothing() {
    let (scene, shop) = scene().await;
    scene.link.set(Fault::Cut);
    until_state(&shop, "failing").await;
    shop.until_more_is_sent(60).await.unwrap();
    assert!(waiting(&shop.agent.read_status().await.unwrap()) > 0);
    scene.link.set(Fault::None);
    all_arrives_once(scene, shop).await;
}

#[tokio::test]
async fn a_slow_link_loses_nothing() {
    let (scene, shop) = scene().await;
    scene.link.set(Fault::Delay(Duration::from_millis(150)));
    shop.until_more_is_sent(60).await.unwrap();
    scene.link.set(Fault::None);
    all_arrives_once(scene, shop).await;
}

#[tokio::test]
async fn a_batch_whose_answer_was_swallowed_is_sent_again_and_stored_once() {
    let (scene, shop) = scene().await;
    scene.link.set(Fault::SwallowAnswers);
    let swallowed = wait::until("three swallowed answers", LIMIT, async || {
        Ok((scene.link.swallowed() >= 3).then_some(()))
    });
    swallowed.await.unwrap();
    scene.link.set(Fault::None);
    all_arrives_once(scene, shop).await;
}

#[tokio::test]
async fn an_agent_that_is_killed_and_restarted_loses_nothing_that_it_had_accepted() {
    let (scene, mut shop) = scene().await;
    scene.link.set(Fault::Cut);
    for _ in 0..3 {
        shop.until_more_is_sent(25).await.unwrap();
        shop.kill_and_restart().await.unwrap();
    }
    scene.link.set(Fault::None);
    shop.until_more_is_sent(25).await.unwrap();
    shop.kill_and_restart().await.unwrap();
    all_arrives_once(scene, shop).await;
}

#[tokio::test]
async fn a_cloud_that_is_killed_and_restarted_loses_nothing_that_it_had_acknowledged() {
    let (mut scene, shop) = scene().await;
    for _ in 0..3 {
        scene.cloud.kill().unwrap();
        shop.until_more_is_sent(20).await.unwrap();
        scene.cloud.restart().await.unwrap();
        shop.until_more_is_sent(20).await.unwrap();
    }
    all_arrives_once(scene, shop).await;
}

#[tokio::test]
async fn a_wrong_key_holds_everything_until_it_is_corrected() {
    let (scene, shop) = scene().await;
    let key_file = shop.agent.store.dir.join("store.key");
    let right = std::fs::read_to_string(&key_file).unwrap();
    let wrong = StoreKey::issue(&shop.agent.store.tenant, &shop.agent.store.id);
    std::fs::write(&key_file, wrong.expose()).unwrap();
    let status = until_state(&shop, "held").await;
    assert!(status["uplink"]["reason"].as_str().unwrap().starts_with("401"), "{status}");
    shop.until_more_is_sent(40).await.unwrap();

    // A mistyped key is recognised on the box, and never sent.
    std::fs::write(&key_file, right.replace("_T01_", "_T02_")).unwrap();
    let mistyped = wait::until("the box to recognise the mistake", LIMIT, async || {
        let status = shop.agent.read_status().await?;
        let reason = status["uplink"]["reason"].as_str().unwrap_or_default().to_owned();
        Ok(reason.contains("mistyped").then_some(()))
    });
    mistyped.await.unwrap();
    shop.until_more_is_sent(20).await.unwrap();

    std::fs::write(&key_file, right).unwrap();
    until_state(&shop, "connected").await;
    let closing = all_arrives_once(scene, shop).await;
    assert!(!closing.agent.said().contains(wrong.expose()), "no log shows a key");
}

#[tokio::test]
async fn a_device_that_is_unplugged_and_plugged_in_again_is_read_again() {
    let (scene, shop) = scene().await;
    shop.unplug();
    let gone = wait::until("the port to be missed", LIMIT, async || {
        let status = shop.agent.read_status().await?;
        Ok((status["devices"]["pos-01"]["state"] == "unreachable").then_some(()))
    });
    gone.await.unwrap();
    shop.plug();
    let back = wait::until("the port to be read again", LIMIT, async || {
        let status = shop.agent.read_status().await?;
        Ok((status["devices"]["pos-01"]["state"] == "ok").then_some(()))
    });
    back.await.unwrap();
    all_arrives_once(scene, shop).await;
}

mod portal {
    use axum::Router;
    use axum::response::Html;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    /// Something on the way that answers everything 200 with a page of its own.
    pub(crate) async fn start(page: &'static str) -> (std::net::SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(move || async move { Html(page) });
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        (address, task)
    }
}

#[tokio::test]
async fn a_page_that_answers_200_is_not_taken_for_an_ack() {
    use crate::setting::Setting;
    use storepulse_testbed::devices::{PUSHED_COUNTER, Pusher};
    use storepulse_testbed::oracle;
    use storepulse_testbed::store::{Agent, AgentSetup};

    for page in ["<html>Welcome to the shop's wifi</html>", r#"{"status":"success","processed":3}"#] {
        let setting = Setting::new().await;
        let (address, portal) = portal::start(page).await;
        let setup =
            AgentSetup { cloud_url: Some(format!("http://{address}")), push: true, ..AgentSetup::default() };
        let mut agent = Agent::start(testbed(), &setting.stores[0], &setup).await.unwrap();
        let pusher = Pusher::start(&folder().await, "pos-02", agent.push, PACE).unwrap();
        let failing = wait::until("the page to be recognised", LIMIT, async || {
            let status = agent.read_status().await?;
            let reason = status["uplink"]["reason"].as_str().unwrap_or_default().to_owned();
            Ok((reason.contains("page of its own") && pusher.log.count() >= 30).then_some(status))
        });
        let status = failing.await.unwrap();
        assert_eq!(
            (&status["uplink"]["acked_batches"], &status["spool"]["acked_batches"]),
            (&0.into(), &0.into())
        );
        agent.stop().await.unwrap();
        drop(portal);
        agent.configure(&AgentSetup { cloud_url: Some(setting.cloud.url()), ..setup }).unwrap();
        agent.restart().await.unwrap();
        let pushed = pusher.stop().await.unwrap();
        agent.until_drained(LIMIT).await.unwrap();
        let stored = oracle::stored(&setting.db, "la-villa", "T01", PUSHED_COUNTER).await.unwrap();
        let verdict = oracle::judge(&pushed, &stored["pos-02"], &oracle::Excuses::default());
        assert_eq!(verdict, Verdict::default());
        agent.stop().await.unwrap();
    }
}

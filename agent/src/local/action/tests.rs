//! The actions, over real sockets: nothing without the PIN, nothing without the form, and all of it with both.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::JobState;
use crate::local::guard::PAGE_LIMITS;
use crate::local::scene::{LONG, PIN, Response, Scene, posted};

const ACTIONS: [&str; 6] =
    ["/device/box/test", "/identify", "/support-bundle", "/maintenance", "/maintenance/end", "/sign-out"];

async fn act(scene: &Scene, path: &str, cookie: &str, form: &str) -> Response {
    scene.post(path, &format!("Cookie: {cookie}\r\nOrigin: http://localhost\r\n"), form).await
}

async fn outcome(scene: &Scene, location: &str) -> JobState {
    let id = location.strip_prefix("/job/").unwrap_or_else(|| panic!("{location}")).parse().unwrap();
    let deadline = Instant::now() + LONG;
    loop {
        match scene.jobs.get(id).unwrap().state {
            JobState::Running { .. } => assert!(Instant::now() < deadline, "the job does not end"),
            state => return state,
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn nothing_is_done_without_a_session_and_the_way_back_is_kept() {
    let scene = Scene::start_with_pin().await;
    for path in ACTIONS {
        for cookie in
            ["", "storepulse_session=", "storepulse_session=0123456789abcdef", "storepulse_session=é"]
        {
            let answer = act(&scene, path, cookie, "csrf=x&minutes=60").await;
            assert_eq!(
                (answer.status, answer.header("location")),
                (303, "/sign-in?then=%2F"),
                "{path} {cookie}"
            );
        }
    }
    let from_page = "Referer: http://localhost/device/box?lang=es\r\n";
    let answer = scene.post("/device/box/test", from_page, "csrf=x").await;
    assert_eq!(answer.header("location"), "/sign-in?then=%2Fdevice%2Fbox");
    let answer = scene.get("/job/1", "localhost", "").await;
    assert_eq!((answer.status, answer.header("location")), (303, "/sign-in?then=%2Fjob%2F1"));
    assert_eq!(scene.get("/support-bundle/1", "localhost", "").await.status, 303);
    for path in ACTIONS {
        assert_eq!(scene.get(path, "localhost", "").await.status, 405, "GET {path} does nothing");
    }
    assert!(scene.jobs.get(1).is_none() && scene.maintenance.under_way().is_none());
}

#[tokio::test]
async fn nothing_is_done_without_the_token_of_this_session() {
    let scene = Scene::start_with_pin().await;
    let (cookie, other) = (scene.signed_in().await, scene.signed_in().await);
    let foreign = scene.csrf(&other).await;
    for path in ACTIONS {
        for form in
            ["minutes=60".to_owned(), "csrf=&minutes=60".to_owned(), format!("csrf={foreign}&minutes=60")]
        {
            let answer = act(&scene, path, &cookie, &form).await;
            assert_eq!(answer.status, 403, "{path} {form}");
        }
        // The token counts in a form only.
        let own = scene.csrf(&cookie).await;
        assert_eq!(act(&scene, &format!("{path}?csrf={own}"), &cookie, "minutes=60").await.status, 403);
        let json = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {cookie}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\ncsrf={own}",
            own.len() + 5
        );
        assert_eq!(crate::local::scene::response(scene.address, json.as_bytes()).await.status, 415);
    }
    assert!(scene.jobs.get(1).is_none() && scene.maintenance.under_way().is_none());
}

#[tokio::test]
async fn whoever_knows_the_pin_has_a_device_tested_and_a_bundle_made() {
    let scene = Scene::start_with_pin().await;
    let cookie = scene.signed_in().await;
    let csrf = format!("csrf={}", scene.csrf(&cookie).await);
    let begun = act(&scene, "/device/box/test", &cookie, &csrf).await;
    assert_eq!(begun.status, 303);
    let expected = JobState::Done(serde_json::json!({ "device": "box", "good": true }));
    assert_eq!(outcome(&scene, begun.header("location")).await, expected);
    let page = scene.get(begun.header("location"), "localhost", &format!("Cookie: {cookie}\r\n")).await;
    assert!(page.status == 200 && page.body.contains("data-job-state=\"done\""), "{page:?}");
    for unknown in ["/device/none/test", "/device/%3Cb%3E/test", "/device/a%20b/test"] {
        let answer = act(&scene, unknown, &cookie, &csrf).await;
        assert!(answer.status == 404 && !answer.body.contains("<b>"), "{answer:?}");
    }

    let begun = act(&scene, "/support-bundle", &cookie, &csrf).await;
    let job = begun.header("location");
    assert!(matches!(outcome(&scene, job).await, JobState::Done(_)));
    let file = job.replace("/job/", "/support-bundle/");
    let file = scene.get(&file, "localhost", &format!("Cookie: {cookie}\r\n")).await;
    assert_eq!((file.status, file.header("content-disposition")), (200, "attachment; filename=\"ab.html\""));
    assert!(file.header("content-security-policy").starts_with("sandbox") && file.body.contains("bundle"));
    for none in ["/support-bundle/99", "/support-bundle/x", "/job/99", "/job/x", "/job/-1"] {
        assert_eq!(
            scene.get(none, "localhost", &format!("Cookie: {cookie}\r\n")).await.status,
            404,
            "{none}"
        );
    }
}

#[tokio::test]
async fn maintenance_is_begun_refused_and_ended_from_the_page() {
    let scene = Scene::start_with_pin().await;
    let cookie = scene.signed_in().await;
    let csrf = scene.csrf(&cookie).await;
    for (form, lang, why) in [
        ("minutes=4", "en", "5 to 480"),
        ("minutes=x", "es", "de 5 a 480"),
        ("minutes=60&note=4111+1111+1111+1111", "pt", "cartão"),
        (&format!("minutes=60&note={}", "a".repeat(201)), "en", "200"),
    ] {
        let answer =
            act(&scene, &format!("/maintenance?lang={lang}"), &cookie, &format!("csrf={csrf}&{form}")).await;
        assert!(answer.status == 400 && answer.body.contains(why), "{form}: {answer:?}");
        assert!(!answer.body.contains("1111"));
    }
    assert_eq!(scene.maintenance.under_way(), None);
    let begun = act(&scene, "/maintenance", &cookie, &format!("csrf={csrf}&minutes=60&note=new+scale")).await;
    assert_eq!((begun.status, begun.header("location")), (303, "/"));
    let until = scene.maintenance.under_way().unwrap();
    assert_eq!(until.note.as_deref(), Some("new scale"));
    let status = scene.get("/status", "localhost", "").await;
    assert!(status.body.contains("\"maintenance_until_ms\":1"), "{}", status.body);
    assert_eq!(act(&scene, "/maintenance/end", &cookie, &format!("csrf={csrf}")).await.status, 303);
    assert_eq!(scene.maintenance.under_way(), None);
}

#[tokio::test]
async fn signing_in_leads_to_pages_of_ours_only_and_signing_out_ends_it() {
    let scene = Scene::start_with_pin().await;
    for (then, location) in [
        ("/device/box", "/device/box"),
        ("", "/"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\r\nSet-Cookie: x=1", "/"),
    ] {
        let then: String = form_urlencoded::byte_serialize(then.as_bytes()).collect();
        let answer = scene.post("/sign-in", "", &format!("pin={PIN}&then={then}")).await;
        assert_eq!((answer.status, answer.header("location")), (303, location), "{then}");
        let asked = scene.get(&format!("/sign-in?then={then}"), "localhost", "").await;
        assert!(asked.body.contains(&format!("name=\"then\" value=\"{location}\"")), "{}", asked.body);
    }
    let cookie = scene.signed_in().await;
    assert!(cookie.len() == "storepulse_session=".len() + 64, "{cookie}");
    let csrf = scene.csrf(&cookie).await;
    let out = act(&scene, "/sign-out", &cookie, &format!("csrf={csrf}")).await;
    assert!(out.status == 303 && out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(act(&scene, "/identify", &cookie, &format!("csrf={csrf}")).await.status, 303);
    assert!(scene.jobs.get(1).is_none());
}

#[tokio::test]
async fn a_session_ends_by_its_time_and_with_a_changed_pin() {
    let short = Duration::from_millis(300);
    let scene = Scene::start_by("  pin_file: page.pin\n", PAGE_LIMITS, LONG, short).await;
    let cookie = scene.signed_in().await;
    let csrf = format!("csrf={}", scene.csrf(&cookie).await);
    tokio::time::sleep(short).await;
    assert!(act(&scene, "/identify", &cookie, &csrf).await.header("location").starts_with("/sign-in"));

    let scene = Scene::start_with_pin().await;
    let cookie = scene.signed_in().await;
    let csrf = format!("csrf={}", scene.csrf(&cookie).await);
    std::fs::write(scene.pin_file(), "886420\n").unwrap();
    assert!(act(&scene, "/identify", &cookie, &csrf).await.header("location").starts_with("/sign-in"));
    assert_eq!(scene.post("/sign-in", "", "pin=886420").await.status, 303);
    std::fs::write(scene.pin_file(), "12").unwrap();
    let refused = scene.post("/sign-in", "", "pin=886420").await;
    assert!(refused.status == 503 && refused.body.contains("6 to 12 digits"), "{refused:?}");
}

#[tokio::test]
async fn without_a_pin_file_nobody_signs_in() {
    let scene = Scene::start("").await;
    for form in ["pin=", "pin=000000", ""] {
        let refused = scene.post("/sign-in", "", form).await;
        assert!(refused.status == 403 && refused.body.contains("pin_file: page.pin"), "{refused:?}");
    }
    assert!(scene.get("/sign-in", "localhost", "").await.body.contains("pin_file: page.pin"));
    assert_eq!(act(&scene, "/identify", "", "csrf=").await.status, 303);
}

/// Over one connection after another, as fast as it goes.
#[tokio::test]
async fn ten_thousand_wrong_pins_open_nothing_and_the_page_stays_there() {
    let scene = Scene::start_with_pin().await;
    let cookie = scene.signed_in().await;
    let (mut wrong, mut waits) = (0, 0);
    let request =
        |no: u32| posted("/sign-in", "", &format!("pin={no:06}")).replace("Connection: close\r\n", "");
    let mut stream = TcpStream::connect(scene.address).await.unwrap();
    let mut said = [0; 16 << 10];
    for no in 0..10_000 {
        stream.write_all(request(no).as_bytes()).await.unwrap();
        let n = tokio::time::timeout(LONG, stream.read(&mut said)).await.unwrap().unwrap();
        match &said[..12.min(n)] {
            b"HTTP/1.1 401" => wrong += 1,
            b"HTTP/1.1 429" => waits += 1,
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    }
    assert!(wrong == 4 && waits == 9_996, "{wrong} {waits}");
    let refused = scene.post("/sign-in?lang=es", "", &format!("pin={PIN}")).await;
    assert!(refused.status == 429 && refused.body.contains("ni el correcto"), "{refused:?}");
    assert!((1..=31).contains(&refused.header("retry-after").parse::<u64>().unwrap()), "{refused:?}");
    // Who is signed in goes on.
    let csrf = scene.csrf(&cookie).await;
    assert_eq!(
        act(&scene, "/maintenance", &cookie, &format!("csrf={csrf}&minutes=5")).await.header("location"),
        "/"
    );
    assert_eq!(scene.get("/health", "localhost", "").await.status, 200);
}

#[tokio::test]
async fn jobs_beyond_the_limit_are_refused_and_all_end_with_the_agent() {
    let mut scene = Scene::start_with_pin().await;
    let cookie = scene.signed_in().await;
    let csrf = format!("csrf={}", scene.csrf(&cookie).await);
    let first = act(&scene, "/identify", &cookie, &csrf).await;
    let again = act(&scene, "/identify", &cookie, &csrf).await;
    assert_eq!(first.header("location"), again.header("location"), "it is at work already");
    for no in 0..3 {
        scene.jobs.begin("test", no.to_string(), LONG, |_| std::future::pending()).unwrap();
    }
    assert_eq!(act(&scene, "/device/box/test", &cookie, &csrf).await.status, 503);
    scene.stop.cancel();
    let ended = async { while scene.tasks.join_next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(3), ended).await.expect("something goes on");
    assert!(matches!(scene.jobs.get(1).unwrap().state, JobState::Failed(why) if why == "the agent stops"));
}

//! The page as strangers meet it: over real sockets, byte by byte where that matters.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::local::scene::{LONG, Scene, response};

#[tokio::test]
async fn a_name_that_is_not_ours_is_refused_on_every_road() {
    let scene = Scene::start("  hosts: [gateway.shop.lan]\n").await;
    for path in
        ["/", "/fragment", "/health", "/status", "/metrics", "/device/box", "/sign-in", "/style.css", "/none"]
    {
        let refused = scene.get(path, "evil.example:9750", "").await;
        assert_eq!(refused.status, 421, "{path}");
        assert!(
            refused.body.contains("local.hosts") && !refused.body.contains("evil"),
            "{path}: {}",
            refused.body
        );
    }
    for host in ["localhost", "127.0.0.1:1", "[::1]", "GATEWAY.shop.lan:80"] {
        for path in ["/", "/health", "/status", "/metrics"] {
            assert_eq!(scene.get(path, host, "").await.status, 200, "{host}{path}");
        }
    }
    let address = scene.address;
    for forged in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        assert_eq!(response(address, forged).await.status, 421);
    }
}

#[tokio::test]
async fn what_another_sites_page_sends_is_refused() {
    let scene = Scene::start_with_pin().await;
    let cookie = scene.signed_in().await;
    let csrf = scene.csrf(&cookie).await;
    let form = format!("csrf={csrf}&minutes=60");
    for origin in [
        "Origin: http://evil.example",
        "Origin: null",
        "Origin: http://localhost:1",
        "Sec-Fetch-Site: cross-site",
        "Origin: http://localhost\r\nSec-Fetch-Site: same-site",
    ] {
        for (path, form) in
            [("/maintenance", form.as_str()), ("/sign-in", "pin=739105"), ("/sign-out", &form)]
        {
            let refused = scene.post(path, &format!("Cookie: {cookie}\r\n{origin}\r\n"), form).await;
            assert_eq!(refused.status, 403, "{origin} {path}");
            assert_eq!(refused.header("set-cookie"), "");
        }
    }
    assert_eq!(scene.maintenance.under_way(), None);
    let done =
        scene.post("/maintenance", &format!("Cookie: {cookie}\r\nOrigin: http://localhost\r\n"), &form).await;
    assert_eq!((done.status, done.header("location")), (303, "/"));
    assert!(scene.maintenance.under_way().is_some());
}

#[tokio::test]
async fn large_heads_and_bodies_are_refused() {
    let times = (Duration::from_millis(500), LONG);
    let scene = Scene::start_limited("  pin_file: page.pin\n", times, PAGE_LIMITS.places).await;
    let address = scene.address;
    let head = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(16 << 10));
    assert_eq!(response(address, head.as_bytes()).await.status, 431);
    let path = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(60 << 10));
    assert!(matches!(response(address, path.as_bytes()).await.status, 414 | 431));
    let many = "X: 1\r\n".repeat(500);
    assert_eq!(
        response(address, format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").as_bytes())
            .await
            .status,
        431
    );

    let told = "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n";
    let refused = response(address, told.as_bytes()).await;
    assert_eq!((refused.status, refused.header("connection")), (413, "close"));
    let large = format!("pin={}", "7".repeat(16 << 10));
    assert_eq!(scene.post("/sign-in", "", &large).await.status, 413);
    let chunk = format!("4000\r\n{}\r\n", "7".repeat(16 << 10));
    let chunked = format!(
        "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    assert_eq!(response(address, chunked.as_bytes()).await.status, 413);
    for rubbish in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = response(address, rubbish).await.status;
        assert!(answer == 0 || (400..500).contains(&answer), "{rubbish:?}: {answer}");
    }
    assert_eq!(scene.get("/health", "localhost", "").await.status, 200);
}

#[tokio::test]
async fn slow_clients_are_closed_and_nobody_waits_for_them() {
    let times = (Duration::from_millis(200), Duration::from_millis(200));
    let scene = Scene::start_limited("", times, PAGE_LIMITS.places).await;
    let began = Instant::now();
    let mut silent = TcpStream::connect(scene.address).await.unwrap();
    let mut dripping = TcpStream::connect(scene.address).await.unwrap();
    dripping.write_all(b"GET /health HTTP/1.1\r\nHost: loc").await.unwrap();
    let mut bodyless = TcpStream::connect(scene.address).await.unwrap();
    bodyless
        .write_all(b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\npin=")
        .await
        .unwrap();
    assert_eq!(scene.get("/health", "localhost", "").await.status, 200);
    let mut idle = TcpStream::connect(scene.address).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    for stream in [&mut silent, &mut dripping] {
        tokio::time::timeout(LONG, stream.read_to_end(&mut said)).await.unwrap().unwrap_or_default();
    }
    assert!(said.is_empty());
    tokio::time::timeout(LONG, bodyless.read_to_end(&mut said)).await.unwrap().unwrap();
    assert!(said.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&said));
    said.clear();
    tokio::time::timeout(LONG, idle.read_to_end(&mut said)).await.unwrap().unwrap();
    assert!(said.starts_with(b"HTTP/1.1 200"), "it was answered, and closed when it was idle");
    assert!(began.elapsed() >= times.0);
}

#[tokio::test]
async fn a_connection_ends_after_a_while_whatever_it_does() {
    let limits = Limits { connection_time: Duration::from_millis(150), ..PAGE_LIMITS };
    let scene = Scene::start_by("", limits, BODY_TIME, SESSION).await;
    let mut busy = TcpStream::connect(scene.address).await.unwrap();
    let mut answered = 0;
    let ended = async {
        let mut said = [0; 4_096];
        loop {
            if busy.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.is_err() {
                return;
            }
            match busy.read(&mut said).await {
                Ok(0) | Err(_) => return,
                Ok(_) => answered += 1,
            }
        }
    };
    tokio::time::timeout(LONG, ended).await.unwrap();
    assert!(answered > 0);
}

#[tokio::test]
async fn beyond_its_places_a_connection_is_closed_and_a_place_comes_back() {
    let places = Seats { network: 2, address: 1, own: 3 };
    let scene = Scene::start_limited("", (LONG, LONG), places).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(scene.address).await.unwrap();
        assert!(is_answered(&mut stream).await);
        open.push(stream);
    }
    let mut one_more = TcpStream::connect(scene.address).await.unwrap();
    assert!(!is_answered(&mut one_more).await);
    drop(open.pop());
    let deadline = Instant::now() + LONG;
    loop {
        let mut stream = TcpStream::connect(scene.address).await.unwrap();
        if is_answered(&mut stream).await {
            break;
        }
        assert!(Instant::now() < deadline, "the place did not come back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What other machines take is nothing to the box itself. Only a box with another address can show that.
#[tokio::test]
async fn the_network_takes_no_place_of_the_boxs_own() {
    let Some(own) = Scene::other_address() else { return };
    let places = Seats { network: 4, address: 2, own: 1 };
    let scene = Scene::start_limited("  listen: '0.0.0.0:0'\n", (LONG, LONG), places).await;
    let from_outside = SocketAddr::new(own, scene.address.port());
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(from_outside).await.unwrap();
        assert!(is_answered(&mut stream).await);
        open.push(stream);
    }
    let mut one_more = TcpStream::connect(from_outside).await.unwrap();
    assert!(!is_answered(&mut one_more).await, "that address has its share");
    assert_eq!(scene.get("/health", "localhost", "").await.status, 200);
    assert_eq!(scene.get("/health", &own.to_string(), "").await.status, 200, "by its own address");
}

async fn is_answered(stream: &mut TcpStream) -> bool {
    let asked = stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut said = [0; 12];
    asked.is_ok() && stream.read_exact(&mut said).await.is_ok() && said.ends_with(b"200")
}

#[tokio::test]
async fn every_answer_says_what_browsers_must_not_do_with_it() {
    let scene = Scene::start("").await;
    for path in ["/", "/status", "/none", "/sign-in"] {
        let answer = scene.get(path, "localhost", "").await;
        let told =
            ["x-content-type-options", "referrer-policy", "cache-control", "cross-origin-resource-policy"];
        assert_eq!(
            told.map(|name| answer.header(name)),
            ["nosniff", "same-origin", "no-store", "same-origin"],
            "{path}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    let chosen = scene.get("/?lang=pt", "localhost", "").await;
    assert!(
        chosen.header("set-cookie").starts_with("storepulse_lang=pt;") && chosen.body.contains("lang=\"pt\"")
    );
    let kept = scene.get("/", "localhost", "Cookie: storepulse_lang=es\r\nAccept-Language: pt\r\n").await;
    assert!(kept.body.contains("lang=\"es\"") && kept.header("set-cookie").is_empty());
    assert_eq!(scene.get("/?lang=xx", "localhost", "").await.header("set-cookie"), "");
}

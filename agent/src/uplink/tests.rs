//! What is broken on the way, with real sockets: each cause arranged, and what the status says of it.

use std::net::SocketAddr;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use storepulse_shared::ids::BatchId;
use storepulse_shared::key::StoreKey;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::Config;
use crate::spool::Limits;
use crate::time::{Authority, Heard, now_ms};

/// Serves connections until it is dropped.
struct Served {
    address: SocketAddr,
    _task: JoinSet<()>,
}

async fn serve<F>(with: impl Fn(TcpStream) -> F + Send + 'static) -> Served
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.spawn(with(stream));
        }
    });
    Served { address, _task: task }
}

/// A cloud whose certificate is for this name, valid from and to so many days from now.
async fn cloud(dir: &Path, name: &str, from_days: i64, to_days: i64) -> Served {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.not_before = days(-5_000);
    ca.not_after = days(5_000);
    let ca_key = KeyPair::generate().unwrap();
    std::fs::write(dir.join("ca.pem"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (days(from_days), days(to_days));
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &Issuer::from_params(&ca, ca_key)).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 4_096]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
            }
        }
    })
    .await
}

fn days(from_now: i64) -> ::time::OffsetDateTime {
    ::time::OffsetDateTime::now_utc() + ::time::Duration::days(from_now)
}

fn config(dir: &Path, url: &str, more: &str) -> Config {
    let key = StoreKey::issue(&"la-villa".parse().unwrap(), &"T01".parse().unwrap());
    let text = format!(
        "cloud:\n  url: {url}\n  key: {}\n  timeout: 3s\n{more}state_dir: {}\n",
        key.expose(),
        dir.join("spool").display()
    );
    Config::parse(&text, &dir.join("agent.yaml")).unwrap()
}

/// What a request to this cloud is broken by.
async fn cause_of(dir: &Path, url: &str, more: &str, clock_is_known: bool) -> Failure {
    let clock = BoxClock::new(Arc::new(SystemClock::load()), BUILD_MS);
    if clock_is_known {
        let now = clock.read();
        let heard =
            Heard { authority: Authority::Ntp, time_ms: now_ms(), coarse_ms: 0, asked: now, answered: now };
        clock.hear(&heard);
    }
    let client = Client::new(&config(dir, url, more).cloud, &clock).unwrap();
    client.exchange(client.http().get(client.health_url())).await.unwrap_err()
}

async fn plain_cause(url: &str, more: &str) -> Cause {
    let dir = tempfile::tempdir().unwrap();
    cause_of(dir.path(), url, more, true).await.cause
}

#[tokio::test]
async fn a_name_without_an_address_is_told_apart_from_an_address_without_an_answer() {
    assert_eq!(plain_cause("https://no-such-cloud.invalid", "").await, Cause::Dns);
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(plain_cause(&format!("https://{gone}"), "").await, Cause::Address);
    let silent = serve(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    });
    let silent = silent.await;
    for scheme in ["https", "http"] {
        assert_eq!(
            plain_cause(&format!("{scheme}://{}", silent.address), "").await,
            Cause::Address,
            "{scheme}"
        );
    }
}

#[tokio::test]
async fn a_handshake_that_fails_is_no_address() {
    for said in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
        let served = serve(move |mut stream| async move {
            let _ = stream.read(&mut [0; 4_096]).await;
            let _ = stream.write_all(said.as_bytes()).await;
        });
        let served = served.await;
        assert_eq!(plain_cause(&format!("https://{}", served.address), "").await, Cause::Tls, "{said:?}");
    }
}

#[tokio::test]
async fn certificates_are_judged_one_by_one() {
    let authority = "  ca_file: ca.pem\n";
    for (name, from, to, more, clock_is_known, cause) in [
        ("localhost", -1, 90, "", true, Cause::TlsUntrusted),
        ("another.example", -1, 90, authority, true, Cause::TlsUntrusted),
        ("localhost", -90, -1, authority, true, Cause::TlsExpired),
        ("localhost", -90, -1, authority, false, Cause::TlsClock),
        ("localhost", 5, 90, authority, true, Cause::TlsClock),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let served = cloud(dir.path(), name, from, to).await;
        let url = format!("https://localhost:{}", served.address.port());
        let failure = cause_of(dir.path(), &url, more, clock_is_known).await;
        assert_eq!(failure.cause, cause, "{name} {from} {to} {clock_is_known}: {}", failure.why);
    }
}

#[tokio::test]
async fn what_fails_before_the_cloud_is_the_proxy_and_what_fails_behind_it_is_not() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let through = |proxy: &str| format!("  proxy: http://{proxy}\n");
    for proxy in [gone.to_string(), "no-such-proxy.invalid:3128".to_owned()] {
        assert_eq!(plain_cause("https://cloud.example", &through(&proxy)).await, Cause::Proxy, "{proxy}");
    }
    for refusal in ["407 Proxy Authentication Required", "403 Forbidden", "502 Bad Gateway"] {
        let proxy = serve(move |mut stream| async move {
            let _ = stream.read(&mut [0; 4_096]).await;
            let _ =
                stream.write_all(format!("HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await;
        });
        let proxy = proxy.await;
        let cause = plain_cause("https://cloud.example", &through(&proxy.address.to_string())).await;
        assert_eq!(cause, Cause::Proxy, "{refusal}");
    }
    let dir = tempfile::tempdir().unwrap();
    let cloud = cloud(dir.path(), "localhost", -1, 90).await;
    let behind = cloud.address;
    let proxy = serve(move |mut stream| async move {
        let _ = stream.read(&mut [0; 4_096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let mut cloud = TcpStream::connect(behind).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut cloud).await;
    });
    let proxy = proxy.await;
    let cause = plain_cause("https://localhost", &through(&proxy.address.to_string())).await;
    assert_eq!(cause, Cause::TlsUntrusted);
}

/// An uplink that sends nothing by itself.
fn uplink(dir: &TempDir) -> Uplink {
    let config = config(dir.path(), "http://localhost:9", "");
    let clock = BoxClock::new(Arc::new(SystemClock::load()), BUILD_MS);
    let limits = Limits { bytes_max: config.spool.max_size, batch_samples_max: config.batches.max_samples };
    let (spool, _writer) = Spool::open_dated(&config.state_dir, limits, clock.clone()).unwrap();
    let client = Client::new(&config.cloud, &clock).unwrap();
    let key = KeySource::new(&config.cloud, &config.state_dir);
    let (_, batches) = tokio::sync::watch::channel(config.batches.clone());
    Uplink::new(spool, client, &config.cloud, key, batches, UplinkBoard::default(), clock)
}

#[tokio::test]
async fn the_status_tells_the_cause_and_since_when_the_way_is_broken() {
    let dir = tempfile::tempdir().unwrap();
    let mut uplink = uplink(&dir);
    let seen = |uplink: &Uplink| {
        let status = uplink.board.get();
        (status.state, status.cause, status.since_ms)
    };
    assert_eq!(seen(&uplink), (UplinkState::Starting, None, None));
    let failing = |cause| Outcome::Failing(Failure::new(cause, "why"));
    uplink.conclude(failing(Cause::Dns), Reach::Critical);
    let (state, cause, since_ms) = seen(&uplink);
    assert_eq!((state, cause), (UplinkState::Failing, Some(Cause::Dns)));
    assert!(since_ms.is_some_and(|ms| (ms - now_ms()).abs() < 5_000), "{since_ms:?}");
    uplink.board.change(|status| status.since_ms = Some(7));
    uplink.gate.reopen();
    uplink.conclude(failing(Cause::Server), Reach::Critical);
    uplink.gate.reopen();
    uplink.conclude(Outcome::Held(Failure::new(Cause::Key, "401")), Reach::Critical);
    assert_eq!(seen(&uplink), (UplinkState::Held, Some(Cause::Key), Some(7)), "broken all the while");
    let batch: BatchId = "0b37f9c2-7a52-4a4e-9a63-0d3a8f7d9c11/42".parse().unwrap();
    let ack = format!(
        r#"{{"status":"success","batch":"{batch}","processed":1,"duplicate":false,"rejected":[],"through":{{}},
        "server_time":1,"pace":{{"backlog_bytes_per_s":1,"start_in_ms":0}}}}"#
    );
    uplink.conclude(Outcome::Acked(serde_json::from_str(&ack).unwrap()), Reach::Critical);
    let (state, cause, since_ms) = seen(&uplink);
    assert_eq!((state, cause), (UplinkState::Connected, None));
    assert!(since_ms > Some(7));
    uplink.board.change(|status| status.since_ms = Some(8));
    uplink.conclude(Outcome::Acked(serde_json::from_str(&ack).unwrap()), Reach::Critical);
    assert_eq!(seen(&uplink).2, Some(8), "connected all the while");
    let wait = Outcome::Wait(Duration::from_secs(1), Failure::new(Cause::Busy, "503"));
    uplink.conclude(wait, Reach::Backlog);
    assert_eq!((seen(&uplink).0, seen(&uplink).1), (UplinkState::Waiting, Some(Cause::Busy)));
}

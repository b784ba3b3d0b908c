//! The whole kind against servers of this machine: those that answer, those that do not, and those that say something else.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::super::fault::{Fault, FaultKind};
use super::super::rig::Rig;
use super::super::{Collector as _, Kind};
use super::endpoint::{Endpoint, Findings};
use super::*;
use crate::board::DeviceState;

fn settings(yaml: &str) -> Settings {
    match Rig::kind(&format!("reach: {yaml}")) {
        Kind::Reach(settings) => settings,
        _ => unreachable!(),
    }
}

/// Looks once.
async fn look(rig: &Rig, yaml: &str) -> Findings {
    let settings = settings(yaml);
    settings.check().unwrap();
    Endpoint::new(&settings, &rig.ctx.sink).unwrap().look().await
}

fn value(findings: &Findings, metric: &str) -> Option<f64> {
    findings.reading.values.iter().find(|(series, _)| series == metric).map(|(_, value)| *value)
}

/// A port at which nobody listens.
async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn an_endpoint_that_goes_away_is_a_reading_and_a_failure() {
    let rig = Rig::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _kind = rig.start(&format!("reach: {{ target: '{address}', interval: 1s, jitter: 10ms }}"));
    // What is connected to is closed without a byte.
    let mut heard = Vec::new();
    listener.accept().await.unwrap().0.read_to_end(&mut heard).await.unwrap();
    assert!(heard.is_empty(), "not a byte");
    rig.until_state(DeviceState::Ok).await;
    let values = rig.values();
    assert_eq!((values["retail.endpoint.up"], values["retail.endpoint.flaps"]), (1.0, 0.0));
    assert!(values["retail.endpoint.connect.duration"] < 1.0);
    drop(listener);
    let status = rig.until_state(DeviceState::Unreachable).await;
    assert!(status.errors["refused"] >= 1);
    assert_eq!((rig.values()["retail.endpoint.up"], rig.values()["retail.endpoint.flaps"]), (0.0, 1.0));
    let _listener = TcpListener::bind(address).await.unwrap();
    rig.until_state(DeviceState::Ok).await;
    assert_eq!(rig.values()["retail.endpoint.up"], 1.0);
}

#[tokio::test]
async fn a_name_that_is_not_there_is_dns_and_the_endpoint_is_down() {
    let rig = Rig::new();
    let _kind = rig.start("reach: { target: nothing.invalid, checks: [dns], interval: 1s }");
    let status = rig.until_state(DeviceState::Unreachable).await;
    assert!(status.errors.contains_key("dns"));
    assert_eq!(status.values["retail.endpoint.up"].value, 0.0);
    let found = look(&rig, "{ target: localhost, checks: [dns] }").await;
    assert!(found.fault.is_none() && value(&found, "retail.endpoint.dns.duration").is_some());
}

#[tokio::test]
async fn a_port_at_which_nobody_listens_is_refused() {
    let rig = Rig::new();
    let found = look(&rig, &format!("{{ target: '127.0.0.1:{}' }}", closed_port().await)).await;
    assert_eq!(found.fault.unwrap().kind, FaultKind::Refused);
    assert_eq!(found.reading.values, []);
}

#[tokio::test]
async fn what_cannot_be_pinged_by_us_is_not_down() {
    let rig = Rig::new();
    let found = look(&rig, "{ target: 127.0.0.1, checks: [ping] }").await;
    match &found.fault {
        None => assert!(value(&found, "retail.endpoint.ping.duration").unwrap() < 1.0),
        // Who runs the tests may have no right to ping; then it says what to do.
        Some(fault) => {
            assert_eq!(fault.kind, FaultKind::Denied);
            assert!(fault.text.contains("ping_group_range"));
        }
    }
    let mut findings = Findings::default();
    findings.failed(Fault::new(FaultKind::Denied, "no ping"));
    findings.failed(Fault::new(FaultKind::Refused, "no port"));
    findings.failed(Fault::new(FaultKind::Tls, "no TLS"));
    assert_eq!(findings.fault.unwrap().kind, FaultKind::Refused);
}

/// A TLS server with a certificate that ends in so many days; it says what it has heard from its first client.
async fn serve(days: i64) -> (u16, String, tokio::task::JoinSet<Vec<u8>>) {
    let mut params = rcgen::CertificateParams::new(vec!["till.shop.lan".to_owned()]).unwrap();
    params.not_after = time::OffsetDateTime::now_utc() + time::Duration::days(days);
    let (ca, ca_key) = authority();
    let key = rcgen::KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::from_params(&ca, ca_key);
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let stream = listener.accept().await.unwrap().0;
        let mut heard = Vec::new();
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await {
            stream.read_to_end(&mut heard).await.unwrap();
        }
        heard
    });
    let pem = ca.self_signed(issuer.key()).unwrap().pem();
    (port, pem, tasks)
}

fn authority() -> (rcgen::CertificateParams, rcgen::KeyPair) {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "terminals");
    (params, rcgen::KeyPair::generate().unwrap())
}

#[tokio::test]
async fn the_end_of_a_certificate_is_told_whether_it_is_trusted_or_not() {
    let rig = Rig::new();
    let ca = rig.dir.path().join("ca.pem");
    for (days, more, fault) in [
        (40, "verify: false", None),
        (-2, "verify: false", None),
        (40, "verify: true", Some("not trusted")),
        (40, "server_name: till.shop.lan, ca_file: CA", None),
        (40, "server_name: another.shop.lan, ca_file: CA", Some("another name")),
        (-2, "server_name: till.shop.lan, ca_file: CA", Some("has ended")),
    ] {
        let (port, pem, mut server) = serve(days).await;
        std::fs::write(&ca, pem).unwrap();
        let more = more.replace("CA", &ca.display().to_string());
        let found =
            look(&rig, &format!("{{ target: '127.0.0.1:{port}', checks: [tcp, tls], {more} }}")).await;
        let left = value(&found, "retail.endpoint.tls.expiry").unwrap();
        assert!((left - 86_400.0 * days as f64).abs() < 60.0, "{more}: {left}");
        match (found.fault, fault) {
            (None, None) => {}
            (Some(found), Some(why)) => {
                assert_eq!(found.kind, FaultKind::Tls, "{more}");
                assert!(found.text.contains(why), "{more}: {}", found.text);
            }
            (found, fault) => panic!("{more}: {found:?} instead of {fault:?}"),
        }
        assert!(server.join_next().await.unwrap().unwrap().is_empty(), "not a byte of an application");
    }
}

#[tokio::test]
async fn what_is_silent_in_tls_is_a_timeout_and_what_says_something_else_is_tls() {
    let rig = Rig::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let yaml = format!("{{ target: '{}', checks: [tls], timeout: 300ms }}", listener.local_addr().unwrap());
    let (silent, found) = tokio::join!(listener.accept(), look(&rig, &yaml));
    assert_eq!(found.fault.unwrap().kind, FaultKind::Timeout);
    drop(silent);
    let answer = async |bytes: &'static [u8]| {
        let mut stream: TcpStream = listener.accept().await.unwrap().0;
        let _ = stream.write_all(bytes).await;
        stream
    };
    for bytes in [b"220 mail.shop.lan ESMTP\r\n".as_slice(), b"\x15\x03\x03\x00\x02\x02\x28", b""] {
        let (stream, found) = tokio::join!(
            async {
                let mut stream = answer(bytes).await;
                if bytes.is_empty() {
                    stream.shutdown().await.unwrap();
                }
                stream
            },
            look(&rig, &yaml)
        );
        drop(stream);
        let fault = found.fault.unwrap();
        assert_eq!(fault.kind, FaultKind::Tls, "{bytes:?}");
        assert!(!fault.text.contains("mail"), "{}", fault.text);
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for (yaml, why) in [
        ("{ target: host }", "no port"),
        ("{ target: 'host:443', checks: [] }", "checks"),
        ("{ target: '10.0.0.1', checks: [dns] }", "no name"),
        ("{ target: 'host:443', checks: [tls], interval: 9s }", "at least 10s"),
        ("{ target: 'https://host', checks: [ping] }", "not host"),
        ("{ target: 'host:', checks: [ping] }", "not host"),
        ("{ target: '', checks: [ping] }", "not host"),
        ("{ target: 'host:1', server_name: 'a b' }", "server_name"),
    ] {
        let error = settings(yaml).check().unwrap_err();
        assert!(error.contains(why), "{yaml}: {error}");
    }
    for (target, host, port) in [
        ("fe80::1", "fe80::1", None),
        ("[::1]:443", "::1", Some(443)),
        ("10.0.0.1", "10.0.0.1", None),
        ("pay.example.net:8443", "pay.example.net", Some(8_443)),
    ] {
        assert_eq!(host_and_port(target).unwrap(), (host.to_owned(), port), "{target}");
    }
    assert_eq!(settings("{ target: 'h:1' }").interval, Duration::from_secs(60));
}

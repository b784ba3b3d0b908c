//! A service that stops, and one whose certificate is renewed: nobody's request fails of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use storepulse_cloud::tls;
use storepulse_testbed::cloud::{CloudProcess, http_client};
use storepulse_testbed::wait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::setting::{database, folder, testbed};

const LIMIT: Duration = Duration::from_secs(20);
/// Longer than a test takes to look at what is served meanwhile.
const DELAY: Duration = Duration::from_secs(5);
/// Kinds of HTTP/2 frames (RFC 9113, section 6), and the flag of an acknowledgement.
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;

struct Served {
    cloud: CloudProcess,
    dir: PathBuf,
}

impl Served {
    async fn draining(delay: Duration) -> Self {
        let dir = folder().await;
        let cloud = CloudProcess::start_draining(testbed(), &database().await, &dir, delay).await.unwrap();
        Self { cloud, dir }
    }

    async fn connect(&self, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.cloud.ca()).unwrap()).unwrap();
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.cloud.address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await
    }

    /// The certificate that a new connection is shown.
    async fn shown(&self) -> CertificateDer<'static> {
        let stream = self.connect("http/1.1").await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }

    fn tls(&self) -> PathBuf {
        self.dir.join("tls")
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.dir.join("cloud.log")).unwrap()
    }

    /// Asks over a connection that is there; the whole answer.
    async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) -> String {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: cloud\r\n\r\n").as_bytes()).await.unwrap();
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        // Each answer here ends with its JSON object.
        while !answer.ends_with(b"}") {
            let n = stream.read(&mut buffer).await.unwrap();
            assert!(n > 0, "closed after {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&buffer[..n]);
        }
        String::from_utf8(answer).unwrap()
    }

    async fn until_draining(&self, client: &reqwest::Client) {
        let url = format!("{}/ready", self.cloud.url());
        let draining = wait::until("the service to say that it stops", LIMIT, async || {
            let answer = client.get(&url).send().await?;
            Ok((answer.status() == 503).then_some(answer.text().await?))
        });
        let said = draining.await.unwrap();
        assert!(said.contains(r#""code":"draining""#), "{said}");
    }
}

#[tokio::test]
async fn whoever_stops_says_so_first_and_serves_on_meanwhile() {
    let mut served = Served::draining(DELAY).await;
    let client = http_client(Some(&served.cloud.ca())).unwrap();
    let mut kept = served.connect("http/1.1").await.unwrap();
    let answer = Served::ask(&mut kept, "/ready").await;
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("connection: close"), "{answer}");

    served.cloud.begin_to_stop().unwrap();
    served.until_draining(&client).await;
    // Old connections and new ones; the old one is told that it was its last request.
    let answer = Served::ask(&mut kept, "/health").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    let mut new = served.connect("http/1.1").await.unwrap();
    assert!(Served::ask(&mut new, "/health").await.starts_with("HTTP/1.1 200"));
    let fresh = http_client(Some(&served.cloud.ca())).unwrap();
    assert_eq!(fresh.get(format!("{}/health", served.cloud.url())).send().await.unwrap().status(), 200);

    served.cloud.stop().await.unwrap();
    assert!(served.connect("http/1.1").await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_request_that_was_begun_is_answered_although_nobody_listens_any_more() {
    let mut served = Served::draining(Duration::ZERO).await;
    let mut begun = served.connect("http/1.1").await.unwrap();
    let body = r#"{"tenant":"la-villa","email":"ana@example.com","password":"no password"}"#;
    let head = format!(
        "POST /v1/session HTTP/1.1\r\nHost: cloud\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    begun.write_all(head.as_bytes()).await.unwrap();
    begun.write_all(&body.as_bytes()[..20]).await.unwrap();
    begun.flush().await.unwrap();
    // The request has reached its handler once the metrics count its connection; the head is one write before the stop.
    let mut other = served.connect("http/1.1").await.unwrap();
    Served::ask(&mut other, "/health").await;

    served.cloud.begin_to_stop().unwrap();
    let refused = async || Ok(served.connect("http/1.1").await.is_err().then_some(()));
    wait::until("new connections to be refused", LIMIT, refused).await.unwrap();
    begun.write_all(&body.as_bytes()[20..]).await.unwrap();
    let mut answer = String::new();
    begun.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    served.cloud.stop().await.unwrap();
}

#[tokio::test]
async fn an_http2_connection_is_told_to_go_away() {
    let mut served = Served::draining(Duration::ZERO).await;
    let mut stream = served.connect("h2").await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await.unwrap();
    let mut told = Vec::new();
    let mut is_stopping = false;
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            break;
        }
        let mut content = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut content).await.unwrap();
        match (head[3], head[4] & ACK) {
            (SETTINGS, 0) => {
                stream.write_all(&[0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0]).await.unwrap();
            }
            (SETTINGS, _) if !is_stopping => {
                served.cloud.begin_to_stop().unwrap();
                is_stopping = true;
            }
            (PING, 0) => {
                stream.write_all(&[0, 0, 8, PING, ACK, 0, 0, 0, 0]).await.unwrap();
                stream.write_all(&content).await.unwrap();
            }
            (GOAWAY, _) => told.push(content[4..8].to_vec()),
            _ => {}
        }
    }
    assert!(!told.is_empty() && told.iter().all(|code| code == &[0; 4]), "without an error: {told:?}");
    served.cloud.stop().await.unwrap();
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_while_connections_go_on() {
    let mut served = Served::draining(Duration::ZERO).await;
    let dir = served.tls();
    let (before, mut kept) = (served.shown().await, served.connect("http/1.1").await.unwrap());
    // Other names: the authority makes another certificate.
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "renewed.lan".to_owned()];
    tls::self_signed(&dir, &names).unwrap();
    let renewed = CertificateDer::from_pem_file(dir.join("server.pem")).unwrap();
    assert_ne!(before, renewed);
    let taken = async || Ok((served.shown().await == renewed).then_some(()));
    wait::until("the renewed certificate to be shown", LIMIT, taken).await.unwrap();
    assert!(Served::ask(&mut kept, "/ready").await.starts_with("HTTP/1.1 200"), "the old connection goes on");

    let client = http_client(Some(&served.cloud.ca())).unwrap();
    let metrics = client.get(format!("{}/metrics", served.cloud.url())).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let ends = metrics
        .lines()
        .find_map(|line| line.strip_prefix("storepulse_cloud_certificate_expires_timestamp_seconds "));
    let left = ends.unwrap().parse::<i64>().unwrap() - crate::setting::now_ms() / 1_000;
    assert!((396 * 86_400..=397 * 86_400).contains(&left), "{left}");

    // A key that does not fit: as while somebody copies the two files one after the other.
    let (key, other) = (dir.join("server.key"), rcgen::KeyPair::generate().unwrap());
    let right = std::fs::read(&key).unwrap();
    std::fs::write(&key, other.serialize_pem()).unwrap();
    let told = async || Ok(served.said().contains("the old one stays").then_some(()));
    wait::until("the service to say that they do not fit", LIMIT, told).await.unwrap();
    assert_eq!(served.shown().await, renewed);
    assert_eq!(served.said().matches("the old one stays").count(), 1, "once for each content");
    std::fs::write(&key, right).unwrap();
    served.cloud.stop().await.unwrap();
}

fn health(listen: &str, cert: &Path) -> ExitCode {
    let (listen, cert) = (listen.to_owned(), cert.display().to_string());
    let asking = std::thread::spawn(move || {
        storepulse_cloud::run_cli(["storepulse-cloud", "health", "--listen", &listen, "--tls-cert", &cert])
    });
    asking.join().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn health_asks_the_instance_beside_it_and_believes_its_certificate_only() {
    let mut served = Served::draining(DELAY).await;
    let everywhere = format!("0.0.0.0:{}", served.cloud.address.port());
    let cert = served.tls().join("server.pem");
    assert_eq!(health(&everywhere, &cert), ExitCode::SUCCESS);
    let other = folder().await;
    tls::self_signed(&other, &["127.0.0.1".to_owned()]).unwrap();
    assert_eq!(
        health(&everywhere, &other.join("server.pem")),
        ExitCode::FAILURE,
        "another service's certificate"
    );

    served.cloud.begin_to_stop().unwrap();
    served.until_draining(&http_client(Some(&served.cloud.ca())).unwrap()).await;
    assert_eq!(health(&everywhere, &cert), ExitCode::FAILURE, "not ready any more");
    served.cloud.stop().await.unwrap();
    assert_eq!(health(&everywhere, &cert), ExitCode::FAILURE, "nobody is there");
}

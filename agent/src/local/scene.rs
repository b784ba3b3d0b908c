//! For tests of the page: one that is served, with a spool, a board and one device, and a client that sends bytes.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::guard::{self, Limits, Seats};
use super::{Access, Guard, Jobs, LocalState, SESSION, Setup};
use crate::board::Board;
use crate::collector::Ports;
use crate::config::{Config, KeySource};
use crate::local::action::{File, MakeBundle, TestDevice};
use crate::maintenance::Maintenance;
use crate::spool::{self, Spool};
use crate::status::{Looks, Places, StatusState};
use crate::store_settings::SettingsBoard;
use crate::time::{BoxClock, SystemClock};
use crate::trial::Trial;
use crate::uplink::UplinkBoard;

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(10);
/// The PIN of all scenes.
pub(crate) const PIN: &str = "739105";

/// A page that is served; dropping it ends it.
pub(crate) struct Scene {
    pub address: SocketAddr,
    pub dir: tempfile::TempDir,
    pub maintenance: Maintenance,
    pub jobs: Jobs,
    pub status: Arc<StatusState>,
    pub trial: Trial,
    pub stop: CancellationToken,
    pub tasks: JoinSet<()>,
}

/// An answer; status 0 if there was none.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(told, _)| told.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

impl Scene {
    /// With more lines under `local:`.
    pub(crate) async fn start(local: &str) -> Self {
        Self::start_by(local, guard::PAGE_LIMITS, LONG, SESSION).await
    }

    pub(crate) async fn start_with_pin() -> Self {
        Self::start("  pin_file: page.pin\n").await
    }

    /// With other times for heads and bodies, and other places.
    pub(crate) async fn start_limited(
        local: &str,
        (head, body): (Duration, Duration),
        places: Seats,
    ) -> Self {
        Self::start_by(local, Limits { head_time: head, places, ..guard::PAGE_LIMITS }, body, SESSION).await
    }

    pub(crate) async fn start_by(
        local: &str,
        limits: Limits,
        body_time: Duration,
        session: Duration,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("page.pin"), PIN).unwrap();
        let listen = if local.contains("listen:") { "" } else { "  listen: 127.0.0.1:0\n" };
        let text = format!(
            "cloud: {{url: 'https://cloud.example', key_file: k}}\nstate_dir: spool\nlocal:\n{listen}{local}devices:\n  box: {{host: {{}}}}\n"
        );
        let config = Config::parse(&text, &dir.path().join("agent.yaml")).unwrap();
        let clock = BoxClock::new(Arc::new(SystemClock::load()), 0);
        let sizes = spool::Limits { bytes_max: 64 << 20, batch_samples_max: 5_000 };
        let (spool, _writer) = Spool::open(&config.state_dir, sizes, clock.now_ms()).unwrap();
        let board = Arc::new(Board::default());
        board.add(&"box".parse().unwrap(), "host");
        let maintenance = Maintenance::load(&config.state_dir, clock.clone(), spool.clone());
        let trial = Trial::new(Arc::clone(&board), &config.devices);
        let status = Arc::new(StatusState {
            state_dir: config.state_dir.clone(),
            spool,
            board,
            uplink: UplinkBoard::default(),
            settings: SettingsBoard::default(),
            key: KeySource::new(&config.cloud, &config.state_dir),
            started_boot_ms: clock.read().boot_ms,
            places: Places::of(&config),
            looks: Looks::default(),
            clock,
            maintenance: maintenance.clone(),
        });
        let ((jobs, runner), stop, mut tasks) = (Jobs::new(), CancellationToken::new(), JoinSet::new());
        tasks.spawn(runner.run(stop.clone()));
        let listener = TcpListener::bind(config.local.listen).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let of_setup = (Arc::new(config.clone()), Ports::default(), Arc::clone(&status));
        let setup = Setup::new(of_setup.0, of_setup.1, of_setup.2, jobs.clone(), testing());
        let state = LocalState {
            setup,
            guard: Arc::new(Guard::new(config.local.hosts.clone()).with_body_time(body_time)),
            access: Arc::new(Access::new(config.local.pin(), session)),
            jobs: jobs.clone(),
            maintenance: maintenance.clone(),
            test: testing(),
            bundle: bundling(),
            trial: trial.clone(),
            status: Arc::clone(&status),
        };
        tasks.spawn(guard::serve(super::router(state), listener, limits, stop.clone(), "status"));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { address, dir, maintenance, jobs, status, trial, stop, tasks }
    }

    pub(crate) fn pin_file(&self) -> PathBuf {
        self.dir.path().join("page.pin")
    }

    /// An address of this box that is not loopback, if it has one.
    pub(crate) fn other_address() -> Option<IpAddr> {
        let interfaces = nix::ifaddrs::getifaddrs().ok()?;
        let mut all = interfaces.filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()));
        all.find(|ip| !ip.is_loopback() && !ip.is_link_local()).map(IpAddr::V4)
    }

    /// GET with more lines of head.
    pub(crate) async fn get(&self, path: &str, host: &str, more: &str) -> Response {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
        response(self.address, request.as_bytes()).await
    }

    /// POST of a form with more lines of head.
    pub(crate) async fn post(&self, path: &str, more: &str, form: &str) -> Response {
        response(self.address, posted(path, more, form).as_bytes()).await
    }

    /// The cookie of a new session.
    pub(crate) async fn signed_in(&self) -> String {
        let answer = self.post("/sign-in", "", &format!("pin={PIN}")).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        answer.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    /// The token of a session, as its page has it.
    pub(crate) async fn csrf(&self, cookie: &str) -> String {
        let page = self.get("/", "localhost", &format!("Cookie: {cookie}\r\n")).await;
        let (_, rest) = page.body.split_once("name=\"csrf\" value=\"").expect("the page has no form");
        rest.split('"').next().unwrap().to_owned()
    }
}

/// A form, as bytes.
pub(crate) fn posted(path: &str, more: &str, form: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n{more}\r\n{form}",
        form.len()
    )
}

/// Sends bytes and reads until the other side closes.
pub(crate) async fn response(address: SocketAddr, request: &[u8]) -> Response {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The other side may close before it has read all.
    let _ = stream.write_all(request).await;
    let mut said = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut said)).await.expect("no end");
    let text = String::from_utf8_lossy(&said).into_owned();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        assert!(read.is_err() || said.is_empty(), "{text}");
        return Response::default();
    };
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response { status, head: head.to_owned(), body: body.to_owned() }
}

fn testing() -> TestDevice {
    Arc::new(|device, progress| {
        Box::pin(async move {
            progress.tell(1, 2, "asking");
            Ok(serde_json::json!({ "device": device, "good": true }))
        })
    })
}

fn bundling() -> MakeBundle {
    Arc::new(|progress| {
        Box::pin(async move {
            let content = b"<!doctype html><title>bundle</title>".to_vec();
            progress.attach(File {
                name: "a\"b\r\n.html".to_owned(),
                media_type: "text/html; charset=utf-8",
                content,
            });
            Ok(serde_json::json!(null))
        })
    })
}

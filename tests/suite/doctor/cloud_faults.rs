//! Faults of the way to the cloud, and of the cloud: servers on real sockets, certificates of real authorities, a real key revoked.

use std::net::SocketAddr;

use storepulse_testbed::odd_tls::{Claims, OddServer};
use storepulse_testbed::store::{self, Store};
use storepulse_testbed::upkeep::as_admin;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::shop::{Shop, all, fault, refuses};
use crate::setting::{Setting, folder, now_ms};

const DAY: i64 = 86_400_000;
const TWO_YEARS: i64 = 2 * 8_766 * 3_600_000;
/// For a name that no server knows (RFC 6761); a box without a network says that instead.
const NO_NAME: &str = "cloud_dns|link_down|no_address|no_gateway";

#[tokio::test]
async fn faults_of_the_way_to_the_cloud_are_named_first() {
    let setting = &Setting::new().await;
    all(vec![
        fault("a name that nobody knows", (NO_NAME, 1, ""), setting, async |shop| {
            shop.url = "https://no-such-cloud.invalid".to_owned();
        }),
        fault("a closed port", ("cloud_unreachable", 1, "refused"), setting, async |shop| {
            let (address, held) = refuses();
            shop.url = format!("https://{address}");
            held
        }),
        fault("only a proxy lets out", ("proxy_needed", 1, "lets us through"), setting, async |shop| {
            let (address, proxy) = says("HTTP/1.1 200 Connection established\r\n\r\n").await;
            let (cloud, held) = refuses();
            shop.url = format!("https://{cloud}");
            shop.environment.push(("HTTPS_PROXY", format!("http://{address}")));
            (proxy, held)
        }),
        fault("a proxy that wants a password", ("proxy_failing", 1, "407"), setting, async |shop| {
            let (address, proxy) = says("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
            shop.cloud = format!("  proxy: http://{address}\n");
            proxy
        }),
        fault("a page for guests", ("captive_portal", 1, "302"), setting, async |shop| {
            let (address, portal) = says(PORTAL).await;
            shop.url = format!("http://{address}");
            portal
        }),
        fault(
            "a page for guests instead of TLS",
            ("captive_portal", 1, "wifi.example"),
            setting,
            async |shop| {
                let (address, portal) = says(PORTAL).await;
                shop.url = format!("https://{address}");
                portal
            },
        ),
        fault("no TLS at all", ("tls_failing", 1, "no TLS"), setting, async |shop| {
            let (address, other) = says("220 mail.example ESMTP\r\n").await;
            shop.url = format!("https://{address}");
            other
        }),
    ])
    .await;
}

#[tokio::test]
async fn faults_of_certificates_and_clocks_are_named_first() {
    let setting = &Setting::new().await;
    let now = now_ms();
    let odd = |valid: (i64, i64), date_ms: i64| Claims { host: "127.0.0.1".to_owned(), valid, date_ms };
    let good = (now - DAY, now + 90 * DAY);
    let then = now + TWO_YEARS;
    let expired = odd((now - 60 * DAY, now - 30 * DAY), now);
    let of_then = odd((then - 30 * DAY, then + 30 * DAY), then);
    let other = Claims { host: "intranet.example".to_owned(), ..odd(good, now) };
    let ends = odd((now - DAY, now + 5 * DAY), now);
    all(vec![
        fault(
            "an expired certificate",
            ("tls_expired", 1, "the clock of this box is right"),
            setting,
            async |shop| serve(shop, expired, true).await,
        ),
        fault("a certificate of somebody unknown", ("tls_untrusted", 1, "rcgen"), setting, async |shop| {
            serve(shop, odd(good, now), false).await
        }),
        fault(
            "a certificate for another name",
            ("tls_untrusted", 1, "intranet.example"),
            setting,
            async |shop| serve(shop, other, true).await,
        ),
        fault("a clock two years behind", ("clock_wrong", 1, "behind"), setting, async |shop| {
            serve(shop, of_then, true).await
        }),
        // It is good still, but what answers there is no cloud of ours.
        fault(
            "a server that is no cloud",
            ("captive_portal", 1, "not what the cloud says"),
            setting,
            async |shop| serve(shop, ends, true).await,
        ),
        fault("no authorities in ca_file", ("config_bad", 64, "ca_file"), setting, async |shop| {
            std::fs::write(shop.dir.join("ca.pem"), "none\n").unwrap();
            shop.cloud = "  ca_file: ca.pem\n".to_owned();
        }),
    ])
    .await;
}

#[tokio::test]
async fn what_the_cloud_refuses_is_named_first() {
    let setting = &Setting::new().await;
    let (url, out) = (setting.cloud.url(), folder().await);
    let lone = store::onboard(&setting.db, "la-vecina", &["V01"], &url, None, &out).await;
    let suspended = lone.unwrap().remove(0);
    let change = "update tenants set status = 'suspended' where tenant_id = 'la-vecina' returning tenant_id";
    assert_eq!(as_admin(&setting.db, change).await.unwrap().len(), 1);
    let revoked = &setting.stores[1];
    let id = revoked.key.id().unwrap();
    let change = format!("update store_keys set revoked_at = now() where key_id = '{id}' returning key_id");
    assert_eq!(as_admin(&setting.db, &change).await.unwrap().len(), 1);
    all(vec![
        fault("a revoked key", ("key_refused", 1, "401"), setting, async |shop| use_key_of(shop, revoked)),
        fault("a suspended tenant", ("suspended", 1, "403"), setting, async |shop| {
            use_key_of(shop, &suspended)
        }),
        fault("another server", ("wrong_place", 1, "404"), setting, async |shop| {
            let (address, other) = says("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
            shop.url = format!("http://{address}");
            other
        }),
        fault("a cloud that fails", ("cloud_failing", 1, "500"), setting, async |shop| {
            let (address, other) =
                says("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n").await;
            shop.url = format!("http://{address}");
            other
        }),
    ])
    .await;
}

const PORTAL: &str =
    "HTTP/1.1 302 Found\r\nlocation: http://wifi.example/welcome\r\ncontent-length: 0\r\n\r\n";

fn use_key_of(shop: &Shop, store: &Store) {
    std::fs::copy(store.dir.join("store.key"), shop.dir.join("store.key")).unwrap();
}

async fn serve(shop: &mut Shop, claims: Claims, is_trusted: bool) -> OddServer {
    let server = OddServer::start(&shop.dir, &claims).await.unwrap();
    shop.url = format!("https://{}", server.address);
    if is_trusted {
        shop.cloud = format!("  ca_file: {}\n", server.ca.display());
    }
    server
}

/// A server that says this to everybody who has said something.
async fn says(text: &'static str) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = [0; 4_096];
            // Who hangs up first needs no answer.
            if stream.read(&mut heard).await.is_ok_and(|read| read > 0) {
                let _ = stream.write_all(text.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    (address, task)
}

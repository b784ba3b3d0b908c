//! Signing in: whether its time tells who is there, and what a flood of wrong passwords takes from the machine.
//!
//! Guesses come from many addresses of this machine, since one has only a few.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Client;
use serde_json::json;
use storepulse_cloud::commands;
use storepulse_cloud::db::Db;

use super::figure::Figure;
use super::ingest::Rig;
use super::progress;

/// Sign-ins of each kind whose times are compared.
const COMPARED: usize = 400;
/// Wrong passwords that an address has at once, less a reserve.
const OF_ONE_ADDRESS: usize = 15;
/// How much better than by a coin somebody may guess who is there, from one time: three standard deviations of this many where there
/// is nothing to tell.
const ADVANTAGE_MAX: f64 = 0.13;
const FLOOD: Duration = Duration::from_secs(10);
/// Requests of the flood under way.
const FLOODING: usize = 64;
/// Hashing has half of the processors; the rest of a request, TLS with it, is not hashing.
const BUSY_RATIO_MAX: f64 = 1.3;

/// What whoever has both times in hand gains in telling a user who is there from one who is not: 0 is nothing, 1 is everything.
/// Beside: the same of two users who are both there.
pub(super) async fn timing(rig: &Rig) -> anyhow::Result<Figure> {
    for user in ["known-1", "known-2"] {
        add_user(rig, user).await?;
    }
    let users = ["known-1", "nobody-of-this-name", "known-2"];
    let mut times: [Vec<f64>; 3] = Default::default();
    let mut guesser = Guesser::at(rig, 1)?;
    for no in 0..COMPARED {
        if (3 * no) % OF_ONE_ADDRESS == 0 {
            guesser = Guesser::at(rig, no + 1)?;
            // The first request of a connection pays for its handshakes.
            guesser.guess("warming-up").await?;
        }
        // Each is first as often as the others.
        for turn in 0..users.len() {
            let at = (turn + no) % users.len();
            times[at].push(guesser.guess(users[at]).await?.as_secs_f64());
        }
    }
    let advantage = |a: &[f64], b: &[f64]| 2.0 * (auc(a, b) - 0.5).abs();
    let [known, unknown, also_known] = &times;
    progress::say(&format!(
        "    medians: {:.2} ms known, {:.2} ms unknown",
        1e3 * median(known),
        1e3 * median(unknown)
    ))?;
    let (value, noise) = (advantage(known, unknown), advantage(known, also_known));
    // A ratio of two such noises says nothing.
    let figure = Figure { limit: Some(noise), ..Figure::new(value) };
    Ok(figure.at_most(ADVANTAGE_MAX).binding())
}

/// Processors that the service is busy on while wrong passwords come from a hundred addresses; beside: half of them.
pub(super) async fn flood(rig: &Rig) -> anyhow::Result<Figure> {
    add_user(rig, "flooded").await?;
    let (begun, clocks) = (Instant::now(), rig.clocks()?);
    let guessers = (0..FLOODING).map(|no| async move {
        let (mut looked_at, mut turned_away) = (0_u32, 0_u32);
        for address in 0.. {
            let guesser = Guesser::at(rig, 1_000 + no * 100 + address)?;
            for _ in 0..OF_ONE_ADDRESS {
                match guesser.status("flooded").await? {
                    401 => looked_at += 1,
                    _ => turned_away += 1,
                }
                if begun.elapsed() > FLOOD {
                    return anyhow::Ok((looked_at, turned_away));
                }
            }
        }
        Ok((looked_at, turned_away))
    });
    let (mut looked_at, mut turned_away) = (0, 0);
    for done in join_all(guessers).await {
        let (seen, away) = done?;
        (looked_at, turned_away) = (looked_at + seen, turned_away + away);
    }
    let (took, service) =
        (begun.elapsed().as_secs_f64(), rig.clocks()?.service.saturating_sub(clocks.service));
    progress::say(&format!(
        "    {looked_at} wrong passwords looked at, {turned_away} turned away, in {took:.1} s"
    ))?;
    let processors = u32::try_from(std::thread::available_parallelism()?.get())?;
    let half = f64::from((processors / 2).max(1));
    Ok(Figure::new(service.as_secs_f64() / took).beside(half).ratio_at_most(BUSY_RATIO_MAX).binding())
}

/// Somebody at an address of her own; all of 127.0.0.0/8 is this machine.
struct Guesser {
    client: Client,
    url: String,
    tenant: String,
}

impl Guesser {
    fn at(rig: &Rig, no: usize) -> anyhow::Result<Self> {
        let [.., b, c] = u32::try_from(no)?.to_be_bytes();
        let address = IpAddr::V4(Ipv4Addr::new(127, 7, b, c));
        let pem = std::fs::read(rig.ca())?;
        let builder = Client::builder().no_proxy().local_address(address);
        let client = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem)?).build()?;
        Ok(Self { client, url: format!("{}/v1/session", rig.cloud_url()), tenant: tenant_of(rig) })
    }

    /// How a wrong password is answered.
    async fn status(&self, user: &str) -> anyhow::Result<u16> {
        let body = json!({ "tenant": self.tenant, "user": user, "password": "not the right one" });
        let answer = self.client.post(&self.url).json(&body).send().await?;
        let status = answer.status().as_u16();
        answer.bytes().await?;
        Ok(status)
    }

    /// How long that takes.
    async fn guess(&self, user: &str) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let status = self.status(user).await?;
        anyhow::ensure!(status == 401, "a wrong password is answered {status}");
        Ok(begun.elapsed())
    }
}

fn tenant_of(rig: &Rig) -> String {
    rig.stores[0].tenant.to_string()
}

async fn add_user(rig: &Rig, user: &str) -> anyhow::Result<()> {
    let door = Db::connect(&rig.db.config()).await?;
    let tenant = tenant_of(rig);
    let words = ["user", "add", "--tenant", &tenant, "--user", user, "--role", "viewer"];
    commands::on(&door, &words, &mut Vec::new()).await?;
    door.close().await;
    Ok(())
}

/// How likely one of `a` is longer than one of `b`: a half if there is nothing to tell.
fn auc(a: &[f64], b: &[f64]) -> f64 {
    let mut longer = 0.0;
    for x in a {
        for y in b {
            longer += if x > y { 1.0 } else { 0.0 };
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of this run are far below 2^52")]
    let pairs = (a.len() * b.len()) as f64;
    longer / pairs
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

//! The way to the cloud, step by step, each with its own limit: proxy, name, connection, certificate, and what it says to the key.
//! The first step that fails is the finding; those behind it are not asked.

mod answer;
mod certificate;
mod portal;
mod proxy;
mod way;

use std::time::Duration;

use reqwest::Method;
use storepulse_shared::key::StoreKey;
use tokio::net::TcpStream;

use self::proxy::Proxy;
use self::way::Target;
use super::check::Check;
use super::clock::Known;
use super::environment;
use crate::config::Config;
use crate::finding::{Finding, Problem};
use crate::time::BoxClock;
use crate::uplink::{Client, ClientError, Shown, Verdict, shake_hands};

pub(super) const PROXY: &str = "proxy";
pub(super) const NAME: &str = "cloud name";
pub(super) const CONNECTION: &str = "cloud connection";
pub(super) const CERTIFICATE: &str = "cloud certificate";
pub(super) const ANSWER: &str = "cloud answer";

/// For a handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// For an answer, and for the time.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// For all that could tell of a proxy.
const HINTS_LIMIT: Duration = Duration::from_secs(8);
/// For what announces a proxy to browsers.
const HINT_LIMIT: Duration = Duration::from_secs(2);

/// What was found on the way.
#[derive(Debug, Default)]
pub(super) struct Cloud {
    /// Its five checks.
    pub checks: Vec<Check>,
    /// The cloud's clock minus that of the box.
    pub offset_ms: Option<i64>,
    /// A connection was made, directly or through a proxy, or no network is needed for it.
    pub is_reached: bool,
}

impl Cloud {
    /// The steps behind one that failed are not asked.
    fn ends(mut self, behind: &[&'static str], why: &str) -> Self {
        self.checks.extend(behind.iter().map(|name| Check::skipped(name, why)));
        self
    }
}

/// Goes all the way.
pub(super) async fn look(config: &Config, key: Option<&StoreKey>, clock: &BoxClock, is_set: bool) -> Cloud {
    let Some(target) = Target::of(&config.cloud.url) else {
        return Cloud::default().ends(&[PROXY, NAME, CONNECTION, CERTIFICATE, ANSWER], "the URL is none");
    };
    let mut cloud = Cloud { is_reached: target.is_here(), ..Cloud::default() };
    let way = match &config.cloud.proxy {
        Some(proxy) => through_proxy(&mut cloud, proxy, &target).await,
        None => directly(&mut cloud, &target).await,
    };
    let stream = match way {
        Ok(stream) => stream,
        Err(why) => return cloud.ends(&[CERTIFICATE, ANSWER], &why),
    };
    cloud.is_reached = true;
    let known = Known { now_ms: clock.now_ms(), is_set, offset_ms: None };
    let client = match Client::new(&config.cloud, clock) {
        Ok(client) => client,
        Err(error) => {
            cloud.checks.push(own_side(&target, &error));
            return cloud.ends(&[ANSWER], "the connection cannot be set up");
        }
    };
    // Who cannot be looked at is let go: some servers take one connection at a time.
    if let Some(stream) = stream.filter(|_| target.is_tls) {
        let shown = match handshake(config, &target, clock, stream).await {
            Ok(shown) => shown,
            Err(error) => {
                cloud.checks.push(own_side(&target, &error));
                return cloud.ends(&[ANSWER], "the connection cannot be set up");
            }
        };
        let check = judge(&mut cloud, &target, &shown, known, &client, clock).await;
        cloud.checks.push(check);
        if shown.verdict != Verdict::Trusted {
            return cloud.ends(&[ANSWER], "no key is sent over a connection that is not trusted");
        }
    } else {
        let through = "this kind of proxy cannot be looked through";
        let why = if target.is_tls { through } else { "plain HTTP to this machine" };
        cloud.checks.push(Check::skipped(CERTIFICATE, why));
        cloud.offset_ms = offset(&client, clock, false).await;
    }
    let check = ask(&target, key, &client).await;
    cloud.checks.push(check);
    cloud
}

/// The stream; none if it cannot be had through such a proxy.
async fn through_proxy(cloud: &mut Cloud, proxy: &str, target: &Target) -> Result<Option<TcpStream>, String> {
    let derived = [NAME, CONNECTION].map(|name| Check::skipped(name, "the proxy does it"));
    let found = |shown: &str, why: String| {
        Check::found(PROXY, Finding::new(Problem::ProxyFailing).with("proxy", shown), why)
    };
    let (check, way) = match Proxy::parse(proxy) {
        None => {
            (found("cloud.proxy", "cloud.proxy is no URL".to_owned()), Err("the proxy is none".to_owned()))
        }
        Some(proxy) => match proxy.connect(&target.host, target.port).await {
            Ok(stream) => (Check::pass(PROXY, format!("{} lets us through", proxy.shown())), Ok(stream)),
            Err(why) => (found(&proxy.shown(), why), Err("the proxy does not let us through".to_owned())),
        },
    };
    cloud.checks.push(check);
    cloud.checks.extend(derived);
    way
}

async fn directly(cloud: &mut Cloud, target: &Target) -> Result<Option<TcpStream>, String> {
    let of = |problem| Finding::new(problem).with("host", &target.host);
    let resolved = way::resolve(&target.host, target.port).await;
    let (name, connected) = match resolved {
        Err(why) => (Check::found(NAME, of(Problem::CloudDns), why), None),
        Ok(addresses) => {
            let all: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            let name = match target.is_address() {
                true => Check::skipped(NAME, "the URL names an address"),
                false => Check::pass(NAME, format!("{} is {}", target.host, all.join(", "))),
            };
            (name, Some(way::connect(&addresses).await))
        }
    };
    let (connection, stream) = match connected {
        None => (Check::skipped(CONNECTION, "not asked: the name does not resolve"), None),
        Some(Err(why)) => (unreached(target, why).await, None),
        Some(Ok(stream)) => (Check::pass(CONNECTION, format!("port {} answers", target.port)), Some(stream)),
    };
    if stream.is_some() {
        cloud.checks.extend([Check::skipped(PROXY, "none is configured, none is needed"), name, connection]);
        return Ok(stream);
    }
    let none = || (Check::skipped(PROXY, "none is configured, and none was found in time"), false);
    let (proxy, explained) =
        tokio::time::timeout(HINTS_LIMIT, hints(target)).await.unwrap_or_else(|_| none());
    let mut both = [name, connection];
    if explained {
        both.iter_mut()
            .filter(|check| check.finding.is_some())
            .for_each(|check| check.explained("only through a proxy"));
    }
    cloud.checks.push(proxy);
    cloud.checks.extend(both);
    Err("the cloud is not reached".to_owned())
}

/// Nobody answers; unless it is a page for guests that lets nobody else through.
async fn unreached(target: &Target, why: String) -> Check {
    let of = |problem| Finding::new(problem).with("host", &target.host);
    match portal::look(target).await {
        Some(portal) => Check::found(CONNECTION, of(Problem::CaptivePortal), format!("{portal}; {why}")),
        None => Check::found(CONNECTION, of(Problem::CloudUnreachable), why),
    }
}

/// Is a proxy what is missing? Those that the environment names are asked, and what browsers look for is looked for.
async fn hints(target: &Target) -> (Check, bool) {
    let needed = |shown: &str, evidence: String| {
        let finding = Finding::new(Problem::ProxyNeeded).with("host", &target.host).with("proxy", shown);
        (Check::found(PROXY, finding, evidence), true)
    };
    let mut tried = Vec::new();
    for proxy in environment::proxies().iter().filter_map(|text| Proxy::parse(text)) {
        let shown = proxy.shown();
        match proxy.connect(&target.host, target.port).await {
            Ok(_) => return needed(&shown, format!("the environment names {shown}, and it lets us through")),
            Err(why) => tried.push(format!("{shown} of the environment: {why}")),
        }
    }
    if !target.is_here() && announces_a_proxy().await {
        return needed("wpad", "the network announces a proxy to browsers (http://wpad/wpad.dat)".to_owned());
    }
    let why =
        if tried.is_empty() { "none is configured, none is announced".to_owned() } else { tried.join("; ") };
    (Check::skipped(PROXY, why), false)
}

/// Whether there is a script that tells browsers their proxy.
async fn announces_a_proxy() -> bool {
    let looked = async {
        let client = reqwest::Client::builder().no_proxy().timeout(HINT_LIMIT).build().ok()?;
        client.get("http://wpad/wpad.dat").send().await.ok()?.text().await.ok()
    };
    let script = tokio::time::timeout(HINT_LIMIT, looked).await.ok().flatten();
    script.is_some_and(|script| script.contains("FindProxyForURL"))
}

/// It is our configuration that stands in the way.
fn own_side(target: &Target, error: &ClientError) -> Check {
    let finding = match error {
        ClientError::CaFile { path, .. } => {
            Finding::new(Problem::ConfigBad).with("path", path.display().to_string())
        }
        _ => Finding::new(Problem::TlsFailing).with("host", &target.host),
    };
    Check::found(CERTIFICATE, finding, error.to_string())
}

async fn handshake(
    config: &Config,
    target: &Target,
    clock: &BoxClock,
    stream: TcpStream,
) -> Result<Shown, ClientError> {
    let shaking = shake_hands(&config.cloud, clock, &target.host, stream);
    match tokio::time::timeout(HANDSHAKE_LIMIT, shaking).await {
        Ok(shown) => shown,
        Err(_) => {
            let why = format!("no TLS handshake within {}", humantime::format_duration(HANDSHAKE_LIMIT));
            Ok(Shown { chain: Vec::new(), verdict: Verdict::Failed(why) })
        }
    }
}

async fn judge(
    cloud: &mut Cloud,
    target: &Target,
    shown: &Shown,
    known: Known,
    client: &Client,
    clock: &BoxClock,
) -> Check {
    let mut portal = None;
    match shown.verdict {
        Verdict::Trusted => cloud.offset_ms = offset(client, clock, false).await,
        Verdict::Dates => cloud.offset_ms = offset(client, clock, true).await,
        _ => portal = portal::look(target).await,
    }
    certificate::judge(&target.host, shown, Known { offset_ms: cloud.offset_ms, ..known }, portal)
}

/// The cloud's clock minus ours, if it tells the time.
async fn offset(client: &Client, clock: &BoxClock, dateless: bool) -> Option<i64> {
    let told = tokio::time::timeout(ANSWER_LIMIT, client.told_ms(clock, dateless)).await;
    let told_ms = told.ok()?.ok()??;
    Some(told_ms - clock.now_ms())
}

async fn ask(target: &Target, key: Option<&StoreKey>, client: &Client) -> Check {
    let Some(key) = key else { return Check::skipped(ANSWER, "not asked: there is no usable key") };
    let asked = async {
        let once = || client.call(Method::GET, answer::PATH, key, None);
        match once().await {
            // The connection over which the time was told may have been closed since; that is no answer.
            Err(_) => once().await,
            answered => answered,
        }
    };
    match tokio::time::timeout(ANSWER_LIMIT, asked).await {
        Ok(Ok((status, body))) => answer::judge(&target.host, key, status, &body),
        Ok(Err(why)) => {
            Check::found(ANSWER, Finding::new(Problem::CloudFailing).with("host", &target.host), why)
        }
        Err(_) => {
            let why = format!("no answer within {}", humantime::format_duration(ANSWER_LIMIT));
            Check::found(ANSWER, Finding::new(Problem::CloudFailing).with("host", &target.host), why)
        }
    }
}

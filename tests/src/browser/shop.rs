//! The shop that is looked at: an agent as a child process, and devices of which each has something else the matter with it.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::{Value, json};

use crate::devices::answers::{hostile_page, page, printer, probe, ups};
use crate::devices::{
    Asked, COUNTER, Condition, EscposPrinter, LinePrinter, Manner, Roll, Stopped, WeighingScale,
};
use crate::proxy::Proxy;
use crate::store::{Agent, AgentSetup, Store};
use crate::wait;

/// As long as it may be: nothing else on a page has these digits by chance.
const PIN: &str = "739105284617";
/// A secret of a device, to be found nowhere.
const PASSWORD: &str = "canary-password-5417";
/// How long everything may take to be as it is arranged.
const PATIENCE: Duration = Duration::from_secs(60);
/// What would run if it became HTML.
const HOSTILE: &str = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>";

/// A device, and how it must be shown.
#[derive(Debug, Clone, Copy, Serialize)]
struct Arranged {
    id: &'static str,
    state: &'static str,
    /// It has said a value, now or before it fell silent.
    value: bool,
    /// One of these is told; none if it is well.
    findings: &'static [&'static str],
}

const fn well(id: &'static str) -> Arranged {
    Arranged { id, state: "ok", value: true, findings: &[] }
}

const fn ill(id: &'static str, state: &'static str, findings: &'static [&'static str]) -> Arranged {
    Arranged { id, state, value: false, findings }
}

const DEVICES: [Arranged; 13] = [
    well("gateway"),
    well("fridge"),
    well("fridge-api"),
    well("printer-1"),
    well("scale-1"),
    // It answers, and says that it has no paper.
    Arranged { findings: &["paper_out"], ..well("printer-2") },
    // They have answered, and are silent since: what they said is old.
    Arranged { value: true, ..ill("freezer", "unreachable", &["device_refused"]) },
    Arranged { value: true, ..ill("pos-01", "stale", &["device_stale"]) },
    ill("cold-room", "fault", &["device_fault"]),
    ill("ups", "unreachable", &["device_refused"]),
    ill("kitchen-printer", "unreachable", &["device_silent"]),
    ill("till-printer", "unreachable", &["port_missing"]),
    ill("menu-board", "fault", &["device_fault"]),
];

/// The agent and what is around it.
pub(super) struct Shop {
    agent: Agent,
    link: Option<Proxy>,
    printer: EscposPrinter,
    scale: WeighingScale,
    /// They go on by themselves.
    _others: (Vec<Asked>, EscposPrinter, Stopped),
}

impl Shop {
    /// Opens it, and waits until every device is as it is arranged.
    pub(super) async fn open(testbed: &Path, store: &Store, link: Proxy) -> anyhow::Result<Self> {
        let dir = &store.dir;
        let fridge = Asked::start(Manner::Well, probe).await?;
        let freezer = Asked::start(Manner::Well, probe).await?;
        let cold_room = Asked::start(Manner::Garbage, probe).await?;
        let api = Asked::start(Manner::Well, page).await?;
        let board = Asked::start(Manner::Well, hostile_page).await?;
        let power = Asked::start(Manner::Refusing, ups).await?;
        let kitchen = Asked::start(Manner::Silent, printer).await?;
        let (mut paper, mut empty) = (EscposPrinter::default(), EscposPrinter::default());
        let paper_port = dir.join("ttyPRINTER");
        paper.plug_in(&paper_port)?;
        empty.set(Condition { roll: Roll::Out, ..Condition::default() });
        let empty_address = empty.listen(0).await?;
        let scale = WeighingScale::plug_in(&dir.join("ttySCALE"))?;
        let till = LinePrinter::start(dir, "ttyPOS", Duration::from_millis(200))?;

        let mut devices = "  gateway: { host: { interval: 1s } }\n".to_owned();
        for (id, asked) in [("fridge", &fridge), ("freezer", &freezer), ("cold-room", &cold_room)] {
            let at = asked.address;
            writeln!(
                devices,
                "  {id}: {{ modbus: {{ tcp: '{at}', unit: 1, preset: xy-md02, interval: 1s }} }}"
            )?;
        }
        for (id, asked) in [("fridge-api", &api), ("menu-board", &board)] {
            let (at, metric) = (asked.address, format!("hw.temperature{{hw.sensor_location=\"{HOSTILE}\"}}"));
            writeln!(
                devices,
                "  {id}:\n    http_json:\n      url: http://{at}/\n      username: shop\n      password: {PASSWORD}\n      \
                 interval: 1s\n      values: [{{ pointer: /t, metric: '{metric}' }}]"
            )?;
        }
        writeln!(devices, "  ups: {{ nut: {{ target: '{}', ups: ups, interval: 1s }} }}", power.address)?;
        let missing = dir.join(format!("tty{HOSTILE}"));
        for (id, at) in [
            ("printer-1", format!("port: '{}'", paper_port.display())),
            ("printer-2", format!("tcp: '{empty_address}'")),
            ("kitchen-printer", format!("tcp: '{}'", kitchen.address)),
            ("till-printer", format!("port: '{}'", missing.display())),
        ] {
            writeln!(devices, "  {id}: {{ escpos: {{ {at}, interval: 1s }} }}")?;
        }
        writeln!(
            devices,
            "  scale-1: {{ scale: {{ port: '{}', protocol: toledo_8217, interval: 1s }} }}",
            scale.port.display()
        )?;
        writeln!(
            devices,
            "  pos-01:\n    serial_lines:\n      port: {}\n      stale_after: 3s\n      patterns:\n        \
             - match: 'SALE no=(?<no>\\d+) .*'\n          metrics: {{ no: {COUNTER} }}",
            till.port.display()
        )?;

        let pin = dir.join("page.pin");
        std::fs::write(&pin, PIN)?;
        std::fs::set_permissions(&pin, std::fs::Permissions::from_mode(0o600))?;
        let local = ", pin_file: page.pin".to_owned();
        let setup = AgentSetup { devices, local, push: true, retry_max: Some("2s"), ..AgentSetup::default() };
        let agent = Agent::start(testbed, store, &setup).await?;
        until(&agent, |id, device| !["freezer", "pos-01"].contains(&id) || has_value(device)).await?;
        // From now on nobody listens there, and the till says nothing more.
        drop(freezer);
        let till = till.stop().await?;
        until(&agent, as_arranged).await?;
        agent.until_drained_once(PATIENCE).await?;
        let others = (vec![fridge, cold_room, api, board, power, kitchen], empty, till);
        Ok(Self { agent, link: Some(link), printer: paper, scale, _others: others })
    }

    /// What the player is told.
    pub(super) fn told(&self, scenes: &[String], shots: &Path) -> anyhow::Result<Value> {
        let store = &self.agent.store;
        let key = store.key.expose();
        Ok(json!({
            "url": format!("http://{}", self.agent.status),
            "pin": PIN,
            "devices": DEVICES,
            "hostile": ["fridge-api", "till-printer", "menu-board"],
            "store": store.id.as_str(),
            "key_id": store.key.id(),
            "secrets": { "the key": key, "the PIN": PIN, "a device's password": PASSWORD },
            "scenes": scenes,
            "shots": shots,
        }))
    }

    /// Has something happen.
    pub(super) async fn grant(&mut self, wish: &str) -> anyhow::Result<()> {
        match wish.split_once(' ').unwrap_or((wish, "")) {
            // Nobody listens there any more.
            ("cut-cloud", _) => match self.link.take() {
                Some(link) => link.stop().await,
                None => bail!("the cloud has been cut off before"),
            },
            ("weigh", kg) => self.scale.lay(kg.parse().with_context(|| kg.to_owned())?),
            ("drawer", how) => {
                self.printer.set(Condition { drawer_high: how == "open", ..Condition::default() })
            }
            _ => bail!("nobody knows how to {wish}"),
        }
        Ok(())
    }

    /// Ends the agent.
    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        if let Some(link) = self.link.take() {
            link.stop().await;
        }
        self.agent.stop().await
    }
}

/// Waits until this holds for every device.
async fn until(agent: &Agent, is: impl Fn(&str, &Value) -> bool) -> anyhow::Result<()> {
    wait::until("the devices to be as arranged", PATIENCE, async || {
        let status = agent.read_status().await?;
        let device = |arranged: &Arranged| &status["devices"][arranged.id];
        let not: Vec<String> = DEVICES
            .iter()
            .filter(|arranged| !is(arranged.id, device(arranged)))
            .map(|arranged| format!("{} (to be {}): {}", arranged.id, arranged.state, device(arranged)))
            .collect();
        if not.is_empty() { Ok(Some(())) } else { bail!("{}", not.join("\n")) }
    })
    .await
}

fn has_value(device: &Value) -> bool {
    device["values"].as_object().is_some_and(|values| !values.is_empty())
}

fn as_arranged(id: &str, device: &Value) -> bool {
    let arranged = DEVICES.iter().find(|arranged| arranged.id == id);
    arranged
        .is_some_and(|arranged| device["state"] == arranged.state && (!arranged.value || has_value(device)))
}

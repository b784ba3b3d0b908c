//! Mosquitto, and its client for publishing: sensors of four formats behind one broker. The judge is what was published.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::shop::{Shop, values};
use super::tally::Tally;
use crate::peers::Shown;
use crate::peers::program::{self, Program};
use crate::wait;

/// Not in everybody's path.
const BROKER: &str = "/usr/sbin/mosquitto";
const LIMIT: Duration = Duration::from_secs(15);
/// Messages of one sensor, one after another.
const ROUNDS: u32 = 10;

/// A broker that knows one user, and its folder.
struct Broker {
    dir: PathBuf,
    port: u16,
    starts: u32,
    program: Option<Program>,
}

impl Broker {
    fn set_up(dir: &Path) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let made = Command::new("mosquitto_passwd")
            .args(["-b", "-c"])
            .arg(dir.join("users"))
            .args(["till", "right"])
            .status()?;
        anyhow::ensure!(made.success(), "mosquitto_passwd ended with {made}");
        Ok(Self { dir: dir.to_owned(), port, starts: 0, program: None })
    }

    fn log(&self) -> PathBuf {
        self.dir.join(format!("broker-{}.log", self.starts))
    }

    fn start(&mut self) -> anyhow::Result<()> {
        self.starts += 1;
        // What it says on its output is held back for long. Started by root, it would become a user that cannot read this
        // folder.
        let settings = format!(
            "listener {} 127.0.0.1\nallow_anonymous false\npassword_file {}\npersistence false\nuser root\nlog_dest file {}\nlog_type all\n",
            self.port,
            self.dir.join("users").display(),
            self.log().display()
        );
        let config = self.dir.join("mosquitto.conf");
        std::fs::write(&config, settings)?;
        let log = self.dir.join("mosquitto.log");
        self.program = Some(Program::start(Path::new(BROKER), &[Path::new("-c"), &config], &[], &log)?);
        Ok(())
    }

    /// Waits until these devices have subscribed since the start.
    async fn has_subscribers(&self, devices: &[&str]) -> anyhow::Result<()> {
        wait::until("subscriptions", LIMIT, async || {
            let log = std::fs::read_to_string(self.log())?;
            let all =
                devices.iter().all(|device| log.contains(&format!("Sending SUBACK to storepulse-{device}")));
            Ok(all.then_some(()))
        })
        .await
        .with_context(|| self.program.as_ref().map(Program::said).unwrap_or_default())
    }

    fn publish(&self, topic: &str, payload: &str, more: &[&str]) -> anyhow::Result<()> {
        // Through a file: one of the messages is longer than a command line may be.
        let file = self.dir.join("payload");
        std::fs::write(&file, payload)?;
        let port = self.port.to_string();
        let said = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port, "-u", "till", "-P", "right", "-t", topic, "-q", "1", "-f"])
            .arg(&file)
            .args(more)
            .output()?;
        if !said.status.success() {
            bail!("mosquitto_pub {topic}: {}", String::from_utf8_lossy(&said.stderr));
        }
        Ok(())
    }

    /// Until it takes connections.
    async fn is_up(&self) -> anyhow::Result<()> {
        wait::until("the broker", LIMIT, async || self.publish("up", "1", &[]).map(Some)).await
    }

    fn devices(&self) -> String {
        let device = |id: &str, password: &str, rest: &str| {
            format!(
                "  {id}:\n    mqtt: {{ broker: '127.0.0.1:{}', username: till, password: {password}, {rest} }}\n",
                self.port
            )
        };
        [
            device("fridge", "right", "format: zigbee2mqtt, topic: zigbee2mqtt/fridge"),
            device("freezer", "right", "format: tasmota, topic: tele/freezer"),
            device("room", "right", "format: shelly, topic: shellyplusht-1"),
            device(
                "oven",
                "right",
                "format: json, topic: oven, stale_after: 2s, values: [{ pointer: /t/0, metric: hw.temperature, scale: 0.5, offset: -40 }]",
            ),
            device("stranger", "wrong", "format: zigbee2mqtt, topic: zigbee2mqtt/fridge"),
        ]
        .concat()
    }
}

const DEVICES: [&str; 4] = ["fridge", "freezer", "room", "oven"];

pub(crate) async fn run(dir: &Path) -> anyhow::Result<Shown> {
    let version = program::version(Path::new("/bin/sh"), &["-c", &format!("{BROKER} -h | head -n 1")])?;
    let mut tally = Tally::default();
    let mut broker = Broker::set_up(dir)?;
    broker.start()?;
    broker.is_up().await?;
    let minute_ago = unix_ms()? / 1_000 - 60;
    retained(&broker, minute_ago)?;
    let shop = Shop::open(dir, &broker.devices()).await?;
    broker.has_subscribers(&DEVICES).await?;

    let stranger = shop.until_state("stranger", "unreachable").await?;
    tally.same("a wrong password", error_kind(&stranger), Some("denied"));
    let room = shop.until_state("room", "ok").await?;
    let read_at = room["values"]["hw.temperature"]["t"].as_i64();
    tally.same("the time of a retained message", read_at, Some(minute_ago * 1_000 + 620));
    live(&broker, &shop, &mut tally).await?;
    wrong(&broker, &shop, &mut tally).await?;
    away(&mut broker, &shop, &mut tally).await?;
    shop.close().await?;
    Ok(tally.shown(version, format!("{ROUNDS} rounds, broker killed and started again")))
}

/// What the broker has kept from before: history.
fn retained(broker: &Broker, minute_ago: i64) -> anyhow::Result<()> {
    broker.publish("zigbee2mqtt/fridge", r#"{"temperature":99}"#, &["-r"])?;
    broker.publish("zigbee2mqtt/bridge/state", r#"{"state":"online"}"#, &["-r"])?;
    broker.publish(
        "tele/freezer/SENSOR",
        r#"{"Time":"2024-05-01T12:00:00","DS18B20":{"Temperature":99}}"#,
        &["-r"],
    )?;
    broker.publish("tele/freezer/LWT", "Online", &["-r"])?;
    let told = format!(
        r#"{{"src":"shellyplusht-1","method":"NotifyFullStatus","params":{{"ts":{minute_ago}.62,"temperature:0":{{"id":0,"tC":19.8,"tF":67.6}},"humidity:0":{{"rh":42.2}},"devicepower:0":{{"battery":{{"V":5.4,"percent":87}}}},"wifi":{{"rssi":-60}}}}}}"#
    );
    broker.publish("shellyplusht-1/events/rpc", &told, &["-r"])
}

async fn live(broker: &Broker, shop: &Shop, tally: &mut Tally) -> anyhow::Result<()> {
    for device in ["fridge", "freezer"] {
        let known = shop.device(device).await?;
        tally.same(&format!("{device}: history is no sample"), known["samples"].as_u64(), Some(0));
        tally.holds(&format!("{device}: history is no state"), known["state"].is_null());
    }
    for round in 0..ROUNDS {
        let celsius = f64::from(round) / 4.0 - 1.25;
        let told = format!(
            r#"{{"temperature":{celsius},"humidity":55.43,"pressure":1000.6,"battery":86,"voltage":2995,"linkquality":255,"contact":false}}"#
        );
        broker.publish("zigbee2mqtt/fridge", &told, &[])?;
        let is = |device: &Value| device["values"]["hw.temperature"]["value"] == celsius;
        shop.until("fridge", "its temperature", is).await?;
    }
    let theirs = [
        ("hw.temperature", f64::from(ROUNDS - 1) / 4.0 - 1.25),
        ("hw.humidity", 0.5543),
        ("hw.pressure", 100_060.0),
        ("hw.battery.charge", 0.86),
        ("hw.voltage", 2.995),
        ("hw.network.link_quality", 1.0),
        ("retail.cabinet.door.open", 1.0),
    ];
    let fridge = shop.device("fridge").await?;
    tally.same("fridge: samples", fridge["samples"].as_u64(), Some(u64::from(ROUNDS) * 7));
    same_values("fridge", &fridge, &theirs, tally);

    let told = r#"{"Time":"2024-05-01T12:00:00","DS18B20-1":{"Id":"01131B123456","Temperature":-0.4},"AM2301":{"Temperature":41.0,"Humidity":60.5},"TempUnit":"F"}"#;
    broker.publish("tele/freezer/SENSOR", told, &[])?;
    let freezer = shop.until_state("freezer", "ok").await?;
    let theirs = [
        (r#"hw.temperature{hw.name="DS18B20-1"}"#, -18.0),
        (r#"hw.temperature{hw.name="AM2301"}"#, 5.0),
        (r#"hw.humidity{hw.name="AM2301"}"#, 0.605),
    ];
    same_values("freezer", &freezer, &theirs, tally);

    let theirs = [
        ("hw.temperature", 19.8),
        ("hw.humidity", 0.422),
        ("hw.battery.charge", 0.87),
        ("hw.voltage", 5.4),
        ("hw.network.signal", -60.0),
    ];
    same_values("room", &shop.device("room").await?, &theirs, tally);

    broker.publish("oven", r#"{"t":[480]}"#, &[])?;
    same_values("oven", &shop.until_state("oven", "ok").await?, &[("hw.temperature", 200.0)], tally);
    // Nobody tells that it has fallen silent.
    shop.until_state("oven", "stale").await?;
    tally.holds("a silent sensor is stale", true);
    Ok(())
}

/// Garbage, a message without end, and sensors that are said to be away.
async fn wrong(broker: &Broker, shop: &Shop, tally: &mut Tally) -> anyhow::Result<()> {
    broker.publish("tele/freezer/SENSOR", "4111111111111111", &[])?;
    let freezer = shop.until_state("freezer", "fault").await?;
    tally.same("garbage", error_kind(&freezer), Some("parse"));
    tally.holds("garbage is told", !freezer.to_string().contains("4111"));
    broker.publish("tele/freezer/LWT", "Offline", &["-r"])?;
    shop.until_state("freezer", "unreachable").await?;
    broker.publish("tele/freezer/SENSOR", r#"{"DS18B20-1":{"Temperature":-19}}"#, &[])?;
    shop.until_state("freezer", "ok").await?;

    broker.publish("shellyplusht-1/events/rpc", &format!(r#"{{"x":"{}"}}"#, "x".repeat(300 << 10)), &[])?;
    let room = shop.until("room", "an error", |device| device["errors"]["too_large"] == 1).await?;
    tally.same("a message of 300 KiB", error_kind(&room), Some("too_large"));
    tally.same("the others meanwhile", shop.device("fridge").await?["state"].as_str(), Some("ok"));
    // It comes back by itself, and has what it knew.
    shop.until_state("room", "ok").await?;

    broker.publish("zigbee2mqtt/bridge/state", r#"{"state":"offline"}"#, &["-r"])?;
    let fridge = shop.until_state("fridge", "unreachable").await?;
    tally.same("a bridge that is away", error_kind(&fridge), Some("timeout"));
    broker.publish("zigbee2mqtt/bridge/state", r#"{"state":"online"}"#, &["-r"])?;
    shop.until_state("fridge", "ok").await?;
    Ok(())
}

/// The broker is killed, and comes back without remembering anything: who subscribes anew hears what comes then.
async fn away(broker: &mut Broker, shop: &Shop, tally: &mut Tally) -> anyhow::Result<()> {
    broker.program = None;
    for device in DEVICES {
        let gone = shop.until_state(device, "unreachable").await?;
        tally.same(&format!("{device} without its broker"), error_kind(&gone), Some("refused"));
    }
    broker.start()?;
    broker.is_up().await?;
    broker.has_subscribers(&DEVICES).await?;
    broker.publish("zigbee2mqtt/fridge", r#"{"temperature":-2.5}"#, &[])?;
    let fridge = shop
        .until("fridge", "a value after the broker was away", |device| {
            device["values"]["hw.temperature"]["value"] == -2.5
        })
        .await?;
    tally.same("fridge after its broker was away", fridge["state"].as_str(), Some("ok"));
    Ok(())
}

fn same_values(device: &str, known: &Value, theirs: &[(&str, f64)], tally: &mut Tally) {
    let ours = values(known);
    tally.same(&format!("{device}: number of series"), ours.len(), theirs.len());
    for (series, value) in theirs {
        tally.same(&format!("{device}: {series}"), ours.get(*series), Some(value));
    }
}

fn error_kind(device: &Value) -> Option<&str> {
    device["last_error"]["kind"].as_str()
}

fn unix_ms() -> anyhow::Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

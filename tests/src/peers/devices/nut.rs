//! Network UPS Tools: upsd, and its driver that makes a UPS out of a file. The judge is the file.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::shop::{Shop, values};
use super::tally::Tally;
use crate::peers::Shown;
use crate::peers::program::{self, Program};

/// Debian's `upsd` in the path is a script that wants a system set up for it; this is the program.
const PROGRAMS: &str = "/lib/nut";
const LIMIT: Duration = Duration::from_secs(10);

struct Upses {
    folder: PathBuf,
    environment: Vec<(&'static str, String)>,
    port: u16,
}

impl Upses {
    fn set_up(dir: &Path) -> anyhow::Result<Self> {
        let folder = dir.join("nut");
        // upsd refuses nothing, and complains of folders that others can read.
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        std::fs::write(folder.join("ups.conf"), "[storeups]\ndriver = dummy-ups\nport = storeups.dev\n")?;
        std::fs::write(folder.join("upsd.conf"), format!("LISTEN 127.0.0.1 {port}\n"))?;
        std::fs::write(folder.join("upsd.users"), "")?;
        let paths = ["NUT_CONFPATH", "NUT_STATEPATH", "NUT_ALTPIDPATH"];
        let environment = paths.map(|name| (name, folder.display().to_string())).to_vec();
        Ok(Self { folder, environment, port })
    }

    /// What the UPS is to say; the driver looks at the file's time.
    fn say(&self, variables: &str) -> anyhow::Result<()> {
        let new = self.folder.join("storeups.new");
        std::fs::write(&new, variables)?;
        std::fs::rename(new, self.folder.join("storeups.dev"))?;
        Ok(())
    }

    fn start(&self, program: &str, args: &[&str]) -> anyhow::Result<Program> {
        let log = self.folder.join(format!("{program}.log"));
        Program::start(&Path::new(PROGRAMS).join(program), args, &self.environment, &log)
    }

    async fn driver(&self) -> anyhow::Result<Program> {
        // In the foreground, which it takes for debugging.
        let mut driver = self.start("dummy-ups", &["-a", "storeups", "-u", "root", "-D"])?;
        let deadline = tokio::time::Instant::now() + LIMIT;
        while !self.folder.join("dummy-ups-storeups").exists() {
            if driver.ended()?.is_some() || tokio::time::Instant::now() > deadline {
                bail!("the driver does not start\n{}", driver.said());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(driver)
    }

    async fn upsd(&self) -> anyhow::Result<Program> {
        let mut upsd = self.start("upsd", &["-F", "-u", "root"])?;
        let deadline = tokio::time::Instant::now() + LIMIT;
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            if upsd.ended()?.is_some() || tokio::time::Instant::now() > deadline {
                bail!("upsd does not start\n{}", upsd.said());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(upsd)
    }
}

const ON_MAINS: &str = "battery.charge: 100\nbattery.runtime: 1260\nbattery.voltage: 27.3\ninput.voltage: 229.8\n\
output.voltage: 230.0\nups.load: 23\nups.mfr: Store 12 \"back room\" \\\\ UPS\nups.status: OL CHRG\nups.temperature: 31.5\n";
const ON_BATTERY: &str =
    "battery.charge: 19\nbattery.runtime: 120\nups.load: 130\nups.status: OB DISCHRG LB OVER SHINY\n";

pub(crate) async fn run(dir: &Path) -> anyhow::Result<Shown> {
    let version = program::version(&Path::new(PROGRAMS).join("upsd"), &["-V"])?;
    let upses = Upses::set_up(dir)?;
    upses.say(ON_MAINS)?;
    let driver = upses.driver().await?;
    let upsd = upses.upsd().await?;
    let settings = |ups: &str| {
        let port = upses.port;
        format!("{{ target: '127.0.0.1:{port}', ups: {ups}, interval: 500ms, timeout: 450ms, jitter: 1ms }}")
    };
    let devices =
        format!("  ups-1:\n    nut: {}\n  ups-2:\n    nut: {}\n", settings("storeups"), settings("nobodys"));
    let shop = Shop::open(dir, &devices).await?;
    let mut tally = Tally::default();

    let device = shop.until_state("ups-1", "ok").await.with_context(|| upsd.said())?;
    let shown = values(&device);
    for (series, told) in [
        ("hw.battery.charge", 1.0),
        ("hw.battery.time_left", 1_260.0),
        ("hw.status", 1.0),
        ("hw.temperature", 31.5),
        ("hw.voltage{hw.sensor_location=\"battery\"}", 27.3),
        ("hw.voltage{hw.sensor_location=\"input\"}", 229.8),
        ("hw.voltage{hw.sensor_location=\"output\"}", 230.0),
        ("retail.ups.load", 0.23),
        ("retail.ups.low_battery", 0.0),
        ("retail.ups.on_battery", 0.0),
        ("retail.ups.overload", 0.0),
        ("retail.ups.replace_battery", 0.0),
        ("retail.ups.status.unknown", 0.0),
    ] {
        tally.same(series, shown.get(series).copied(), Some(told));
    }
    let other = shop.until_state("ups-2", "fault").await?;
    tally.holds("a UPS that upsd does not have is wrong_device", other["errors"]["wrong_device"].is_u64());

    upses.say(ON_BATTERY)?;
    let on_battery = |device: &serde_json::Value| values(device).get("retail.ups.on_battery") == Some(&1.0);
    let shown = values(&shop.until("ups-1", "on battery", on_battery).await?);
    for (series, told) in [
        ("hw.battery.charge", 0.19),
        ("hw.battery.time_left", 120.0),
        ("hw.status", 0.0),
        ("retail.ups.load", 1.3),
        ("retail.ups.low_battery", 1.0),
        ("retail.ups.overload", 1.0),
        ("retail.ups.status.unknown", 1.0),
    ] {
        tally.same(series, shown.get(series).copied(), Some(told));
    }

    drop(driver);
    let device = shop.until_state("ups-1", "fault").await?;
    tally.holds("a driver that has gone is an exception", device["errors"]["exception"].is_u64());
    upses.say(ON_MAINS)?;
    let _ = std::fs::remove_file(upses.folder.join("dummy-ups-storeups"));
    let driver = upses.driver().await?;
    shop.until_state("ups-1", "ok").await.with_context(|| driver.said())?;
    drop(upsd);
    let device = shop.until_state("ups-1", "unreachable").await?;
    tally.holds("an upsd that has gone is refused", device["errors"]["refused"].is_u64());
    let _upsd = upses.upsd().await?;
    let device = shop.until_state("ups-1", "ok").await?;
    tally.same("after all that", values(&device).get("hw.battery.charge").copied(), Some(1.0));
    shop.close().await?;
    Ok(tally.shown(version, "its driver and it killed and started again"))
}

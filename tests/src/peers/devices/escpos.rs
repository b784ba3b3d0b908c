//! python-escpos, a program that prints receipts, asks a simulated printer the same as our agent: on TCP and on a serial port,
//! in every state that both can tell, they must agree. Only where the printer is silent they do not: python-escpos then says
//! that there is paper, and we say nothing.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::shop::{Shop, values};
use super::tally::Tally;
use crate::devices::{Condition, EscposPrinter, Roll};
use crate::peers::Shown;
use crate::peers::program::{self, Program};

const ON_TCP: &str = "printer-1";
const ON_SERIAL: &str = "printer-2";

/// How the other program says what we say, and how we do: paper 2, 1 and 0 are our 0, 1 and 2.
fn ours_of(theirs: &Value) -> anyhow::Result<(f64, f64)> {
    let online = theirs["online"].as_bool().with_context(|| format!("no online in {theirs}"))?;
    let paper = theirs["paper"].as_f64().with_context(|| format!("no paper in {theirs}"))?;
    Ok((f64::from(u8::from(online)), 2.0 - paper))
}

fn conditions() -> [(&'static str, Condition); 8] {
    let well = Condition::default();
    [
        ("online", well),
        ("drawer", Condition { drawer_high: true, ..well }),
        ("near end", Condition { roll: Roll::NearEnd, ..well }),
        ("out", Condition { roll: Roll::Out, ..well }),
        ("cover open", Condition { cover_open: true, ..well }),
        ("cover open and near end", Condition { cover_open: true, roll: Roll::NearEnd, ..well }),
        ("feed button", Condition { feed_button: true, ..well }),
        ("cutter", Condition { cutter_error: true, ..well }),
    ]
}

pub(crate) async fn run(dir: &Path) -> anyhow::Result<Shown> {
    let mut printer = EscposPrinter::default();
    let address = printer.listen(0).await?;
    let (port, other_port) = (dir.join("ttyA"), dir.join("ttyB"));
    printer.plug_in(&port)?;
    // Two readers of one line would steal each other's bytes: the other program has a line of its own.
    printer.plug_in(&other_port)?;
    let mut other = Other::start(dir).await?;
    let common = "interval: 200ms, timeout: 500ms, jitter: 1ms, drawer: { open_when: high }";
    let devices = format!(
        "  {ON_TCP}:\n    escpos: {{ tcp: '{address}', {common} }}\n  {ON_SERIAL}:\n    escpos: {{ port: {}, {common} }}\n",
        port.display()
    );
    let shop = Shop::open(dir, &devices).await?;
    let on_tcp = format!("tcp {} {}", address.ip(), address.port());
    let on_serial = format!("serial {}", other_port.display());
    let mut tally = Tally::default();
    for (name, condition) in conditions() {
        printer.set(condition);
        for (device, question) in [(ON_TCP, &on_tcp), (ON_SERIAL, &on_serial)] {
            let theirs = other.ask(question).await?;
            let ours = after(&shop, device, &printer).await?;
            let both = (ours["retail.printer.online"], ours["retail.printer.paper.state"]);
            tally.same(&format!("{device} {name}: online, paper"), both, ours_of(&theirs)?);
            told(&mut tally, &format!("{device} {name}"), &ours, condition);
        }
    }
    silence(&mut tally, &shop, &printer, &mut other, (&on_tcp, &on_serial)).await?;
    one_connection(&mut tally, &shop, &mut other, &address.to_string()).await?;
    let (questions, others) = printer.heard();
    tally.holds(&format!("{others} bytes that were no question"), others == 0);
    gone(&mut tally, &shop, &mut printer, (address.port(), &port)).await?;
    shop.close().await?;
    Ok(tally.shown(other.version, format!("{questions} questions, nothing else sent")))
}

/// What the other program cannot tell, against what was set.
fn told(tally: &mut Tally, name: &str, ours: &std::collections::BTreeMap<String, f64>, condition: Condition) {
    for (series, is) in [
        ("hw.status", !condition.offline()),
        ("retail.drawer.open", condition.drawer_high),
        ("retail.printer.cover.open", condition.cover_open),
        ("retail.printer.cutter.error", condition.cutter_error),
    ] {
        tally.same(&format!("{name}: {series}"), ours.get(series).copied(), Some(f64::from(u8::from(is))));
    }
}

/// The values of a reading that began after now.
async fn after(
    shop: &Shop,
    device: &str,
    printer: &EscposPrinter,
) -> anyhow::Result<std::collections::BTreeMap<String, f64>> {
    let seen = |device: &Value| device["values"]["hw.status"]["t"].clone();
    // One reading may have begun before; the second has not.
    for _ in 0..2 {
        let before = seen(&shop.device(device).await?);
        shop.until(device, "another reading", |now| now["state"] == "ok" && seen(now) != before).await?;
    }
    ensure!(printer.heard().0 > 0, "the printer was asked nothing");
    Ok(values(&shop.device(device).await?))
}

/// A silent printer has paper for the other program, and is unreachable for us.
async fn silence(
    tally: &mut Tally,
    shop: &Shop,
    printer: &EscposPrinter,
    other: &mut Other,
    (on_tcp, on_serial): (&str, &str),
) -> anyhow::Result<()> {
    printer.set(Condition { silent: true, ..Condition::default() });
    let theirs = other.ask(on_serial).await?;
    tally.same("python-escpos of a silent printer", theirs, json!({"online": false, "paper": 2}));
    tally.same("python-escpos of it on TCP", other.ask(on_tcp).await?, json!({"silent": true}));
    for device in [ON_TCP, ON_SERIAL] {
        let status = shop.until_state(device, "unreachable").await?;
        tally.holds(
            &format!("{device}: silence is a timeout"),
            status["errors"]["timeout"].as_u64() > Some(0),
        );
    }
    printer.set(Condition::default());
    for device in [ON_TCP, ON_SERIAL] {
        shop.until_state(device, "ok").await?;
    }
    Ok(())
}

/// While the other program has the printer's only connection we say so, and it does not notice us.
async fn one_connection(
    tally: &mut Tally,
    shop: &Shop,
    other: &mut Other,
    address: &str,
) -> anyhow::Result<()> {
    let hold = format!("hold {}", address.replace(':', " "));
    tally.same("python-escpos holds the printer", other.ask(&hold).await?, json!({"online": true}));
    let status = shop.until_state(ON_TCP, "unreachable").await?;
    let said = status.to_string();
    tally.holds(&format!("busy or wedged is not said: {said}"), said.contains("busy or wedged"));
    other.ask("let-go").await?;
    shop.until_state(ON_TCP, "ok").await?;
    Ok(())
}

/// A printer that goes away and comes back.
async fn gone(
    tally: &mut Tally,
    shop: &Shop,
    printer: &mut EscposPrinter,
    (tcp_port, serial_port): (u16, &Path),
) -> anyhow::Result<()> {
    std::fs::remove_file(serial_port)?;
    printer.unplug().await;
    for (device, kind) in [(ON_TCP, "refused"), (ON_SERIAL, "missing_port")] {
        let status = shop.until_state(device, "unreachable").await?;
        tally.holds(&format!("{device}: no {kind} in {status}"), status["errors"][kind].as_u64() > Some(0));
    }
    printer.listen(tcp_port).await?;
    printer.plug_in(serial_port)?;
    for device in [ON_TCP, ON_SERIAL] {
        let back = shop.until_state(device, "ok").await?;
        tally.same(
            &format!("{device} is back"),
            values(&back).get("retail.printer.online").copied(),
            Some(1.0),
        );
    }
    Ok(())
}

/// python-escpos, which does what it is told on a connection.
struct Other {
    version: String,
    orders: BufReader<TcpStream>,
    program: Program,
}

impl Other {
    async fn start(dir: &Path) -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = folder.join("../target/peers/venv/bin/python");
        let ask = "import importlib.metadata as m; print('python-escpos', m.version('python-escpos'))";
        let version = program::version(&python, &["-c", ask])?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port().to_string();
        let script = folder.join("peers/escpos_client.py");
        let args = [script.as_os_str(), port.as_ref()];
        let mut program = Program::start(&python, &args, &[], &dir.join("escpos.log"))?;
        let orders = tokio::time::timeout(std::time::Duration::from_secs(30), listener.accept()).await;
        let Ok(orders) = orders else {
            program.has_ended()?;
            anyhow::bail!("python-escpos does not come\n{}", program.said());
        };
        Ok(Self { version, orders: BufReader::new(orders?.0), program })
    }

    async fn ask(&mut self, order: &str) -> anyhow::Result<Value> {
        self.orders.write_all(format!("{order}\n").as_bytes()).await?;
        let mut answer = String::new();
        self.orders.read_line(&mut answer).await?;
        serde_json::from_str(&answer).with_context(|| format!("{order}: {answer:?}\n{}", self.program.said()))
    }
}

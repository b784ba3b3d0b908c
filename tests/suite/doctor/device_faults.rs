//! Faults of devices: serial ports that are pseudo-terminals, devices that answer as they should not. No agent runs, so the doctor
//! asks them itself.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use storepulse_testbed::devices::Answering;

use super::shop::{Shop, all, fault, refuses};
use crate::setting::Setting;

/// The questions of the printer, and of the scale.
const PRINTER_ASKED: &[u8] = b"\x10\x04";
const SCALE_ASKED: &[u8] = b"W";

#[tokio::test]
async fn faults_of_devices_are_named_first() {
    let setting = &Setting::new().await;
    all(vec![
        fault("no such port", ("port_missing", 1, "ttyPRN"), setting, async |shop| {
            printer_at(shop, "ttyPRN")
        }),
        fault("a port that we may not open", ("port_denied", 1, "mode 000"), setting, async |shop| {
            forbid(shop)
        }),
        fault("a port that another program has", ("port_held", 1, "(sleep)"), setting, async |shop| {
            hold(shop)
        }),
        fault(
            "another speed",
            ("line_wrong", 1, "answers at 19200 8N1: asked 10 04 01, answered 12"),
            setting,
            async |shop| {
                printer(shop, |asked, speed| match (asked.starts_with(PRINTER_ASKED), speed) {
                    (true, 19_200) => vec![0x12],
                    _ => vec![0xf8, 0x80, 0x00],
                })
            },
        ),
        fault("noise", ("line_wrong", 1, "answered f8 80 00"), setting, async |shop| {
            printer(shop, |_, _| vec![0xf8, 0x80, 0x00])
        }),
        fault("a silent device", ("device_silent", 1, "asked 10 04 01, no answer"), setting, async |shop| {
            printer(shop, |_, _| Vec::new())
        }),
        fault(
            "a scale in the printer's place",
            ("wrong_device", 1, "a scale that speaks Toledo 8217"),
            setting,
            async |shop| {
                printer(
                    shop,
                    |asked, _| if asked == SCALE_ASKED { b"\x0201.234\r".to_vec() } else { Vec::new() },
                )
            },
        ),
        fault(
            "a printer on the network that refuses",
            ("device_refused", 1, "refused"),
            setting,
            async |shop| {
                let (address, held) = refuses();
                shop.device("printer-1", &format!("escpos: {{ tcp: '{address}', interval: 1s }}"));
                held
            },
        ),
        fault(
            "a device whose name nobody knows",
            ("device_dns", 1, "no-such-ups.invalid"),
            setting,
            async |shop| {
                shop.device("ups-1", "nut: { target: 'no-such-ups.invalid:3493', interval: 1s }");
            },
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_good_device_is_asked_and_its_answer_shown_while_no_agent_runs() {
    let setting = Setting::new().await;
    let mut shop = Shop::of(&setting.stores[0], &setting.cloud.url()).await;
    let asked = |asked: &[u8], _| asked.starts_with(PRINTER_ASKED).then_some(0x12).into_iter().collect();
    let _printer = printer(&mut shop, asked);
    shop.configure();
    let (code, said) = shop.examine().await;
    assert_eq!((code, said["first"].as_str()), (1, Some("not_running")), "{said:#}");
    let checks = said["checks"].as_array().unwrap();
    let of_device =
        |name| checks.iter().find(|check| check["device"] == "printer-1" && check["name"] == name).unwrap();
    assert_eq!(of_device("port")["outcome"], "pass", "{said:#}");
    assert_eq!(of_device("answer")["outcome"], "pass", "{said:#}");
    let evidence = of_device("answer")["evidence"].as_str().unwrap();
    assert!(evidence.contains("answered 12") && evidence.contains("retail.printer."), "{said:#}");
}

/// Configures a printer on a port.
fn printer_at(shop: &mut Shop, name: &str) {
    let port = shop.port(name).display().to_string();
    shop.device("printer-1", &format!("escpos: {{ port: {port}, interval: 1s, timeout: 300ms }}"));
}

/// The same, with what answers there.
fn printer(shop: &mut Shop, answer: impl FnMut(&[u8], u32) -> Vec<u8> + Send + 'static) -> Answering {
    printer_at(shop, "ttyPRN");
    Answering::plug_in(&shop.port("ttyPRN"), answer).unwrap()
}

/// Nobody may open it; who may open what he may not, as root does, does without that right.
fn forbid(shop: &mut Shop) -> Answering {
    let device = printer(shop, |_, _| Vec::new());
    std::fs::set_permissions(&device.name, Permissions::from_mode(0o000)).unwrap();
    if nix::unistd::geteuid().is_root() {
        let rights = "-dac_override,-dac_read_search";
        shop.through = ["setpriv", "--bounding-set", rights, "--inh-caps", rights].map(str::to_owned).into();
    }
    device
}

/// A program that has the port open, as a till's would.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        // It ends by itself if this fails.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn hold(shop: &mut Shop) -> (Answering, Holder) {
    let device = printer(shop, |_, _| Vec::new());
    let port = File::options().read(true).write(true).open(Path::new(&device.name)).unwrap();
    let child = Command::new("sleep").arg("60").stdin(port).stdout(Stdio::null()).spawn().unwrap();
    (device, Holder(child))
}

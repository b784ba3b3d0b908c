//! The whole kind, with scanners on pseudo-terminals.

use std::sync::{Arc, Mutex};

use super::*;
use crate::board::{DeviceState, DeviceStatus};
use crate::collector::FaultKind;
use crate::collector::rig::{Plugged, Rig, plug};

struct Scanner {
    rig: Rig,
    plugged: Option<Plugged>,
    written: Arc<Mutex<usize>>,
    _tasks: tokio::task::JoinSet<()>,
}

fn device(rig: &Rig, written: &Arc<Mutex<usize>>) -> Plugged {
    let written = Arc::clone(written);
    plug(&rig.dir.path().join("scanner"), move |bytes| {
        *written.lock().unwrap() += bytes.len();
        Vec::new()
    })
}

fn scanner(more: &str) -> Scanner {
    let (rig, written) = (Rig::new(), Arc::default());
    let plugged = Some(device(&rig, &written));
    let port = rig.dir.path().join("scanner");
    let tasks = rig.start(&format!("scanner: {{ port: {}, no_read: NR {more} }}", port.display()));
    Scanner { rig, plugged, written, _tasks: tasks }
}

impl Scanner {
    fn says(&self, bytes: &[u8]) {
        self.plugged.as_ref().unwrap().say(bytes);
    }

    async fn until(&self, series: &str, value: f64) -> DeviceStatus {
        let is = |device: &DeviceStatus| device.values.get(series).is_some_and(|v| v.value == value);
        self.rig.until(&format!("{series} {value}"), is).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scans_are_counted_by_symbology_and_nothing_is_written() {
    let scanner = scanner("");
    scanner.until("retail.scanner.scans", 0.0).await;
    scanner.rig.until_state(DeviceState::Ok).await;
    scanner.says(
        b"]E05901234123457\r\n]C1010950110153000310ABC\r\n]E05901234123457\r\nNR\r\n]E05901234123458\r\n",
    );
    let status = scanner.until("retail.scanner.scans", 3.0).await;
    scanner.until("retail.scanner.check_digit.errors", 1.0).await;
    let values = scanner.rig.values();
    assert_eq!(values["retail.scanner.scans{symbology=\"ean13\"}"], 2.0);
    assert_eq!(values["retail.scanner.scans{symbology=\"gs1_128\"}"], 1.0);
    assert_eq!(values["retail.scanner.duplicates"], 1.0);
    assert_eq!(values["retail.scanner.no_reads"], 1.0);
    assert_eq!(status.errors.len(), 0, "{status:?}");
    scanner.says(b"no end");
    scanner.until("retail.scanner.scans{symbology=\"unknown\"}", 1.0).await;
    assert_eq!(*scanner.written.lock().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_is_unplugged_is_missing_and_goes_on_counting() {
    let mut scanner = scanner("");
    scanner.says(b"]A0ABC\r");
    scanner.until("retail.scanner.scans", 1.0).await;
    scanner.plugged = None;
    scanner.rig.until_error(FaultKind::MissingPort).await;
    scanner.rig.until_state(DeviceState::Unreachable).await;
    scanner.plugged = Some(device(&scanner.rig, &scanner.written));
    // Without a scan: nobody may scan before the morning.
    scanner.rig.until_state(DeviceState::Ok).await;
    scanner.says(b"]A0ABC\r");
    scanner.until("retail.scanner.scans", 2.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_stale_and_babble_is_a_fault() {
    let scanner = scanner(", stale_after: 300ms");
    scanner.rig.until_state(DeviceState::Ok).await;
    scanner.rig.until_state(DeviceState::Stale).await;
    scanner.says(b"\x00\xff\x80\xfe\r");
    scanner.rig.until_error(FaultKind::Framing).await;
    scanner.rig.until_state(DeviceState::Fault).await;
    scanner.says(b"]A0ABC\r");
    scanner.rig.until_state(DeviceState::Ok).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_scanned_is_nowhere() {
    let secrets: &[&str] =
        &["4111111111111111", "LOYALTY-70042", "wallet-9f31", "5901234123458", "B4000123412341234"];
    let scanner = scanner(", length: true");
    scanner
        .says(b"4111111111111111\r]C0LOYALTY-70042\r]Q1https://pay.example/wallet-9f31\r]E05901234123458\r");
    let mut shown = String::new();
    for (bytes, kind) in [
        (b"%B4000123412341234^DOE/JANE^\x00\x01\r".to_vec(), FaultKind::Framing),
        (b"4111111111111111".repeat(400), FaultKind::TooLarge),
    ] {
        scanner.says(&bytes);
        let status = scanner.rig.until_error(kind).await;
        // The board keeps the last error only, so each is looked at while it is the last.
        assert_eq!(status.last_error.as_ref().unwrap().kind, kind.name());
        shown += &format!("{status:?}");
    }
    scanner.until("retail.scanner.scans", 3.0).await;
    scanner.until("retail.scanner.check_digit.errors", 1.0).await;
    shown += &format!("{:?}", scanner.rig.status());
    let (mut looked_at, mut found) = (0, Vec::new());
    for entry in std::fs::read_dir(scanner.rig.dir.path()).unwrap().map(Result::unwrap) {
        // The port is there too, and reading it would wait.
        if !entry.file_type().unwrap().is_file() {
            continue;
        }
        let bytes = std::fs::read(entry.path()).unwrap();
        looked_at += bytes.len();
        for word in secrets.iter().map(|word| word.as_bytes()).chain([&b"DOE/JANE"[..]]) {
            found.extend(bytes.windows(word.len()).any(|window| window == word).then_some(entry.path()));
        }
        // What should be there is: we look at the right files.
        if entry.file_name() == "spool.db-wal" {
            assert!(bytes.windows(20).any(|window| window == b"retail.scanner.scans"));
        }
    }
    assert!(looked_at > 10_000, "{looked_at} bytes are no spool");
    assert_eq!(found, Vec::<std::path::PathBuf>::new());
    for word in secrets.iter().chain(&["DOE/JANE"]) {
        assert!(!shown.contains(word), "{word}: {shown}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let long = "x".repeat(AFFIX_BYTES_MAX + 1);
    let error = serde_yaml::from_str::<Settings>(&format!("{{ port: a, prefix: {long} }}")).unwrap_err();
    assert!(error.to_string().contains("more than 32 bytes"), "{error}");
    let settings: Settings = serde_yaml::from_str("{ port: a, prefix: '', no_read: '' }").unwrap();
    assert_eq!((settings.prefix, settings.no_read), (None, None));
}

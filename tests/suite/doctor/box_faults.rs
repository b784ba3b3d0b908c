//! Faults of the box: configuration, state folder, disk, spool, listener, key.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use storepulse_agent::spool::{BYTES_MIN, FILE, Limits, Spool};
use storepulse_agent::time::{BoxClock, SystemClock};

use super::shop::{Shop, all, fault};
use crate::setting::Setting;

#[tokio::test]
async fn faults_of_the_box_are_named_first() {
    let setting = &Setting::new().await;
    let us: &'static str = format!("process {}", std::process::id()).leak();
    all(vec![
        fault("an unknown key", ("config_bad", 64, "unknown field `spol`"), setting, async |shop| {
            shop.more = "spol: {}\n".to_owned();
        }),
        fault("no configuration", ("config_bad", 64, "No such file"), setting, async |shop| {
            std::fs::remove_file(shop.dir.join("agent.yaml")).unwrap();
        }),
        fault(
            "a file in the state folder's place",
            ("state_denied", 1, "is no folder"),
            setting,
            async |shop| {
                std::fs::write(shop.dir.join("spool"), "").unwrap();
            },
        ),
        fault("a full disk", ("disk_full", 1, "spool"), setting, async |shop| fill_the_disk(shop)),
        fault("a damaged spool", ("spool_damaged", 1, ""), setting, async |shop| {
            damage_the_spool(&shop.dir.join("spool"));
        }),
        fault("another program on our port", ("listener_taken", 1, us), setting, async |shop| {
            std::net::TcpListener::bind(shop.status).unwrap()
        }),
        fault("no key file", ("key_unreadable", 1, "store.key"), setting, async |shop| {
            std::fs::remove_file(shop.dir.join("store.key")).unwrap();
        }),
        fault("a mistyped key", ("key_mistyped", 1, "store.key"), setting, async |shop| {
            mistype_the_key(shop)
        }),
    ])
    .await;
}

fn mistype_the_key(shop: &Shop) {
    let path = shop.dir.join("store.key");
    let key = std::fs::read_to_string(&path).unwrap();
    let mut letters: Vec<char> = key.trim().chars().collect();
    let at = letters.len() - 20;
    letters[at] = if letters[at] == 'x' { 'y' } else { 'x' };
    std::fs::write(path, letters.into_iter().collect::<String>()).unwrap();
}

/// A real spool, whose pages behind the first hold something else.
fn damage_the_spool(dir: &Path) {
    let clock = BoxClock::new(Arc::new(SystemClock::load()), 0);
    let limits = Limits { bytes_max: BYTES_MIN, batch_samples_max: 100 };
    let (spool, writer) = Spool::open_dated(dir, limits, clock).unwrap();
    drop(spool);
    writer.join();
    let path = dir.join(FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4_096..].fill(0x55);
    std::fs::write(path, bytes).unwrap();
}

/// A disk of its own that is full, where this user may mount one; otherwise no file may grow, which is the same to the agent.
fn fill_the_disk(shop: &mut Shop) {
    let dir = shop.dir.join("spool");
    std::fs::create_dir(&dir).unwrap();
    let alone = if nix::unistd::geteuid().is_root() { "-m" } else { "-Urm" };
    let mount =
        r#"mount -t tmpfs -o size=256k none "$1" && { head -c 400000 /dev/zero > "$1/fill" || true; }"#;
    let dir = dir.display().to_string();
    let tried = Command::new("unshare").args([alone, "sh", "-c", mount, "sh", &dir]).output();
    let script = match tried {
        Ok(tried) if tried.status.success() => format!(r#"{{ {mount}; }} >/dev/null 2>&1 && shift && exec "$@""#),
        _ => r#"shift; trap "" XFSZ; ulimit -f 0; exec "$@""#.to_owned(),
    };
    let words = ["unshare", alone, "sh", "-c", &script, "sh", &dir].map(str::to_owned);
    let skipped = if script.starts_with("shift") { 2 } else { 0 };
    shop.through = words.into_iter().skip(skipped).collect();
}

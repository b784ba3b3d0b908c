//! What the kernel says of the process and its container, where it lets us read it.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Most bytes of one file.
const FILE_BYTES_MAX: u64 = 16 << 10;
/// Longest message of the kernel, by its documentation of `/dev/kmsg`, and more.
const MESSAGE_BYTES_MAX: usize = 8 << 10;
/// Messages of the kernel that are read; its buffer has fewer as a rule.
const MESSAGES_MAX: usize = 20_000;

/// Files that tell of the container and its limits, and what they are.
const FILES: [(&str, &str); 14] = [
    ("control groups", "/proc/self/cgroup"),
    ("memory limit", "/sys/fs/cgroup/memory.max"),
    ("memory used", "/sys/fs/cgroup/memory.current"),
    ("memory events", "/sys/fs/cgroup/memory.events"),
    ("processor limit", "/sys/fs/cgroup/cpu.max"),
    ("processor throttled", "/sys/fs/cgroup/cpu.stat"),
    ("tasks limit", "/sys/fs/cgroup/pids.max"),
    ("pressure, memory", "/proc/pressure/memory"),
    ("pressure, disk", "/proc/pressure/io"),
    ("load", "/proc/loadavg"),
    ("kernel", "/proc/version"),
    ("system", "/etc/os-release"),
    ("limits of this process", "/proc/self/limits"),
    ("mounts", "/proc/self/mounts"),
];
/// Lines of `/proc/self/status` that matter.
const PROCESS: [&str; 8] = ["Uid", "Gid", "Groups", "VmRSS", "VmHWM", "Threads", "CapEff", "NoNewPrivs"];
/// Files that only a container has.
const MARKS: [(&str, &str); 2] = [("/.dockerenv", "Docker"), ("/run/.containerenv", "Podman")];

/// What is known of the container, by name.
pub(super) fn container(root: &Path) -> Vec<(&'static str, String)> {
    let at = |path: &str| root.join(path.trim_start_matches('/'));
    let of = MARKS.iter().find(|(mark, _)| at(mark).exists()).map_or("none that leaves a mark", |(_, of)| of);
    let mut facts = vec![("container", of.to_owned())];
    let told = FILES.iter().filter_map(|(what, path)| Some((*what, read(&at(path))?)));
    facts.extend(told.filter(|(_, text)| !text.trim().is_empty()));
    let status = read(&at("/proc/self/status")).unwrap_or_default();
    let lines =
        status.lines().filter(|line| PROCESS.iter().any(|name| line.starts_with(&format!("{name}:"))));
    facts.push(("this process", lines.collect::<Vec<_>>().join("\n")));
    facts
}

fn read(path: &Path) -> Option<String> {
    let mut text = Vec::new();
    std::fs::File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).trim_end().to_owned())
}

/// The names of the environment; its values are nobody's business.
pub(super) fn environment() -> Vec<String> {
    let mut names: Vec<String> =
        std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// What the kernel said, oldest first.
///
/// # Errors
/// It lets only others read that.
pub(super) fn kernel() -> Result<Vec<String>, String> {
    let told = |error: std::io::Error| format!("/dev/kmsg: {error}; only root may read it on most boxes");
    let mut log =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg").map_err(told)?;
    let mut messages = Vec::new();
    let mut record = vec![0; MESSAGE_BYTES_MAX];
    while messages.len() < MESSAGES_MAX {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => messages.extend(message(&String::from_utf8_lossy(&record[..length]))),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            // What was overwritten meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(error) if messages.is_empty() => return Err(told(error)),
            Err(_) => break,
        }
    }
    Ok(messages)
}

/// `<priority>,<number>,<microseconds since the start>,<flags>;<text>`, with lines of details behind it.
fn message(record: &str) -> Option<String> {
    let (head, text) = record.split_once(';')?;
    // What the box was started with can be a secret.
    if text.to_lowercase().contains("command line") {
        return None;
    }
    let micros: u64 = head.split(',').nth(2)?.parse().ok()?;
    Some(format!("[{:>10.3}] {}", micros as f64 / 1e6, text.lines().next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_its_marks_and_its_limits_are_told() {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            (".dockerenv", ""),
            ("sys/fs/cgroup/memory.max", "134217728\n"),
            ("proc/self/status", "Name:\tx\nUid:\t1000\nVmRSS:\t9 kB\n"),
        ] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let facts = container(root.path());
        let told = |name: &str| facts.iter().find(|(what, _)| *what == name).map(|(_, text)| text.as_str());
        assert_eq!(told("container"), Some("Docker"));
        assert_eq!(told("memory limit"), Some("134217728"));
        assert_eq!(told("this process"), Some("Uid:\t1000\nVmRSS:\t9 kB"));
        assert_eq!(told("processor limit"), None);
    }

    #[test]
    fn a_message_of_the_kernel_is_one_line_with_its_time() {
        let shown = message("6,1189,5140900,-;usb 1-1: FTDI attached\n SUBSYSTEM=usb\n").unwrap();
        assert_eq!(shown, "[     5.141] usb 1-1: FTDI attached");
        assert_eq!(message("nonsense"), None);
        assert_eq!(message("6,1,0,-;Kernel command line: luks.key=CANARY"), None);
    }

    #[test]
    fn of_the_environment_only_names_are_told() {
        assert!(environment().iter().all(|name| !name.contains('=')));
        assert!(environment().iter().any(|name| name == "PATH"));
    }
}

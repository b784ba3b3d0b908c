//! A serial port: is it there, what is behind it, may we open it, does somebody else have it. It is opened only if nobody has it,
//! and only to learn why the agent cannot: opening moves lines that restart some devices.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, Gid, Group, Uid, User, access, getegid, geteuid, getgroups};

use crate::collector::{FaultKind, Line, PortSettings, Ports};
use crate::doctor::agent::Running;
use crate::doctor::check::Check;
use crate::finding::{Finding, Problem};

pub(super) const PORT: &str = "port";

/// Looks at it. `is_read` says that the running agent reads it well, so that nothing can be wrong with it.
pub(super) fn look(
    ports: &Ports,
    settings: &PortSettings,
    line: Line,
    running: &Running,
    is_read: bool,
) -> Check {
    let name = settings.name.to_string();
    let found = |problem, evidence: String| {
        let finding = Finding::new(problem).with("path", &name).with("line", line.to_string());
        Check::found(PORT, finding, evidence)
    };
    let path = match ports.find(&settings.name) {
        Ok(path) => path,
        Err(fault) => {
            let problem = match fault.kind {
                FaultKind::Denied => Problem::PortDenied,
                FaultKind::WrongDevice => Problem::WrongDevice,
                _ => Problem::PortMissing,
            };
            return found(problem, fault.text);
        }
    };
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.file_type().is_char_device() => {}
        Ok(_) => return found(Problem::PortMissing, format!("{} is no device file", path.display())),
        Err(error) => return found(Problem::PortMissing, format!("{}: {error}", path.display())),
    }
    if let Err(errno) = access(&path, AccessFlags::R_OK | AccessFlags::W_OK) {
        return found(problem_of(errno), refused(&path, errno));
    }
    if let Some(holder) = ports.holder(&path).filter(|holder| Some(holder.pid) != running.pid) {
        let who = holder.to_string();
        let finding = Finding::new(Problem::PortHeld).with("path", &name).with("holder", &who);
        return Check::found(PORT, finding, format!("{} is held by {who}", path.display()));
    }
    if !is_read && let Err(errno) = opens(&path) {
        return found(problem_of(errno), refused(&path, errno));
    }
    Check::pass(PORT, described(ports, &name, &path, line))
}

/// What an error of opening means.
fn problem_of(errno: Errno) -> Problem {
    match errno {
        Errno::EACCES | Errno::EPERM | Errno::EROFS => Problem::PortDenied,
        Errno::EBUSY => Problem::PortHeld,
        // A node without a driver, or without a device behind it.
        _ => Problem::PortMissing,
    }
}

/// Opens it, and closes it again at once. Nothing is written.
fn opens(path: &Path) -> Result<(), Errno> {
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
    opened.map(|_| ()).map_err(|error| errno_of(&error))
}

fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

/// Why, and by what rule: the mode of the file, or the container's list of devices.
fn refused(path: &Path, errno: Errno) -> String {
    let shown = path.display();
    match errno {
        Errno::EPERM => {
            format!("{shown}: {errno}: the container's device rules (device_cgroup_rules) do not list it")
        }
        Errno::EACCES => match std::fs::metadata(path) {
            Ok(file) => {
                let (owner, group) = (user_name(file.uid()), group_name(file.gid()));
                let mode = file.mode() & 0o777;
                let member = if is_member(file.gid()) { "in" } else { "not in" };
                let we = user_name(geteuid().as_raw());
                format!(
                    "{shown} is of {owner}:{group}, mode {mode:03o}; this is {we}, {member} the group {group}"
                )
            }
            Err(_) => format!("{shown}: {errno}"),
        },
        errno => format!("{shown}: {errno}"),
    }
}

fn is_member(gid: u32) -> bool {
    let gid = Gid::from_raw(gid);
    getegid() == gid || getgroups().is_ok_and(|groups| groups.contains(&gid))
}

fn user_name(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| format!("user {uid}"), |user| user.name)
}

fn group_name(gid: u32) -> String {
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    group.map_or_else(|| gid.to_string(), |group| group.name)
}

fn described(ports: &Ports, name: &str, path: &Path, line: Line) -> String {
    let entry = ports.list().into_iter().find(|entry| entry.path == path);
    let usb = entry.as_ref().and_then(|entry| entry.usb.clone()).map(|usb| format!(", usb {usb}"));
    let product = entry.and_then(|entry| entry.product).map(|product| format!(" {product:?}"));
    let same = Path::new(name) == path;
    let behind = if same { String::new() } else { format!(" is {}", path.display()) };
    format!("{name}{behind}, {line}{}{}", usb.unwrap_or_default(), product.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::Reached;
    use crate::collector::{Rig, plug};

    fn looked(path: &Path) -> Check {
        let kind = Rig::kind(&format!("escpos: {{ port: {} }}", path.display()));
        let Reached::Serial { port, line, .. } = kind.reached() else { panic!("a port") };
        look(&Ports::default(), port, line, &Running::default(), false)
    }

    fn problem(check: &Check) -> Option<Problem> {
        check.finding.as_ref().map(|finding| finding.problem)
    }

    #[test]
    fn what_is_there_is_told_from_what_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let device = plug(&at("ttyPRN"), |_| Vec::new());
        // The one that plays the device here has it open, as a device does not.
        let check = looked(&device.path);
        assert!(problem(&check).is_none() && check.evidence.contains("9600 8N1"), "{check:?}");
        assert_eq!(problem(&looked(&at("ttyNONE"))), Some(Problem::PortMissing));
        std::fs::write(at("file"), "").unwrap();
        let check = looked(&at("file"));
        assert!(problem(&check) == Some(Problem::PortMissing) && check.evidence.contains("no device file"));
    }

    #[test]
    fn refusals_are_told_apart() {
        assert_eq!(problem_of(Errno::EACCES), Problem::PortDenied);
        assert_eq!(problem_of(Errno::EPERM), Problem::PortDenied);
        assert_eq!(problem_of(Errno::EBUSY), Problem::PortHeld);
        assert_eq!(problem_of(Errno::ENXIO), Problem::PortMissing);
        let text = refused(Path::new("/dev/null"), Errno::EACCES);
        assert!(text.contains("mode 666") && text.contains("root"), "{text}");
        assert!(refused(Path::new("/dev/null"), Errno::EPERM).contains("device_cgroup_rules"));
    }
}

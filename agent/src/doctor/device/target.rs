//! A device that is no serial port: its name, whether it takes a connection, whether its file can be read, whether the port is
//! free on which it comes to us.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::doctor::check::Check;
use crate::doctor::{limited, listener};
use crate::finding::{Finding, Problem};

pub(super) const TARGET: &str = "target";

/// For the name, and again for the connection.
const LIMIT: Duration = Duration::from_secs(4);

/// Whether it can be reached; `connects` if it takes connections, which are closed at once.
pub(super) async fn reached(target: &str, connects: bool) -> Check {
    let found = |problem, evidence: String| {
        Check::found(TARGET, Finding::new(problem).with("host", target), evidence)
    };
    let Some((host, port)) = split(target) else {
        return Check::skipped(TARGET, format!("{target} names no port"));
    };
    let addresses = match limited::resolve(host, port, LIMIT).await {
        Ok(addresses) => addresses,
        Err(why) => return found(Problem::DeviceDns, format!("{host}: {why}")),
    };
    if !connects {
        return Check::pass(TARGET, format!("{target} is {}", shown(&addresses)));
    }
    let mut why = String::new();
    let tried = async {
        for address in &addresses {
            match TcpStream::connect(address).await {
                Ok(_) => return true,
                Err(error) => why = format!("{address}: {error}"),
            }
        }
        false
    };
    match tokio::time::timeout(LIMIT, tried).await {
        Ok(true) => Check::pass(TARGET, format!("{target} takes connections")),
        Ok(false) => found(Problem::DeviceRefused, why),
        Err(_) => {
            let limit = humantime::format_duration(LIMIT);
            found(Problem::DeviceSilent, format!("{} does not answer within {limit}", shown(&addresses)))
        }
    }
}

fn shown(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Host and port of `host:port` or `[::1]:port`.
fn split(target: &str) -> Option<(&str, u16)> {
    let (host, port) = target.rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}

/// Whether a name has an address.
pub(super) async fn named(host: &str) -> Check {
    match limited::resolve(host, 0, LIMIT).await {
        Ok(addresses) => {
            let all: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            Check::pass(TARGET, format!("{host} is {}", all.join(", ")))
        }
        Err(why) => Check::found(
            TARGET,
            Finding::new(Problem::DeviceDns).with("host", host),
            format!("{host}: {why}"),
        ),
    }
}

/// Whether a file is there and can be read; of a name with `*`, whether its folder can.
pub(super) fn file(path: &Path) -> Check {
    let is_pattern = path.as_os_str().as_encoded_bytes().contains(&b'*');
    let path = path.parent().filter(|_| is_pattern).unwrap_or(path);
    let shown = path.display().to_string();
    let found = |problem, error: &std::io::Error| {
        Check::found(TARGET, Finding::new(problem).with("path", &shown), format!("{shown}: {error}"))
    };
    let opened =
        if path.is_dir() { path.read_dir().map(|_| ()) } else { std::fs::File::open(path).map(|_| ()) };
    match opened {
        Ok(()) => Check::pass(TARGET, format!("{shown} can be read")),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => found(Problem::DeviceDenied, &error),
        Err(error) => found(Problem::DeviceSilent, &error),
    }
}

/// Whether the agent could listen there, by datagrams or connections. Asked only where no agent runs.
pub(super) async fn free(address: SocketAddr) -> Check {
    let bound = TcpListener::bind(address).await.err().or(UdpSocket::bind(address).await.err());
    match bound {
        None => Check::pass(TARGET, format!("{address} is free")),
        Some(error) if error.kind() == ErrorKind::AddrInUse => {
            let holder = listener::holder(Path::new("/proc"), address);
            let who = holder.map_or_else(|| "another program".to_owned(), |holder| holder.to_string());
            let finding = Finding::new(Problem::ListenerTaken)
                .with("address", address.to_string())
                .with("holder", &who);
            Check::found(TARGET, finding, format!("{who} listens on {address}"))
        }
        Some(error) => Check::skipped(TARGET, format!("{address}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(check: &Check) -> Option<Problem> {
        check.finding.as_ref().map(|finding| finding.problem)
    }

    #[tokio::test]
    async fn who_takes_connections_is_told_from_who_refuses_them() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(problem(&reached(&address.to_string(), true).await), None);
        assert_eq!(problem(&free(address).await), Some(Problem::ListenerTaken));
        drop(listener);
        assert_eq!(problem(&reached(&address.to_string(), true).await), Some(Problem::DeviceRefused));
        assert_eq!(problem(&reached(&address.to_string(), false).await), None, "datagrams are not refused");
        assert_eq!(problem(&free(address).await), None);
        let long = "x".repeat(70);
        assert_eq!(problem(&named(&long).await), Some(Problem::DeviceDns));
    }

    #[test]
    fn a_file_is_there_or_not() {
        assert_eq!(problem(&file(Path::new("/proc/self/status"))), None);
        assert_eq!(problem(&file(Path::new("/proc/self/stat*"))), None);
        assert_eq!(problem(&file(Path::new("/nowhere/at/all"))), Some(Problem::DeviceSilent));
    }
}

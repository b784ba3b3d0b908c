//! Which process listens on a port of this box, by `/proc`: the table of sockets names the socket, the descriptors of processes
//! name who has it. Where permissions do not let us look, nobody is named.
//!
//! A line of `/proc/net/tcp` is `sl local_address rem_address st … inode`; an address is the bytes of the address in groups of
//! four, each as a number of this machine's order, a colon and the port, in hexadecimal; state `0A` listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::collector::Holder;

/// State of a socket that listens.
const LISTENS: &str = "0A";

/// Who listens where this address would be answered.
pub(super) fn holder(proc: &Path, address: SocketAddr) -> Option<Holder> {
    let inode = ["net/tcp", "net/tcp6"].iter().find_map(|table| {
        let text = std::fs::read_to_string(proc.join(table)).ok()?;
        inode_of(&text, address)
    })?;
    let socket = format!("socket:[{inode}]");
    let processes = std::fs::read_dir(proc).ok()?;
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.into_iter().find(|pid| has(&proc.join(pid.to_string()), &socket)).map(|pid| Holder::of(proc, pid))
}

fn has(process: &Path, socket: &str) -> bool {
    let Ok(descriptors) = std::fs::read_dir(process.join("fd")) else { return false };
    descriptors
        .flatten()
        .any(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == Path::new(socket)))
}

fn inode_of(table: &str, address: SocketAddr) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
        let (host, port) = local.split_once(':')?;
        let is_ours = u16::from_str_radix(port, 16).ok()? == address.port() && answers(host, address.ip())?;
        (is_ours && state == LISTENS).then(|| fields.nth(5)?.parse().ok()).flatten()
    })
}

/// Whether who listens on this address gets what is meant for that one.
fn answers(host: &str, meant: IpAddr) -> Option<bool> {
    let groups = host.as_bytes().chunks(8).map(|group| {
        let digits = std::str::from_utf8(group).ok()?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    });
    let bytes: Vec<u8> = groups.collect::<Option<Vec<_>>>()?.concat();
    let listens = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => return None,
    };
    Some(listens.is_unspecified() || meant.is_unspecified() || listens.to_canonical() == meant.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_is_named_in_a_table_of_the_kernel() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:2616 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1\n\
            1: 0100007F:2617 0100007F:2616 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1\n\
            2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1\n";
        if cfg!(target_endian = "little") {
            let inode = |address: &str| inode_of(table, address.parse().unwrap());
            assert_eq!(inode("127.0.0.1:9750"), Some(4_711));
            assert_eq!(inode("0.0.0.0:9750"), Some(4_711));
            assert_eq!(inode("127.0.0.1:9751"), None, "a connection does not listen");
            assert_eq!(inode("10.0.0.1:22"), Some(4_713));
            assert_eq!(inode("10.0.0.1:9750"), None);
        }
    }

    #[test]
    fn we_find_ourselves() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(address) else { continue };
            let found = holder(Path::new("/proc"), listener.local_addr().unwrap()).unwrap();
            assert_eq!(found.pid, std::process::id());
        }
    }
}

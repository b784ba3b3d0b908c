//! Datagrams that the kernel had no room for, from `/proc/net/udp` and `/proc/net/udp6` (proc(5)): one line a socket, by
//! inode; the last column counts since the socket was opened.

use std::os::fd::AsFd;

/// Of this socket; `None` where the kernel does not tell.
pub(super) fn of(socket: &impl AsFd) -> Option<u64> {
    let inode = nix::sys::stat::fstat(socket).ok()?.st_ino;
    ["/proc/net/udp", "/proc/net/udp6"]
        .into_iter()
        .find_map(|path| find(&std::fs::read_to_string(path).ok()?, inode))
}

fn find(table: &str, inode: u64) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        (columns.get(9)?.parse::<u64>().ok()? == inode).then(|| columns.get(12)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_of_the_sockets_line_counts() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             
  113: 0100007F:1FBD 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 3614117 2 0000000000000000 0         
  120: 0100007F:1FC4 00000000:0000 07 00000000:00034100 00:00000000 00000000     0        0 3614118 2 0000000000000000 417       
";
        assert_eq!(find(table, 3_614_118), Some(417));
        assert_eq!(find(table, 3_614_117), Some(0));
        assert_eq!(find(table, 7), None);
        assert_eq!(find("", 7), None);
    }

    #[test]
    fn this_kernel_tells_what_it_drops() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(of(&socket), Some(0));
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..2_000 {
            sender.send_to(&[b'x'; 8_000], socket.local_addr().unwrap()).unwrap();
        }
        assert!(of(&socket).unwrap() > 0);
    }
}

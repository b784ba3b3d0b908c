//! An ICMP echo request and its reply (RFC 792, RFC 4443).
//!
//! `type code checksum identifier sequence payload`: 8 and 0 for IPv4, 128 and 129 for IPv6. The socket is one for which the
//! kernel keeps the identifier and needs no right but a group within `net.ipv4.ping_group_range`; where that is not allowed,
//! a raw one, which needs CAP_NET_RAW, hears all ICMP of its peer, and has the header of IPv4 in front. Our reply is known by
//! its payload: sixteen bytes of chance.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use tokio::net::UdpSocket;

use super::super::fault::{Fault, FaultKind};
use super::super::parse::{Parsed, Subject, Unread, outcome};

const HEADER_BYTES: usize = 8;
const NONCE_BYTES: usize = 16;
/// The header of IPv4 without options.
const IP_HEADER_BYTES_MIN: usize = 20;

/// What a socket gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// ICMP for IPv4.
    V4,
    /// The same with the header of IPv4.
    V4Raw,
    /// ICMP for IPv6.
    V6,
}

/// A message of ICMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    /// The answer to our request.
    Ours,
    /// Anything else.
    Other,
}

pub(super) const SUBJECT: Subject = Subject {
    name: "reach/ping",
    vectors: &[
        b"\x45\x00\x00\x2c\x12\x34\x00\x00\x40\x01\x00\x00\x7f\x00\x00\x01\x7f\x00\x00\x01\x00\x00\x47\x2c\x00\x00\x00\x010123456789abcdef",
        b"\x46\x00\x00\x30\x12\x34\x00\x00\x40\x01\x00\x00\x7f\x00\x00\x01\x7f\x00\x00\x01\x94\x04\x00\x00\x00\x00\x47\x2c\x00\x00\x00\x010123456789abcdef",
        b"\x45\x00\x00\x2c\x12\x34\x00\x00\x40\x01\x00\x00\x7f\x00\x00\x01\x7f\x00\x00\x01\x08\x00\x3f\x2c\x00\x00\x00\x010123456789abcdef",
    ],
    outcomes: &["reply", "other", "need", "framing"],
    outcome: |bytes| {
        outcome(parse(bytes, Form::V4Raw, b"0123456789abcdef"), |message| match message {
            Message::Ours => "reply",
            Message::Other => "other",
        })
    },
};

fn parse(bytes: &[u8], form: Form, nonce: &[u8; NONCE_BYTES]) -> Parsed<Message> {
    let header = match (form, bytes.first()) {
        (Form::V4 | Form::V6, _) => 0,
        (Form::V4Raw, None) => return Err(Unread::Need(IP_HEADER_BYTES_MIN)),
        (Form::V4Raw, Some(first)) => usize::from(first & 0x0f) * 4,
    };
    if form == Form::V4Raw && (bytes[0] >> 4 != 4 || header < IP_HEADER_BYTES_MIN) {
        return Err(Unread::Bad(FaultKind::Framing));
    }
    let Some(message) = bytes.get(header..).filter(|message| message.len() >= HEADER_BYTES) else {
        return Err(Unread::Need(header + HEADER_BYTES - bytes.len()));
    };
    let reply = if form == Form::V6 { 129 } else { 0 };
    let is_ours = message[0] == reply && message[1] == 0 && &message[HEADER_BYTES..] == nonce;
    Ok((if is_ours { Message::Ours } else { Message::Other }, bytes.len()))
}

/// A request. The kernel puts its own identifier in where it keeps it, and the checksum of IPv6, which needs the addresses.
fn request(form: Form, nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
    let kind = if form == Form::V6 { 128 } else { 8 };
    let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 1];
    message.extend_from_slice(nonce);
    let sum = message
        .chunks_exact(2)
        .fold(0_u32, |sum, pair| sum + u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let folded = (sum & 0xffff) + (sum >> 16);
    let [_, _, high, low] = (!((folded & 0xffff) + (folded >> 16))).to_be_bytes();
    message[2..4].copy_from_slice(&[high, low]);
    message
}

/// Asks once, and says how long the answer took.
pub(super) async fn echo(address: IpAddr, timeout: Duration) -> Result<Duration, Fault> {
    let (socket, form) = open(address)?;
    let failed =
        |error: Error| Fault::new(FaultKind::Refused, format!("{address} cannot be pinged: {error}"));
    // A port means nothing here.
    socket.connect(SocketAddr::new(address, 0)).await.map_err(failed)?;
    let nonce: [u8; NONCE_BYTES] = rand::random();
    let began = Instant::now();
    let answered = async {
        socket.send(&request(form, &nonce)).await?;
        let mut buffer = [0; 256];
        loop {
            let read = socket.recv(&mut buffer).await?;
            if let Ok((Message::Ours, _)) = parse(&buffer[..read], form, &nonce) {
                return Ok(began.elapsed());
            }
        }
    };
    match tokio::time::timeout(timeout, answered).await {
        Ok(answered) => answered.map_err(failed),
        Err(_) => {
            let timeout = humantime::format_duration(timeout);
            Err(Fault::new(FaultKind::Timeout, format!("{address} does not answer a ping within {timeout}")))
        }
    }
}

fn open(address: IpAddr) -> Result<(UdpSocket, Form), Fault> {
    let (family, protocol, form, raw) = match address {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, Form::V4, Form::V4Raw),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, Form::V6, Form::V6),
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (descriptor, form) = match socket(family, SockType::Datagram, flags, protocol) {
        Ok(descriptor) => (descriptor, form),
        Err(_) => match socket(family, SockType::Raw, flags, protocol) {
            Ok(descriptor) => (descriptor, raw),
            Err(errno) => return Err(refused(errno)),
        },
    };
    let socket = adopt(descriptor)
        .map_err(|error| Fault::new(FaultKind::Internal, format!("a socket for pings: {error}")))?;
    Ok((socket, form))
}

/// As far as reading and writing go, a socket of ICMP is one of UDP.
fn adopt(descriptor: OwnedFd) -> Result<UdpSocket, Error> {
    UdpSocket::from_std(std::net::UdpSocket::from(descriptor))
}

fn refused(errno: Errno) -> Fault {
    let kind = match Error::from(errno).kind() {
        ErrorKind::PermissionDenied => FaultKind::Denied,
        _ => FaultKind::Unsupported,
    };
    let way_out = "let its group ping (sysctl net.ipv4.ping_group_range), give it CAP_NET_RAW, or leave ping out of checks";
    Fault::new(kind, format!("the agent cannot ping on this box: {errno}; {way_out}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &[u8; 16] = b"0123456789abcdef";

    #[test]
    fn a_request_has_a_checksum_that_comes_to_nothing() {
        let message = request(Form::V4, NONCE);
        let sum: u32 = message.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        assert_eq!((message[0], message.len()), (8, 24));
        assert_eq!(request(Form::V6, NONCE)[0], 128);
    }

    #[test]
    fn a_reply_is_known_by_its_payload_with_and_without_the_header_of_ip() {
        for (at, expected) in [Message::Ours, Message::Ours, Message::Other].into_iter().enumerate() {
            let vector = SUBJECT.vectors[at];
            assert_eq!(parse(vector, Form::V4Raw, NONCE), Ok((expected, vector.len())));
        }
        let bare = &SUBJECT.vectors[0][20..];
        assert_eq!(parse(bare, Form::V4, NONCE), Ok((Message::Ours, bare.len())));
        assert_eq!(parse(bare, Form::V4, b"0123456789abcdeX"), Ok((Message::Other, bare.len())));
        assert_eq!(parse(bare, Form::V6, NONCE), Ok((Message::Other, bare.len())));
    }

    #[test]
    fn what_is_cut_or_no_ip_is_no_reply() {
        assert_eq!(parse(&[], Form::V4Raw, NONCE), Err(Unread::Need(20)));
        assert_eq!(parse(&[0x45; 27], Form::V4Raw, NONCE), Err(Unread::Need(1)));
        assert_eq!(parse(&[0; 7], Form::V4, NONCE), Err(Unread::Need(1)));
        for first in [0x44, 0x60, 0x00] {
            assert_eq!(parse(&[first; 40], Form::V4Raw, NONCE), Err(Unread::Bad(FaultKind::Framing)));
        }
    }
}

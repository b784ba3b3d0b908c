//! A slow, long link: so many bytes a second and a delay, in each direction.
//!
//! A direction is one wire for all connections. A packet of at most [`PAYLOAD_BYTES_MAX`] bytes occupies it for as long as
//! its bits take, with the headers of IP and TCP; the next one follows without a gap, whichever connection it is of. When
//! its last bit is sent it travels for the delay, and others may follow meanwhile. So the throughput does not fall with
//! the delay, a large answer does not hold up another connection's small one, and who sends too much waits, because a
//! connection reads only as far ahead as [`QUEUE`] takes to be sent. A new connection waits for the round trip of its
//! handshake first. Neither slow start nor loss is emulated, nor are TCP's own acknowledgements counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What fits into a packet of 1,500 bytes beside the headers of IP and TCP with its timestamps.
const PAYLOAD_BYTES_MAX: usize = 1_448;
const HEADER_BYTES: usize = 52;
/// How far ahead of the wire a connection reads: the timer of a sleeping task is right to a millisecond, and the wire must
/// not fall idle for that.
const QUEUE: Duration = Duration::from_millis(20);
/// Packets of a connection that travel at once; far more than fit on any link that is measured here.
const TRAVELLING_MAX: usize = 4_096;

/// What a link is like, in each direction.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Bits a second.
    pub bits_per_s: u32,
    /// One way.
    pub delay: Duration,
}

/// One direction of a link.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    link: Link,
    /// When the last bit of all that was handed in will have been sent.
    free: Arc<Mutex<Instant>>,
}

impl Wire {
    pub(super) fn new(link: Link) -> Self {
        Self { link, free: Arc::new(Mutex::new(Instant::now())) }
    }

    /// One way and back, with nothing to send.
    pub(super) fn round_trip(&self) -> Duration {
        self.link.delay * 2
    }

    /// Hands in a packet; returns when its last bit is sent.
    fn send(&self, now: Instant, payload_bytes: usize) -> Instant {
        let bits = (payload_bytes + HEADER_BYTES) as u64 * 8;
        let takes = Duration::from_nanos(bits * 1_000_000_000 / u64::from(self.link.bits_per_s.max(1)));
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = (*free).max(now) + takes;
        *free
    }

    /// Carries one direction of a connection until it ends; `passed` is called with the bytes of each packet that arrives.
    pub(super) async fn carry(&self, from: OwnedReadHalf, to: OwnedWriteHalf, passed: impl Fn(&[u8])) {
        let (packets, travelling) = mpsc::channel(TRAVELLING_MAX);
        tokio::join!(self.take_in(from, packets), deliver(travelling, to, passed));
    }

    async fn take_in(&self, mut from: OwnedReadHalf, packets: mpsc::Sender<(Instant, Vec<u8>)>) {
        let mut buffer = vec![0; PAYLOAD_BYTES_MAX];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            let sent = self.send(Instant::now(), n);
            if packets.send((sent + self.link.delay, buffer[..n].to_vec())).await.is_err() {
                return;
            }
            if let Some(ahead) = sent.checked_sub(QUEUE) {
                tokio::time::sleep_until(ahead).await;
            }
        }
    }
}

async fn deliver(
    mut travelling: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: OwnedWriteHalf,
    passed: impl Fn(&[u8]),
) {
    while let Some((arrives, packet)) = travelling.recv().await {
        tokio::time::sleep_until(arrives).await;
        passed(&packet);
        if to.write_all(&packet).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_follow_each_other_without_a_gap_and_an_idle_wire_saves_nothing_up() {
        let wire = Wire::new(Link { bits_per_s: 1_000_000, delay: Duration::from_millis(100) });
        let begun = Instant::now() + Duration::from_secs(1);
        let ends_at = |now| wire.send(now, PAYLOAD_BYTES_MAX).duration_since(begun).as_millis();
        // 1,500 bytes on the wire each: 12 ms.
        assert_eq!([ends_at(begun), ends_at(begun), ends_at(begun)], [12, 24, 36]);
        assert_eq!(ends_at(begun + Duration::from_secs(1)), 1_012);
    }
}

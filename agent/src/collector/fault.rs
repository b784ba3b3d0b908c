//! Why a reading failed: one short list for all kinds, so that errors can be counted, compared and explained.

use crate::board::{DeviceState, Exchange};

/// What kind of failure. The names are those of `errors` on the status page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// No answer in time.
    Timeout,
    /// A checksum, a parity or a check character is wrong.
    Checksum,
    /// An answer began and did not end.
    ShortFrame,
    /// Bytes that are no frame of this protocol: another speed, another device, or nobody's.
    Framing,
    /// The device says that it did not understand.
    Nak,
    /// The device answered with an error of its protocol.
    Exception,
    /// Somebody else has the port.
    BusyPort,
    /// The port is not there.
    MissingPort,
    /// The connection was refused or closed.
    Refused,
    /// The name does not resolve.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// A frame that is whole, and does not say what it should.
    Parse,
    /// Another device, or another unit, answered.
    WrongDevice,
    /// More than is taken: bytes, lines, values.
    TooLarge,
    /// More series than a device may have.
    TooManySeries,
    /// We may not: permissions of a file, a password, a community.
    Denied,
    /// This box or this device cannot do it.
    Unsupported,
    /// A defect of ours.
    Internal,
}

impl FaultKind {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Checksum => "checksum",
            Self::ShortFrame => "short_frame",
            Self::Framing => "framing",
            Self::Nak => "nak",
            Self::Exception => "exception",
            Self::BusyPort => "busy_port",
            Self::MissingPort => "missing_port",
            Self::Refused => "refused",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Parse => "parse",
            Self::WrongDevice => "wrong_device",
            Self::TooLarge => "too_large",
            Self::TooManySeries => "too_many_series",
            Self::Denied => "denied",
            Self::Unsupported => "unsupported",
            Self::Internal => "internal",
        }
    }

    /// What it says of the device: who does not answer is unreachable, who answers wrongly has a fault.
    #[must_use]
    pub(crate) const fn state(self) -> DeviceState {
        match self {
            Self::Timeout | Self::BusyPort | Self::MissingPort | Self::Refused | Self::Dns | Self::Denied => {
                DeviceState::Unreachable
            }
            _ => DeviceState::Fault,
        }
    }
}

/// A failed reading. The text is for people; it holds nothing that the device said, since that may be card data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub kind: FaultKind,
    /// What happened, to what, and the way out.
    pub text: String,
    /// What was said then, if that is not what was said last.
    pub bytes: Option<Exchange>,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), bytes: None }
    }
}

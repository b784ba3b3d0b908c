//! Time on a box whose clock cannot be believed.
//!
//! Three notions carry everything else:
//!
//! - **boot time**: milliseconds since the kernel started, suspend included. It never jumps, and begins anew with every
//!   boot, which has an id.
//! - **base**: what a clock would have shown at the moment of boot: its reading minus the boot time. While nobody sets
//!   the clock its base stays; a step is a change of the base, so *(boot, base)* says by which clock a sample was dated.
//! - **truth**: the base of a right clock, as the cloud or NTP told it ([`Truth`]). `truth - base` is what repairs a time,
//!   whether it was taken before or after the truth was learnt, as long as it was in the same boot.
//!
//! [`Keeper`] is the pure state machine over these, [`BoxClock`] the one that the agent shares, and [`ClockSource`] where
//! it reads from: tests give it a clock that is wrong.

mod clock;
mod floor;
mod keeper;
mod source;
mod tick;
mod truth;

pub use self::clock::{BoxClock, ClockStatus};
pub use self::floor::{BUILD_MS, LastTrusted};
pub use self::keeper::{Keeper, Step};
pub use self::source::{ClockSource, Reading, SystemClock};
pub use self::tick::{Ticker, now_ms, stamp};
pub use self::truth::{Authority, Dating, Heard, TOLERANCE_MS, Truth};

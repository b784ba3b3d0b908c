//! Simulated devices: each emits a strictly increasing counter and writes down what it sent. Their logs, and nothing the
//! agent says of itself, are what the verdict is made from.

mod answering;
pub mod answers;
mod asked;
mod escpos_printer;
mod late;
mod line_printer;
mod log;
mod pusher;
mod scale;
mod terminal;

pub use self::answering::Answering;
pub use self::asked::{Answer, Asked, Manner};
pub use self::escpos_printer::{Condition, EscposPrinter, Roll};
pub use self::late::Late;
pub use self::line_printer::{LinePrinter, Stopped};
pub use self::log::{DeviceLog, Sent};
pub use self::pusher::Pusher;
pub use self::scale::WeighingScale;
pub use self::terminal::Terminal;

/// The series that carries the counter of a line printer.
pub const COUNTER: &str = "retail.pos.transactions";
/// The series that carries the counter of a pusher.
pub const PUSHED_COUNTER: &str = "retail.scanner.scans";

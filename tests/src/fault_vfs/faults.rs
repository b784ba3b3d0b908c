//! What goes wrong with a disk, and at which of its steps.

use std::fmt;

/// What a disk is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// Bytes are read.
    Read,
    /// A file is made.
    Create,
    /// Bytes are written.
    Write,
    /// A file is cut to a length.
    Truncate,
    /// What was written to a file must reach the platter.
    Sync,
    /// A file is deleted.
    Delete,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Write => "write",
            Self::Truncate => "truncate",
            Self::Sync => "sync",
            Self::Delete => "delete",
        })
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power goes in the middle of the step; afterwards the disk answers nothing but errors.
    PowerCut(Then),
    /// The disk is full, and stays so until there is room: files cannot be made, a write takes a part of its bytes.
    Full,
    /// One step fails with an input/output error. A failed sync leaves on the platter whatever part had got there, and
    /// forgets the rest, as Linux does: the next sync succeeds without it.
    IoError,
    /// As [`Fault::IoError`], and everything after it too, until the disk is mended.
    IoErrors,
}

/// What becomes of the process when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It is gone too, at once and without a destructor.
    Die,
    /// It lives on with a disk that is dead, so that one process can live through many cuts.
    LiveOn,
}

impl Fault {
    fn concerns(self, op: Op) -> bool {
        match self {
            Self::IoError | Self::IoErrors => true,
            // Between two changes one moment is like another.
            Self::PowerCut(_) => op != Op::Read,
            Self::Full => matches!(op, Op::Create | Op::Write),
        }
    }

    fn lasts(self) -> bool {
        matches!(self, Self::Full | Self::IoErrors)
    }
}

/// When a fault strikes.
#[derive(Debug, Clone, Copy)]
pub struct Strike {
    /// Which.
    pub fault: Fault,
    /// At which step of those that count and that the fault concerns, from 1.
    pub at: u64,
    /// Which steps count.
    pub counted: Counted,
}

/// Steps that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// All.
    All,
    /// Those of the database file itself, which is written at its creation and by checkpoints.
    DatabaseFile,
}

/// What is to come, and what has been.
#[derive(Debug)]
pub(super) struct Schedule {
    strike: Option<Strike>,
    struck: bool,
    /// Steps so far, without those that change nothing.
    pub steps: u64,
}

impl Schedule {
    pub(super) fn new(strike: Option<Strike>) -> Self {
        Self { strike, struck: false, steps: 0 }
    }

    /// Counts a step, and tells what strikes it.
    pub(super) fn meet(&mut self, op: Op, file: Counted) -> Option<Fault> {
        self.steps += u64::from(op != Op::Read);
        let strike = self.strike.as_mut()?;
        let counts = strike.counted == Counted::All || strike.counted == file;
        if !counts || !strike.fault.concerns(op) {
            return None;
        }
        strike.at = strike.at.saturating_sub(1);
        if strike.at > 0 || (self.struck && !strike.fault.lasts()) {
            return None;
        }
        self.struck = true;
        Some(strike.fault)
    }

    /// Whether the fault has struck.
    pub(super) fn struck(&self) -> bool {
        self.struck
    }

    /// Nothing fails any more.
    pub(super) fn mend(&mut self) {
        self.strike = None;
    }
}

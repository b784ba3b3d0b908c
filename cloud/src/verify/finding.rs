//! What can be found, and what to do then.

use serde::Serialize;
use serde::ser::SerializeStruct as _;
use storepulse_shared::ids::{StoreId, TenantId};

/// Something that does not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whose.
    pub tenant: TenantId,
    /// Of which store; `None` is the tenant as a whole.
    pub store: Option<StoreId>,
    /// What was checked.
    pub check: Check,
    /// The thing and its values.
    pub what: String,
}

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// A batch of the inbox whose number is not received.
    Receipt,
    /// A batch that stands in the inbox more than once.
    Twice,
    /// A batch of the inbox whose columns do not fit each other.
    Batch,
    /// Samples of a series that is not there, or of another store.
    Series,
    /// Counters of a stream that do not add up.
    Stream,
    /// Samples or batches that were received and are nowhere, or are here and were never received.
    Ledger,
    /// A part of a day that cannot be read, or is not what its row says.
    Part,
    /// Parts of one day whose times overlap.
    Overlap,
    /// The counter of series is behind.
    Counter,
    /// A store, series, event, loss or recovery of something that is not there.
    Orphan,
    /// Batches that were sealed and neither came nor were given up.
    Gap,
}

impl Check {
    /// In the order of their declaration.
    pub const ALL: [Self; 11] = [
        Self::Receipt,
        Self::Twice,
        Self::Batch,
        Self::Series,
        Self::Stream,
        Self::Ledger,
        Self::Part,
        Self::Overlap,
        Self::Counter,
        Self::Orphan,
        Self::Gap,
    ];

    /// Its name in the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Twice => "twice",
            Self::Batch => "batch",
            Self::Series => "series",
            Self::Stream => "stream",
            Self::Ledger => "ledger",
            Self::Part => "part",
            Self::Overlap => "overlap",
            Self::Counter => "counter",
            Self::Orphan => "orphan",
            Self::Gap => "gap",
        }
    }

    /// A gap is told and is not wrong: an agent may be offline.
    #[must_use]
    pub const fn is_wrong(self) -> bool {
        !matches!(self, Self::Gap)
    }

    /// What to do.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Receipt => {
                "streams and sample_batches are of different moments: restore both from one backup; agents then send again what the cloud says it lacks"
            }
            Self::Twice => {
                "reads show each sample once, counts do not: keep the row that was received last, or restore"
            }
            Self::Batch => {
                "the row was damaged after it was written: check the disk, and restore this store's inbox from a backup"
            }
            Self::Series => {
                "restore the table series from a backup of the same moment; do not number series anew"
            }
            Self::Stream => {
                "the batches are there, the account of them is not right: compare with a backup before anybody is billed by it"
            }
            Self::Ledger => {
                "compare with the last backup that verifies; while the agents still keep what they sent (7 days), a restore lets them send it again"
            }
            Self::Part => {
                "the row was damaged after it was written: check the disk, and restore the row from a backup; its upkeep stops at it until then"
            }
            Self::Overlap => {
                "reads show the later part's samples: restore the parts of this day from one backup"
            }
            Self::Counter => {
                "set series_counters.last_id to the highest series_id before a new device speaks"
            }
            Self::Orphan => "restore the table that it refers to from a backup of the same moment",
            Self::Gap => {
                "nothing, if the store's agent is offline or behind; else look at its `spool ls` and at the store's delivery account"
            }
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.tenant)?;
        if let Some(store) = &self.store {
            write!(f, "/{store}")?;
        }
        write!(f, ": {}: {}; {}", self.check.name(), self.what, self.check.remedy())
    }
}

impl Serialize for Finding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_struct("Finding", 6)?;
        line.serialize_field("tenant", self.tenant.as_str())?;
        line.serialize_field("store", &self.store.as_ref().map(StoreId::as_str))?;
        line.serialize_field("check", self.check.name())?;
        line.serialize_field("wrong", &self.check.is_wrong())?;
        line.serialize_field("what", &self.what)?;
        line.serialize_field("remedy", self.check.remedy())?;
        line.end()
    }
}

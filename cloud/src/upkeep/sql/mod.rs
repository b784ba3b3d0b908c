//! The SQL of upkeep, by what it does.

pub(super) mod compaction;
pub(super) mod jobs;
pub(super) mod retention;

//! Reads of `stores`, `streams`, `losses`, `events` and `series`.

pub(super) mod events;
pub(super) mod losses;
pub(super) mod overview;
pub(super) mod series;
pub(super) mod stores;

//! The account of a store's delivery: what was sealed, what has arrived, what never will and why, and what is due.
//!
//! For every opening of the store's spool, missing = [1..sealed] − received − void. Nothing is kept for it: it is read
//! from `streams`, the only record of receipt, and from `losses`. Everything that can grow is bounded: epochs and the
//! losses of one come in pages, and of the ranges of numbers the first are shown beside their count.

mod answer;
pub(crate) mod http;
mod sql;

pub(crate) use self::answer::Loss;
pub(crate) use self::sql::LossRow;

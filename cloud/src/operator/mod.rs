//! Operators, who run StorePulse: their keys, and what all of their routes share.
//!
//! Their keys are made at the command line only: whoever may reach the database may make one. What an operator does, over
//! HTTP or at the command line, is a function on a [`ControlTx`](crate::db::ControlTx) that writes its entry of the audit in
//! the same transaction, and refuses with a [`Refusal`].

pub(crate) mod answers;
mod refusal;
pub(crate) mod request;
pub(crate) mod sql;
pub(crate) mod text;

pub(crate) use self::refusal::Refusal;

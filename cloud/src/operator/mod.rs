//! Operators and their keys. They are made at the command line only: whoever may reach the database may make one.

pub(crate) mod sql;

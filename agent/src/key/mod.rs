//! The key that the agent made itself: where it is kept, and how it takes the place of the one before.
//!
//! `file` keeps it in the state folder, `rotation` changes it when an operator has opened a window. Which key counts is
//! decided where keys are read, in [`crate::config::KeySource`]: ours, as long as the configured key is the one that it
//! was derived from. So an operator who configures another key is obeyed.

mod file;
mod rotation;

pub(crate) use self::file::{KeyFile, KeyFileError};
pub(crate) use self::rotation::Rotation;

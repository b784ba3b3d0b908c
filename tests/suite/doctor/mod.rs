//! `doctor` against arranged faults, each in a shop of its own, with the command that people type as a child process: the fault is
//! named first, with a next step, and the exit code tells it.
//!
//! `shop` makes shops and asks the doctor; the faults of the box, the cloud and the devices are a table each.

mod box_faults;
mod cloud_faults;
mod device_faults;
mod running;
mod shop;

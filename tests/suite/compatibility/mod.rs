//! One version back: what the version before said is answered as it was, what it answered is understood, its queries work on the
//! schema of this one, and no migration takes from it what it needs. `cargo compat` does it with the program of that version.

mod migrations;
mod queries;
mod replayed;

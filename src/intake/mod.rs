//!

mod reader;
#[cfg(test)]
mod reader_tests;
mod reason;
mod scan;
mod sniff;
mod split;

pub use reader::{OpenError, ReadError, Row, Rows, Table};
pub use reason::{Refusal, invalid_note};

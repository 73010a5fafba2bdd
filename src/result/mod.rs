//! What a result file says: pure pieces, without I/O.
//!
//! [`fields`] reads a check's answer, [`RowStatus`] and [`ResultCells`] are the columns that imeid adds,
//! [`name_in_outbox`] tells whose file it is; [`Header`] and [`record`] are the form in which the input's own columns wait in the journal.

mod cells;
mod fields;
mod file_name;
mod header;
mod label;
mod markup;
#[cfg(test)]
mod odd_tests;
pub mod record;
mod status;

pub use cells::{COLUMNS, ResultCells};
pub use fields::{Fields, fields};
pub use file_name::name_in_outbox;
pub use header::Header;
pub use status::{RowStatus, UnknownStatus, read_me};

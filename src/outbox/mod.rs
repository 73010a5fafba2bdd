//!

mod table;

pub use table::ResultWriter;

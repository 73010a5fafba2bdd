//! How things stand: one value, read from the journal beside a running daemon or without one, that every status is
//! made of. [`Status::read`] reads it; serialised it is `status --json`, [`text`] prints it for people.

mod batches;
mod doubts;
mod error;
mod model;
mod read;
#[cfg(test)]
mod tests;
pub mod text;

pub use batches::Batch;
pub use doubts::{DoubtLine, WaitsFor};
pub use error::StatusError;
pub use model::{
    Alarm, Daemon, DaemonState, Disk, Latency, MoneyLine, Orders, PauseLine, Rate, Status, Today, Workers,
};

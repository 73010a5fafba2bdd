//! A provider of our own, for tests, `imeid demo` and `imeid simulate`: it keeps books of every charge, and fails on
//! demand in every way that the real one or the network before it might.
//!
//! It shares [`crate::types`] with the rest, and the server the clock: its XML is written straight from what is known
//! of the provider, so that one misreading can't hide in both client and simulator.
//!
//! - [`Model`]: the rules, pure; usable in-process with any time: [`Model::receive`], [`Model::answer`], [`write_xml`].
//! - [`start`]: the model behind HTTP on loopback, with faults, hangs and drops on the wire.
//! - [`Options`], [`Change`], [`SimulateArgs`]: its switches at the start, while it runs, on the command line.
//! - [`LedgerSummary`], [`Entry`], [`OrderLine`]: the truth to compare with.

mod answer;
mod args;
mod call;
mod code;
mod connection;
mod delay;
mod faults;
mod form;
mod keyed;
mod ledger;
mod model;
mod options;
mod parse;
mod server;
mod xml;

pub use answer::{Answer, OrderStatus, OrderView, Service};
pub use args::SimulateArgs;
pub use call::{Call, Caller, Plan};
pub use code::{CodeKind, Facts};
pub use delay::Delay;
pub use faults::{Fault, FaultKind, Faults};
pub use ledger::{Entry, EntryKind, EntryOrder, Ledger, LedgerSummary, OrderLine};
pub use model::Model;
pub use options::{Account, Change, Duplicates, ListingOrder, Options, Span};
pub use parse::{ParseError, Share, duration};
pub use server::{Running, start, start_with_clock};
pub use xml::{Dress, write as write_xml};

//! The words of the domain as types: pure values, no I/O, no clock, nothing imported from the rest of the crate.

mod ids;
mod imei;
mod money;
mod outcome;
mod time;
mod titles;

pub use ids::{AttemptNo, BatchId, NetworkId, OrderId, ProviderOrderId, RowId, ServiceId};
pub use imei::{Imei, ImeiError};
pub use money::{Money, MoneyError};
pub use outcome::{
    AccountInfo, CallError, NotTaken, Placed, ProviderOrder, ProviderService, ProviderStatus, Reply, Unclear,
};
pub use time::Timestamp;
pub use titles::{TitleOf, Titles};

//! What the provider says, before it is XML.

use super::code::CodeKind;
use super::faults::{Fault, FaultKind};
use crate::types::{Imei, Money, NetworkId, ProviderOrderId, Timestamp};

/// One product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `PackageId`.
    pub network_id: NetworkId,
    /// `PackageTitle`, and an order's `package`.
    pub title: String,
    /// `CategoryId`.
    pub category_id: u32,
    /// `Category`.
    pub category: String,
    /// `PackagePrice`: what an order is charged.
    pub price: Money,
    /// `TimeTaken`.
    pub time_taken: String,
    /// `MustRead`.
    pub must_read: String,
    /// What its finished orders hold.
    pub code: CodeKind,
}

/// How far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// In the first half of its time.
    Pending,
    /// In the second half.
    InProcess,
    /// Done; its code is there.
    Completed,
    /// Given back and refunded.
    Rejected,
}

impl OrderStatus {
    /// `statusId`.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::Pending => 1,
            Self::Completed => 2,
            Self::Rejected => 3,
            Self::InProcess => 4,
        }
    }

    /// `status`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProcess => "In Process",
            Self::Completed => "Completed",
            Self::Rejected => "Rejected",
        }
    }

    pub(super) const fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Rejected)
    }
}

/// One order as `getimeis` tells it; its code is made when it is written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// Its id.
    pub id: ProviderOrderId,
    /// Its service's title.
    pub package: String,
    /// Its IMEI.
    pub imei: Imei,
    /// How far it is.
    pub status: OrderStatus,
    /// When it was taken.
    pub placed_at: Timestamp,
    /// What its code holds.
    pub code: CodeKind,
}

/// An answer before it is XML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To `placeorder`: the order taken. Never two, but by a fault.
    Placed(Vec<(ProviderOrderId, Imei)>),
    /// To `placeorder`: refused as ordered before, as a list.
    Duplicates(Vec<Imei>),
    /// To `getimeis`.
    Orders(Vec<OrderView>),
    /// To `imeiservices`.
    Services(Vec<Service>),
    /// To `accountinfo`: the balance.
    Account(Money),
    /// `<error>` with this text.
    Error(String),
}

impl Answer {
    /// The answer as a fault twists it.
    #[must_use]
    pub fn twisted(self, fault: Fault) -> Self {
        match (fault.kind, self) {
            (FaultKind::WrongImei, Self::Placed(orders)) => {
                Self::Placed(orders.into_iter().map(|(id, imei)| (id, neighbour(imei))).collect())
            }
            (FaultKind::Several, Self::Placed(mut orders)) => {
                let second = orders.first().map(|(id, imei)| (ProviderOrderId(id.0 + 1), neighbour(*imei)));
                orders.extend(second);
                Self::Placed(orders)
            }
            (FaultKind::OddError, _) => Self::Error("Something went wrong, code 17".to_owned()),
            (_, answer) => answer,
        }
    }
}

/// Another valid IMEI.
fn neighbour(imei: Imei) -> Imei {
    let part = |value: u64| u32::try_from(value).unwrap_or(0);
    Imei::from_parts(part(imei.as_u64() / 10_000_000), part(imei.as_u64() / 10 % 1_000_000) + 1)
}

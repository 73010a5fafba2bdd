//! The simulator's books: the truth that a client's own books are checked against.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::types::{Imei, Money, NetworkId, ProviderOrderId, Timestamp};

/// What a movement of money was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// An order was taken; the amount left the balance.
    Charge,
    /// A rejected order; the amount came back.
    Refund,
    /// The balance was set or topped up from outside; the amount may be negative.
    Credit,
}

/// The order that a charge or refund was for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryOrder {
    /// The order's id.
    pub id: ProviderOrderId,
    /// Its IMEI.
    #[serde(serialize_with = "as_text")]
    pub imei: Imei,
    /// Its service.
    pub network_id: NetworkId,
}

/// One movement of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What it was for.
    pub kind: EntryKind,
    /// When.
    pub at: Timestamp,
    /// How much: positive but for a credit taken away.
    pub amount: Money,
    /// The order, where it was for one.
    #[serde(flatten)]
    pub order: Option<EntryOrder>,
}

/// One order as `GET /sim/orders` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderLine {
    /// The order's id.
    pub id: ProviderOrderId,
    /// Its IMEI.
    #[serde(serialize_with = "as_text")]
    pub imei: Imei,
    /// Its service.
    pub network_id: NetworkId,
    /// When it was taken and charged.
    pub charged_at: Timestamp,
    /// `Pending`, `In Process`, `Completed` or `Rejected`.
    pub status: String,
    /// What was charged for it.
    pub price: Money,
    /// What the device's check says, whatever shape the answer has (services that check only).
    pub facts: Option<super::code::Facts>,
}

fn as_text<S: Serializer>(imei: &Imei, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(imei)
}

/// Counts and sums: `GET /sim/ledger`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerSummary {
    /// `placeorder` requests that arrived whole, executed or not.
    pub place_calls: u64,
    /// Those of them with several IMEIs, of which all but the last are dropped.
    pub batched_calls: u64,
    /// Requests of the other actions.
    pub other_calls: u64,
    /// Orders taken; as many as charges.
    pub orders: u64,
    /// Charges made.
    pub charges: u64,
    /// Their sum.
    pub charged: Money,
    /// Refunds made.
    pub refunds: u64,
    /// Their sum.
    pub refunded: Money,
    /// Credit put in, at the start and later.
    pub credited: Money,
    /// `credited` less `charged` and `refunded` more: what is left.
    pub balance: Money,
    /// Pairs of IMEI and service charged again while an earlier charge was not refunded.
    pub paid_twice: u64,
    /// Charges for a pair all of whose earlier charges had been refunded.
    pub ordered_again: u64,
    /// Faults that struck, by name.
    pub faults: BTreeMap<String, u64>,
}

/// Every movement of money in order, and the counters.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    summary: LedgerSummary,
}

impl Ledger {
    /// Every movement of money, in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The counters as they stand.
    #[must_use]
    pub const fn summary(&self) -> &LedgerSummary {
        &self.summary
    }

    pub(super) fn count_place_call(&mut self, imeis: usize) {
        self.summary.place_calls += 1;
        self.summary.batched_calls += u64::from(imeis > 1);
    }

    pub(super) fn count_other_call(&mut self) {
        self.summary.other_calls += 1;
    }

    pub(super) fn count_fault(&mut self, name: String) {
        *self.summary.faults.entry(name).or_default() += 1;
    }

    pub(super) fn count_paid_twice(&mut self) {
        self.summary.paid_twice += 1;
    }

    pub(super) fn count_ordered_again(&mut self) {
        self.summary.ordered_again += 1;
    }

    /// Books one movement; `false`, and nothing booked, where a sum can't be held.
    pub(super) fn book(&mut self, entry: Entry) -> bool {
        let sums = &mut self.summary;
        let (sum, balance) = match entry.kind {
            EntryKind::Charge => (&mut sums.charged, sums.balance.checked_sub(entry.amount)),
            EntryKind::Refund => (&mut sums.refunded, sums.balance.checked_add(entry.amount)),
            EntryKind::Credit => (&mut sums.credited, sums.balance.checked_add(entry.amount)),
        };
        let (Some(new_sum), Some(balance)) = (sum.checked_add(entry.amount), balance) else {
            return false;
        };
        *sum = new_sum;
        sums.balance = balance;
        match entry.kind {
            EntryKind::Charge => {
                sums.charges += 1;
                sums.orders += 1;
            }
            EntryKind::Refund => sums.refunds += 1,
            EntryKind::Credit => {}
        }
        self.entries.push(entry);
        true
    }
}

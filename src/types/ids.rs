//! Identifiers that can't be mistaken for one another.

use std::fmt;

macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

integer_id!(
    /// A batch: one accepted input file.
    BatchId(i64)
);
integer_id!(
    /// An order of ours: the one paid submission for an (account, service, IMEI).
    OrderId(i64)
);
integer_id!(
    /// The journal's number of an (account, network id).
    ServiceId(i64)
);
integer_id!(
    /// The provider's number of an order. Larger is later: ids are compared, never times.
    ProviderOrderId(u64)
);
integer_id!(
    /// The how-many-th attempt of its order, from 1.
    AttemptNo(u32)
);

/// A data line of a batch: `batch << 32 | row`, so that a batch's rows are one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub i64);

impl RowId {
    /// The row with this number (from 1) of this batch.
    #[must_use]
    pub const fn new(batch: BatchId, row: u32) -> Self {
        Self((batch.0 << 32) | row as i64)
    }

    /// The batch it belongs to.
    #[must_use]
    pub const fn batch(self) -> BatchId {
        BatchId(self.0 >> 32)
    }

    /// Its number in the batch, from 1.
    #[must_use]
    pub const fn row(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }
}

/// What a service is known by at the provider (`networkId`, PackageId); its name may change, this doesn't.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct NetworkId(pub String);

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_id_keeps_batch_and_row() {
        let id = RowId::new(BatchId(7), u32::MAX);
        assert_eq!((id.batch(), id.row()), (BatchId(7), u32::MAX));
        assert!(RowId::new(BatchId(7), u32::MAX) < RowId::new(BatchId(8), 1));
    }
}

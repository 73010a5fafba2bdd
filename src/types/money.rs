//! Money as whole micro-dollars: sums never round, and overflow is an error, not a number.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount in micro-dollars (US$ 0.000001).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i64);

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an amount in dollars such as \"0.08\" (at most six places)")]
pub struct MoneyError(String);

const MICROS_PER_DOLLAR: i64 = 1_000_000;

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of this many micro-dollars.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The amount in micro-dollars.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The sum, or `None` where it can't be held (9 × 10¹² dollars).
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` where it can't be held.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// This amount `count` times, or `None` where it can't be held.
    #[must_use]
    pub fn checked_mul(self, count: u64) -> Option<Self> {
        i64::try_from(count).ok().and_then(|n| self.0.checked_mul(n)).map(Self)
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || MoneyError(text.to_owned());
        let amount = Decimal::from_str_exact(text.trim()).map_err(|_| wrong())?;
        let micros = amount.checked_mul(Decimal::from(MICROS_PER_DOLLAR)).ok_or_else(wrong)?;
        if micros.fract().is_zero() { micros.to_i64().map(Self).ok_or_else(wrong) } else { Err(wrong()) }
    }
}

/// At least two places, more only where they are needed.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = Decimal::new(self.0, 6).normalize();
        let places = usize::try_from(amount.scale()).unwrap_or(6).max(2);
        write!(f, "{amount:.places$}")
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_print_with_two_places_or_as_many_as_they_need() {
        for (text, shown) in [
            ("0", "0.00"),
            ("0.08", "0.08"),
            ("2000", "2000.00"),
            ("0.085", "0.085"),
            ("-1.5", "-1.50"),
            ("0.000001", "0.000001"),
        ] {
            assert_eq!(text.parse::<Money>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn six_thousand_orders_at_eight_cents_are_480_dollars() {
        let price: Money = "0.08".parse().unwrap();
        assert_eq!(price.checked_mul(6_000).unwrap().to_string(), "480.00");
    }

    #[test]
    fn what_is_not_an_amount_is_refused() {
        for text in ["", "8 cents", "0,08", "1e3", "NaN", "0.0000001", "99999999999999"] {
            assert!(text.parse::<Money>().is_err(), "{text}");
        }
        assert_eq!(Money::from_micros(i64::MAX).checked_add(Money::from_micros(1)), None);
    }
}

//! An order that the provider took twice, by a listing, an export or an answer: what that shows of the provider.
//!
//! Who refuses duplicates takes no second order of what it has. So where two attempts of one order were both taken, by our own
//! doing, it charges duplicates: it took a probe of what it had, or it took later what it had been sent before the quiet
//! period. No probe goes any more then, until a person has seen the alarm: in the alarm's own transaction, as no look at
//! the balance may ever tell the same. Likewise where duplicates were once seen to be refused: what was paid says more.
//!
//! | twice | it shows |
//! |---|---|
//! | a probe, and another attempt of its order | duplicates are charged |
//! | an attempt that was released, as no listing had it, and the one sent then | likewise: the first was executed late |
//! | a person said that it was not ordered, and it was sent again | nothing: that was paid by his word, and he knows of it |
//! | one of the two is no attempt of ours | nothing: who orders by hand need not be under the rule for calls |
//! | the first of the two was given back ([`stood_at_once`]) | nothing: what ended rejected may be ordered again |

use super::super::orders::Loaded;
use super::super::tx::Tx;
use super::super::{JournalError, books};
use super::{forbid, words};
use crate::order::Alarm;
use crate::types::Timestamp;

/// The alarm that an order was charged twice. Where that shows that the provider charges duplicates, what is in doubt is
/// held from now on, and the alarm says so.
pub(in super::super) fn charged_twice(
    tx: &Tx<'_>,
    order: &Loaded,
    text: &str,
    first_given_back: bool,
    now: Timestamp,
) -> Result<(), JournalError> {
    let shows_it = is_shown(tx, order)? || !first_given_back && by_our_doing(tx, order)?;
    if !shows_it {
        return books::alarm(tx, now, Alarm::DoubleCharge, text, order).map(drop);
    }
    let text = format!("{text}. {}", words::CHARGES_DUPLICATES);
    let n = books::alarm(tx, now, Alarm::DoubleCharge, &text, order)?;
    let account = "SELECT account FROM services WHERE id = ?1";
    let account: Option<String> = tx.find(account, [order.service.0], |row| row.get(0))?;
    forbid(tx, &account.unwrap_or_default(), n, &text, now)
}

/// Whether an alarm about this order said so already. Told again in other words, as by an export that has another end of one,
/// it shows no less: the first stood when the second was there.
fn is_shown(tx: &Tx<'_>, order: &Loaded) -> Result<bool, JournalError> {
    let found = tx.find(
        "SELECT 1 FROM alarms WHERE order_id = ?1 AND name = ?2 AND instr(text, ?3) > 0 LIMIT 1",
        (order.id.0, Alarm::DoubleCharge.as_str(), words::CHARGES_DUPLICATES),
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// Whether two attempts of ours were taken, the later of which no person's word made: one is charged, or presumed to be, and
/// the other too, or it was released or cleared on what a list or an export didn't have.
fn by_our_doing(tx: &Tx<'_>, order: &Loaded) -> Result<bool, JournalError> {
    let found = tx.find(
        "SELECT 1 FROM attempts later JOIN attempts first ON first.order_id = later.order_id AND first.n < later.n \
         WHERE later.order_id = ?1 AND later.verdict IN (0, 4, 5, 7, 8) AND later.kind < 2 \
         AND first.verdict IN (0, 4, 5, 7, 8) AND first.kind < 2 AND (later.verdict IN (0, 4) OR first.verdict IN (0, 4)) \
         AND (later.kind = 1 OR NOT EXISTS \
         (SELECT 1 FROM events WHERE order_id = ?1 AND what = 'word' AND detail LIKE '% -> queued%')) LIMIT 1",
        [order.id.0],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// What is told of one of several orders of an IMEI.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct ToldOf {
    /// It was given back.
    pub(in super::super) rejected: bool,
    /// Between which times, or by which number, it was ordered; `None`: that can't be compared.
    pub(in super::super) place: Option<(i64, i64)>,
}

/// Whether one of them was taken while another stood, as far as is told. One that was given back may have been so before the
/// next was taken: it must be the later one.
pub(in super::super) fn stood_at_once(told: &[ToldOf]) -> bool {
    let is_before = |first: &ToldOf, later: &ToldOf| {
        first.place.zip(later.place).is_some_and(|((_, until), (from, _))| until < from)
    };
    told.iter().enumerate().any(|(n, first)| {
        let others = told.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, other)| other);
        !first.rejected && others.into_iter().any(|later| !later.rejected || is_before(first, later))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_first_shows_nothing_of_the_next() {
        let told = |rejected, at: i64| ToldOf { rejected, place: Some((at, at + 5)) };
        assert!(stood_at_once(&[told(false, 10), told(false, 20)]));
        assert!(stood_at_once(&[told(true, 20), told(false, 10)]), "the later one was given back");
        assert!(!stood_at_once(&[told(true, 10), told(false, 20)]));
        assert!(!stood_at_once(&[told(true, 10), told(true, 20)]), "each in its turn");
        assert!(!stood_at_once(&[told(true, 13), told(false, 10)]), "which was first isn't known");
        let undated = |rejected| ToldOf { rejected, place: None };
        assert!(stood_at_once(&[undated(false), undated(false)]));
        assert!(!stood_at_once(&[undated(true), undated(false)]));
        assert!(
            stood_at_once(&[told(true, 10), told(false, 20), told(false, 30)]),
            "the second and the third"
        );
        assert!(!stood_at_once(&[told(false, 10)]) && !stood_at_once(&[]));
    }
}

//! What an export shows once the whole of it is read: its dates can be placed, and each order has all rows that may be its
//! own.

use crate::journal::{ExportRow, SettledBy, TurnedBy, Unmatched};

use super::file::{Work, WorkError};
use super::reading::Reading;
use super::reason::{Kind, repeated_lines};
use super::turned::OfKey;

impl Work {
    /// The whole of it is read: its dates can be placed now, and each order has all rows that may be its own.
    pub(super) async fn settle(&self, reading: &mut Reading) -> Result<(), WorkError> {
        for mut rows in std::mem::take(&mut reading.wanted).into_values() {
            for row in &mut rows {
                row.placed = row.told_at.and_then(|told_at| reading.dates.on_our_clock(told_at));
            }
            let lines: Vec<(u64, String)> =
                rows.iter().map(|row| (row.line, format!("IMEI {:015}", row.imei))).collect();
            let rules = (*self.settings.rules).clone();
            let settled = self.journal.settle_by_export(rows, self.clock.now(), rules).await?;
            for ((line, imei), settled) in lines.into_iter().zip(settled) {
                let count = match settled {
                    SettledBy::Settled => &mut reading.counts.settled,
                    SettledBy::Kept => &mut reading.counts.kept,
                    SettledBy::Ours => &mut reading.counts.ours,
                    SettledBy::Unmatched(why) => {
                        reading.tell(Kind::Order(why), line, &imei);
                        continue;
                    }
                };
                *count = count.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Orders of ours that had ended otherwise.
    pub(super) async fn turn(&self, reading: &mut Reading) -> Result<(), WorkError> {
        let (of_keys, made_after) = std::mem::take(&mut reading.turned).placed(&reading.dates);
        for OfKey { mut lines, rows } in of_keys {
            let Some(imei) = rows.first().map(|row| format!("IMEI {:015}", row.imei)) else { continue };
            let of_rows: Vec<u64> = rows.iter().map(|row| row.line).collect();
            let rules = (*self.settings.rules).clone();
            let turned =
                self.journal.turn_by_export(rows.clone(), made_after, self.clock.now(), rules).await?;
            let not_ours = |(_, by): &(&ExportRow, &TurnedBy)| **by == TurnedBy::NotOurs;
            let others: Vec<ExportRow> =
                rows.iter().zip(&turned).filter(not_ours).map(|(row, _)| row.clone()).collect();
            if let Some(answer) = self.answer_unsent(reading, others).await? {
                lines.remove(&answer);
            }
            // The others were counted as what they are at the first reading.
            for (line, by) in of_rows.into_iter().zip(turned).filter(|(line, _)| lines.remove(line)) {
                let kind = match by {
                    TurnedBy::Turned => {
                        reading.counts.settled = reading.counts.settled.saturating_add(1);
                        continue;
                    }
                    TurnedBy::AsKnown => {
                        reading.counts.ours = reading.counts.ours.saturating_add(1);
                        continue;
                    }
                    TurnedBy::Remembered => {
                        reading.counts.remembered = reading.counts.remembered.saturating_add(1);
                        reading.told.insert(line);
                        continue;
                    }
                    TurnedBy::NotOurs => Kind::Order(Unmatched::More),
                    TurnedBy::NoDate => Kind::Order(Unmatched::NoDate),
                    TurnedBy::Unsure => Kind::OtherEnd,
                    TurnedBy::WhichOrder => Kind::WhichOrder,
                };
                reading.tell(kind, line, &imei);
            }
            // More rows of one IMEI than are looked at.
            lines.into_iter().for_each(|line| reading.tell(Kind::WhichOrder, line, &imei));
        }
        Ok(())
    }

    /// One of these rows, all of one IMEI and of no order of ours, may answer what was made anew and wasn't sent: its line.
    async fn answer_unsent(
        &self,
        reading: &mut Reading,
        rows: Vec<ExportRow>,
    ) -> Result<Option<u64>, WorkError> {
        let rules = (*self.settings.rules).clone();
        let answer = self.journal.answer_unsent(rows, self.clock.now(), rules).await?;
        if let Some(line) = answer {
            reading.counts.remembered = reading.counts.remembered.saturating_add(1);
            reading.told.insert(line);
        }
        Ok(answer)
    }

    /// Rows of IMEIs beyond our orders of them.
    pub(super) async fn tell_beyond_ours(&self, reading: &mut Reading) -> Result<(), WorkError> {
        if let Some(left_out) = reading.several.what_is_left_out() {
            reading.left.note(left_out);
        }
        let (of_keys, repeated) = std::mem::take(&mut reading.several).placed(&reading.dates);
        reading.counts.repeated = reading.counts.repeated.saturating_add(repeated);
        reading.counts.ours = reading.counts.ours.saturating_sub(repeated);
        for mut rows in of_keys {
            // Those that were told of give way to others, and are told of once; what they show counts all the same.
            rows.sort_by_key(|row| reading.told.contains(&row.line));
            let Some(imei) = rows.first().map(|row| format!("IMEI {:015}", row.imei)) else { continue };
            let rules = &self.settings.rules;
            let now = self.clock.now();
            let mut beyond = self.journal.beyond_ours(rows.clone(), now, (**rules).clone()).await?;
            beyond.retain(|line| !reading.told.contains(line));
            if beyond.is_empty() {
                continue;
            }
            rows.retain(|row| beyond.contains(&row.line));
            if let Some(answer) = self.answer_unsent(reading, rows.clone()).await? {
                beyond.retain(|line| *line != answer);
                reading.counts.ours = reading.counts.ours.saturating_sub(1);
            }
            let kept = self.journal.keep_successor(rows, self.clock.now(), (**rules).clone()).await?;
            for line in beyond {
                reading.counts.ours = reading.counts.ours.saturating_sub(1);
                if kept.contains(&line) {
                    reading.tell(Kind::Successor, line, &imei);
                    continue;
                }
                reading.tell(Kind::Order(Unmatched::More), line, &imei);
            }
        }
        if reading.counts.repeated > 0 {
            reading.left.note(repeated_lines(reading.counts.repeated));
        }
        Ok(())
    }

    /// What was presumed beside a known charge, and isn't in it.
    pub(super) async fn clear(&self, reading: &mut Reading) -> Result<(), WorkError> {
        if let Some(why) = reading.clearing.why_not() {
            tracing::warn!(file = %self.taken.shown_name(), "{why}");
            reading.left.note(why);
        }
        if let Some(why) = reading.clearing.is_of_one_kind() {
            tracing::info!(file = %self.taken.shown_name(), "{why}");
        }
        let Some(shown) = std::mem::take(&mut reading.clearing).shown(&reading.dates) else { return Ok(()) };
        let account = self.settings.config.provider.account.clone();
        let rules = (*self.settings.rules).clone();
        let dates = std::mem::take(&mut reading.dates);
        let placed = move |told_at| dates.on_our_clock(told_at);
        let cleared = self.journal.clear_by_export(account, shown, placed, self.clock.now(), rules).await?;
        if cleared > 0 {
            tracing::info!(cleared, "presumed charges cleared by the export");
        }
        Ok(())
    }
}

//! Intake's slices: how they go into the journal, and how large they are.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::journal::JournalError;

/// Orders and rows written in one operation: a slice of a few milliseconds, so that claims come between. Of more rows
/// where that many are written faster: a slice is a commit, with its sync.
const SLICE_ROWS: RangeInclusive<usize> = 1000..=4000;
/// A slice should be on disk after this long. While the writer has others to serve, or the disk is slow, slices are small.
const SLICE_TIME: RangeInclusive<Duration> = Duration::from_millis(3)..=Duration::from_millis(4);

/// One slice on its way into the journal while the next is made: neither the file nor the disk waits for the other. No
/// more than one, so that a claim never waits for two.
pub(super) struct Ahead<T> {
    /// How many rows the next slice should have.
    pub(super) rows: usize,
    slice: Option<JoinHandle<(Result<T, JournalError>, Duration)>>,
}

impl<T> Default for Ahead<T> {
    fn default() -> Self {
        Self { rows: *SLICE_ROWS.start(), slice: None }
    }
}

impl<T: Send + 'static> Ahead<T> {
    /// Sends a slice off; gives what became of the one before it.
    pub(super) async fn write(
        &mut self,
        slice: impl Future<Output = Result<T, JournalError>> + Send + 'static,
    ) -> Result<Option<T>, JournalError> {
        let timed = async move {
            let began = Instant::now();
            (slice.await, began.elapsed())
        };
        let before = self.slice.replace(tokio::spawn(timed));
        self.written(before).await
    }

    /// What became of the last one.
    pub(super) async fn end(&mut self) -> Result<Option<T>, JournalError> {
        let last = self.slice.take();
        self.written(last).await
    }

    async fn written(
        &mut self,
        slice: Option<JoinHandle<(Result<T, JournalError>, Duration)>>,
    ) -> Result<Option<T>, JournalError> {
        let Some(slice) = slice else { return Ok(None) };
        let (written, took) = slice.await.map_err(|_| JournalError::Closed)?;
        self.rows = next_rows(self.rows, took);
        written.map(Some)
    }
}

/// How many rows a slice has after one of `rows` that took so long.
fn next_rows(rows: usize, took: Duration) -> usize {
    let next = if took < *SLICE_TIME.start() {
        rows.saturating_add(rows / 4)
    } else if took > *SLICE_TIME.end() {
        rows.saturating_sub(rows / 4)
    } else {
        rows
    };
    next.clamp(*SLICE_ROWS.start(), *SLICE_ROWS.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_grows_while_it_is_written_fast_and_shrinks_while_others_wait() {
        let (fast, slow) = (Duration::from_millis(1), Duration::from_millis(40));
        let after = |rows, took, times| (0..times).fold(rows, |rows, _| next_rows(rows, took));
        assert_eq!(after(1000, fast, 20), 4000);
        assert_eq!(after(4000, slow, 20), 1000);
        assert_eq!(after(2500, *SLICE_TIME.start(), 20), 2500);
    }
}

//! `NAME.partial.csv`: what is known so far of a batch in work.

use std::ffi::OsString;
use std::io;

use crate::durable;
use crate::journal::{BatchState, BatchWork};

use super::publish::{MODE, PublishError, Publisher, blocking, write};

const SUFFIX: &str = ".partial.csv";

/// Its name in the outbox.
pub(super) fn partial_name(batch: &BatchWork) -> String {
    format!("{}{SUFFIX}", batch.name)
}

impl Publisher {
    /// What is known so far, under a name that says so.
    pub(super) async fn write_partial(&self, batch: &BatchWork) -> Result<(), PublishError> {
        let name = OsString::from(partial_name(batch));
        let (journal, folder, batch) = (self.journal.clone(), self.folder.clone(), batch.clone());
        blocking(move || {
            durable::write_file(&folder, &name, MODE, true, |out| {
                write(&journal, &batch, out).map_err(io::Error::other)
            })?;
            Ok(())
        })
        .await
    }

    /// Says which partials are no batch's that this journal has in work. They are of a journal that was lost, as after a
    /// backup was put back, or somebody's own: so they are left alone.
    pub(super) async fn tell_of_partials(&self, batches: &[BatchWork]) -> Result<(), PublishError> {
        for file in self.strange_partials(batches).await? {
            tracing::warn!(
                file = %file,
                "no file in work here: nothing in it becomes newer, and it doesn't go by itself. It is left from a journal \
                 that was lost, or somebody put it there: delete it once it isn't needed"
            );
        }
        Ok(())
    }

    pub(super) async fn strange_partials(&self, batches: &[BatchWork]) -> Result<Vec<String>, PublishError> {
        let in_work: Vec<String> =
            batches.iter().filter(|batch| batch.state != BatchState::Published).map(partial_name).collect();
        let folder = self.folder.clone();
        blocking(move || {
            let mut strange = Vec::new();
            for entry in std::fs::read_dir(folder)? {
                let file = entry?.file_name().to_string_lossy().into_owned();
                if file.ends_with(SUFFIX) && !file.starts_with('.') && !in_work.contains(&file) {
                    strange.push(file);
                }
            }
            strange.sort();
            Ok(strange)
        })
        .await
    }
}

//! Copies of the state directory, and putting one back.
//!
//! A copy that was put back knows nothing of what was ordered, taken and published since, so only a part of what must hold
//! elsewhere holds here: that it is noticed, that nothing is sent before a person says so, and that nothing is paid twice
//! where he did as he is told to.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::points::Crashed;
use super::{World, oracle, outbox};

/// A quiet period is over, and whatever was on the wire has been executed.
pub(crate) const LATER: Duration = Duration::from_secs(300);

/// The state directory of a process that doesn't run.
#[derive(Debug, Default)]
pub(crate) struct Copy {
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl World {
    /// Someone copies the state directory.
    pub(crate) fn copy_state(&self) -> Copy {
        let state = fs::read_dir(self.root().join("state")).unwrap().map(|entry| entry.unwrap().path());
        Copy { files: state.map(|path| (path.clone(), fs::read(path).unwrap())).collect() }
    }

    /// Someone puts a copy of the state directory back, in which there is nothing else then.
    pub(crate) fn put_back(&mut self, copy: &Copy) {
        for entry in fs::read_dir(self.root().join("state")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (path, bytes) in &copy.files {
            fs::write(path, bytes).unwrap();
        }
        self.note("a copy is put back");
    }

    /// Whether the journal is known as an older copy, and waits for a person.
    pub(crate) fn waits_as_older_copy(&self) -> bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM pauses WHERE reason = 'older_copy')";
        self.life.as_ref().unwrap().view.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// A copy was put back and runs: a person does as the README says. Whether it was known as an older one, which it must
    /// be where `has_sent`. Faults are over.
    pub(crate) fn live_on_a_copy(&mut self, has_sent: bool) -> Result<bool, Crashed> {
        let waits = self.waits_as_older_copy();
        assert!(waits || !has_sent, "orders were sent since, and the copy isn't known as older");
        if waits {
            let sent = self.wire.sent();
            self.until_all_is_finished()?;
            self.drop_export();
            while !self.are_exports_read() {
                self.turn()?;
                self.pass(LATER)?;
            }
            assert_eq!(self.wire.sent(), sent, "it sends before anyone says so");
            assert!(self.waits_as_older_copy(), "it goes on before anyone says so");
            self.life.as_mut().unwrap().resume()?;
        }
        self.turn()?;
        self.drop_again_what_it_lacks();
        Ok(waits)
    }

    /// Whether every file that was dropped is taken.
    pub(crate) fn is_inbox_empty(&self) -> bool {
        !self.places.iter().any(|place| place.exists())
    }

    /// Until no order at the provider is unfinished: of an export's other orders only the finished ones are remembered.
    fn until_all_is_finished(&mut self) -> Result<(), Crashed> {
        while self
            .wire
            .orders()
            .iter()
            .any(|order| !matches!(order.status.as_str(), "Completed" | "Rejected"))
        {
            self.turn()?;
            oracle::check_copy(self);
            self.pass(LATER)?;
        }
        Ok(())
    }

    /// Files that the copy knows nothing of, and that don't wait in the inbox, are dropped again.
    fn drop_again_what_it_lacks(&mut self) {
        let known: Vec<String> = outbox::batches(self).into_values().map(|(_, file)| file.text).collect();
        let lacks: Vec<_> = self
            .dropped
            .iter()
            .zip(&self.places)
            .filter(|(file, place)| !file.refused && !known.contains(&file.text) && !place.exists())
            .map(|(file, _)| file.clone())
            .collect();
        for file in lacks {
            self.drop_file(file);
        }
    }
}

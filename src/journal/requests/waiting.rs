//! What waits to be carried out, and for whoever tells of it: who says what, about what.

use super::super::JournalError;
use super::super::view::View;
use super::{Said, Target, read_json};
use crate::types::{BatchId, Imei, ProviderOrderId};

/// A word that waits to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRequest {
    /// The user's name, or number.
    pub who: String,
    /// What; `None`: it can't be read.
    pub said: Option<Said>,
    /// About what, for people; `None` likewise.
    pub about: Option<String>,
}

impl OpenRequest {
    /// The order id that it rests on: what the provider tells of it is for
    /// [`Journal::carry_out_seen`](super::super::Journal::carry_out_seen).
    #[must_use]
    pub const fn id_to_look_up(&self) -> Option<ProviderOrderId> {
        match self.said {
            Some(Said::OrderId(id)) => Some(ProviderOrderId(id)),
            _ => None,
        }
    }
}

impl View {
    /// The requests that wait, oldest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn open_requests(&self) -> Result<Vec<i64>, JournalError> {
        self.all("SELECT id FROM requests WHERE done_at IS NULL ORDER BY id LIMIT 100", [], |row| row.get(0))
    }

    /// A request that waits: who says what, and about what.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn open_request(&self, request: i64) -> Result<Option<OpenRequest>, JournalError> {
        let found = self.find(
            "SELECT who, word, target FROM requests WHERE id = ?1 AND done_at IS NULL",
            [request],
            |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)),
        )?;
        let Some((who, word, target)) = found else { return Ok(None) };
        let about = match read_json(&target) {
            Ok(target) => Some(self.shown_target(target)?),
            // Carrying it out tells so.
            Err(_) => None,
        };
        Ok(Some(OpenRequest { who, said: read_json(&word).ok(), about }))
    }

    fn shown_target(&self, target: Target) -> Result<String, JournalError> {
        let name = |sql, id: i64| self.find(sql, [id], |row| row.get::<_, String>(0));
        Ok(match target {
            Target::Order { imei, .. } => {
                format!(
                    "IMEI {}",
                    Imei::from_u64(imei).map_or_else(|| imei.to_string(), |imei| imei.to_string())
                )
            }
            Target::Batch(id) => {
                let name = name("SELECT name FROM batches WHERE id = ?1", id)?;
                format!("batch {}", name.unwrap_or_else(|| id.to_string()))
            }
            Target::Service(id) => {
                let name = name("SELECT name FROM services WHERE id = ?1", id)?;
                format!("service {}", name.unwrap_or_else(|| id.to_string()))
            }
            Target::Everything => "everything".to_owned(),
            Target::Alarm(n) => format!("alarm {n}"),
        })
    }

    /// The batches that were cancelled and have orders in their queue: those that came back to it are cancelled too.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn cancelled_batches(&self) -> Result<Vec<BatchId>, JournalError> {
        self.all(
            "SELECT id FROM batches WHERE state NOT IN (4, 5) AND cancelled_at IS NOT NULL AND EXISTS (SELECT 1 \
             FROM tallies WHERE tallies.batch = batches.id AND tallies.state = 0 AND tallies.link = 0 AND n > 0)",
            [],
            |row| row.get(0).map(BatchId),
        )
    }
}

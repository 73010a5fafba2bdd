//! What operators say: a command leaves a request, the daemon (or the command, where none runs) carries it out.
//!
//! A request is carried out in slices, each one transaction, so that a word about a million rows holds nothing up. A
//! crash between two of them leaves it open; done again, what is done already changes nothing. The answer is written
//! with the last slice.

mod letter_box;
mod waiting;

use serde::{Deserialize, Serialize};

use super::orders::{self, Rules};
use super::resolve::Seen;
use super::tx::Tx;
use super::{Journal, JournalError, cancel, operator, resolve, retry};
use crate::gate::Scope;
use crate::types::{BatchId, Imei, ProviderOrderId, ServiceId, Timestamp};

pub use letter_box::LetterBox;
use letter_box::insert;
pub use waiting::OpenRequest;

/// What an operator says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// "It was ordered, under this id."
    OrderId(u64),
    /// "It was not ordered."
    NotOrdered,
    /// "Stop what isn't sent yet", or "leave this held order for good".
    Cancel,
    /// "Order anew what ended without an answer."
    Retry,
    /// "Order anew what was sent and taken as not ordered: it was not charged."
    RetryNotCharged,
    /// "Nothing more is sent."
    Pause,
    /// "Go on."
    Resume,
    /// "I have seen it."
    Ack,
}

impl Said {
    /// The word as the event log tells it.
    #[must_use]
    pub fn told(self) -> String {
        match self {
            Self::OrderId(id) => format!("its order id is {id}"),
            Self::NotOrdered => "it was not ordered".to_owned(),
            Self::Cancel => "cancel".to_owned(),
            Self::Retry => "order anew".to_owned(),
            Self::RetryNotCharged => "order anew, as it was not charged".to_owned(),
            Self::Pause => "pause".to_owned(),
            Self::Resume => "go on".to_owned(),
            Self::Ack => "seen".to_owned(),
        }
    }
}

/// What a word is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The newest order of this key.
    Order {
        /// The service's number in the journal.
        service: i64,
        /// The IMEI.
        imei: u64,
    },
    /// A batch, by its number.
    Batch(i64),
    /// All submission.
    Everything,
    /// A service's submission, by its number in the journal.
    Service(i64),
    /// An alarm, by its number.
    Alarm(i64),
}

impl Target {
    /// The order of this key.
    #[must_use]
    pub const fn order(service: ServiceId, imei: Imei) -> Self {
        Self::Order { service: service.0, imei: imei.as_u64() }
    }

    /// A service's submission.
    #[must_use]
    pub const fn service(id: ServiceId) -> Self {
        Self::Service(id.0)
    }

    /// This batch.
    #[must_use]
    pub const fn batch(id: BatchId) -> Self {
        Self::Batch(id.0)
    }
}

/// A word, with who said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRequest {
    /// The user's name, or number.
    pub who: String,
    /// What.
    pub said: Said,
    /// About what.
    pub target: Target,
}

/// What became of a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestAnswer {
    /// Whether it did what was asked for.
    pub done: bool,
    /// What happened, or why nothing did, in a sentence.
    pub text: String,
}

impl RequestAnswer {
    pub(super) fn done(text: impl Into<String>) -> Self {
        Self { done: true, text: text.into() }
    }

    pub(super) fn nothing(why: impl Into<String>) -> Self {
        Self { done: false, text: why.into() }
    }
}

/// A request that is being carried out.
pub(super) struct Request {
    pub(super) id: i64,
    pub(super) who: String,
    pub(super) said: Said,
    pub(super) target: Target,
    pub(super) cursor: i64,
    pub(super) count: i64,
    /// What is known of the order id that it names, if it names one.
    pub(super) seen: Seen,
}

impl Request {
    /// The word for the event log, with who said it, and what it rests on.
    pub(super) fn told(&self) -> String {
        let seen = match self.said {
            Said::OrderId(_) => self.seen.told(),
            _ => String::new(),
        };
        format!("{}: {}{seen}", self.who, self.said.told())
    }
}

fn json(value: &impl Serialize) -> Result<String, JournalError> {
    serde_json::to_string(value).map_err(|error| JournalError::Unknown(error.to_string()))
}

fn read_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, JournalError> {
    serde_json::from_str(text).map_err(|error| JournalError::Unknown(format!("a request: {error}")))
}

impl Journal {
    /// Leaves a request; returns its number once it is durable.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn leave_request(&self, new: NewRequest, now: Timestamp) -> Result<i64, JournalError> {
        self.write(move |tx| insert(tx.connection(), &new, now)).await
    }

    /// Carries a request out to its end, and returns its answer. Where the provider can't be asked: an order id is
    /// taken as it is said.
    ///
    /// # Errors
    /// The journal can't be written: it is carried out later.
    pub async fn carry_out(
        &self,
        id: i64,
        now: Timestamp,
        rules: Rules,
    ) -> Result<RequestAnswer, JournalError> {
        self.carry_out_seen(id, Seen::Unasked, now, rules).await
    }

    /// Carries a request out to its end, and returns its answer; `seen` is what the provider told of the order id that
    /// it rests on ([`OpenRequest::id_to_look_up`]).
    ///
    /// # Errors
    /// The journal can't be written: it is carried out later.
    pub async fn carry_out_seen(
        &self,
        id: i64,
        seen: Seen,
        now: Timestamp,
        rules: Rules,
    ) -> Result<RequestAnswer, JournalError> {
        loop {
            let (rules, seen) = (rules.clone(), seen.clone());
            let slice = self.write(move |tx| carry_out_slice(tx, id, seen.clone(), now, &rules)).await;
            match slice {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(error) if error.can_pass() || matches!(error, JournalError::Closed) => return Err(error),
                // It will fail the same way for ever: whoever asked is told, and nothing waits behind it.
                Err(error) => {
                    let answer = RequestAnswer::nothing(error.to_string());
                    return self.write(move |tx| finish(tx, id, answer.clone(), now)).await;
                }
            }
        }
    }

    /// Cancels what came back to the queue of a batch that was cancelled.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn sweep_cancelled(
        &self,
        batch: BatchId,
        now: Timestamp,
        rules: Rules,
    ) -> Result<(), JournalError> {
        let text = "its batch was cancelled";
        loop {
            let rules = rules.clone();
            if !self.write(move |tx| cancel::slice(tx, batch, text, now, &rules)).await? {
                return Ok(());
            }
        }
    }
}

/// One slice of a request; its answer if that was the last.
pub(super) fn carry_out_slice(
    tx: &Tx<'_>,
    id: i64,
    seen: Seen,
    now: Timestamp,
    rules: &Rules,
) -> Result<Option<RequestAnswer>, JournalError> {
    let found = tx.find(
        "SELECT who, word, target, cursor, count, answer FROM requests WHERE id = ?1",
        [id],
        |row| {
            let text = |column| row.get::<_, String>(column);
            let answer: Option<String> = row.get(5)?;
            Ok((text(0)?, text(1)?, text(2)?, row.get(3)?, row.get(4)?, answer))
        },
    )?;
    let Some((who, said, target, cursor, count, answer)) = found else {
        return Err(JournalError::Unknown(format!("there is no request {id}")));
    };
    if let Some(answer) = answer {
        return read_json(&answer).map(Some);
    }
    let (said, target) = (read_json(&said)?, read_json(&target)?);
    let request = Request { id, who, said, target, cursor, count, seen };
    let answer = match request.target {
        Target::Order { service, imei } => {
            let imei = Imei::from_u64(imei)
                .ok_or_else(|| JournalError::Unknown(format!("request {id} is about no IMEI")))?;
            Some(about_order(tx, &request, ServiceId(service), imei, now, rules)?)
        }
        Target::Batch(batch) => about_batch(tx, &request, BatchId(batch), now, rules)?,
        Target::Everything => Some(operator::about_submission(tx, &request, Scope::All, now, rules)?),
        Target::Service(service) => {
            let scope = Scope::Service(ServiceId(service));
            Some(operator::about_submission(tx, &request, scope, now, rules)?)
        }
        Target::Alarm(n) => Some(operator::ack(tx, &request, n, now)?),
    };
    answer.map(|answer| finish(tx, id, answer, now)).transpose()
}

fn about_order(
    tx: &Tx<'_>,
    request: &Request,
    service: ServiceId,
    imei: Imei,
    now: Timestamp,
    rules: &Rules,
) -> Result<RequestAnswer, JournalError> {
    let Some(mut order) = orders::current(tx, service, imei)? else {
        return Ok(RequestAnswer::nothing(format!("{imei} was never ordered here")));
    };
    if let Some(why) = untouchable(tx, &order)? {
        return Ok(RequestAnswer::nothing(why));
    }
    match request.said {
        Said::OrderId(id) => resolve::order_id(tx, request, &mut order, ProviderOrderId(id), now, rules),
        Said::NotOrdered => resolve::not_ordered(tx, request, &mut order, now, rules),
        Said::Cancel => cancel::order(tx, request, &mut order, now, rules),
        Said::Retry | Said::RetryNotCharged => retry::order(tx, request, order, now, rules),
        Said::Pause | Said::Resume | Said::Ack => {
            Ok(RequestAnswer::nothing("that can't be said of an order"))
        }
    }
}

fn about_batch(
    tx: &Tx<'_>,
    request: &Request,
    batch: BatchId,
    now: Timestamp,
    rules: &Rules,
) -> Result<Option<RequestAnswer>, JournalError> {
    match request.said {
        Said::Cancel => cancel::batch(tx, request, batch, now, rules),
        Said::Retry => retry::batch(tx, request, batch, now, rules),
        Said::OrderId(_) | Said::NotOrdered | Said::RetryNotCharged => {
            Ok(Some(RequestAnswer::nothing("that can be said of one IMEI, not of a batch")))
        }
        Said::Pause | Said::Resume | Said::Ack => {
            Ok(Some(RequestAnswer::nothing("that can't be said of a batch")))
        }
    }
}

/// Nothing touches an order while its batch is still being taken in: its row may not be there yet.
fn untouchable(tx: &Tx<'_>, order: &orders::Loaded) -> Result<Option<String>, JournalError> {
    let taking = tx.find("SELECT 1 FROM batches WHERE id = ?1 AND state = 0", [order.batch.0], |_| Ok(()))?;
    Ok(taking.map(|()| "its file is still being taken in: say it again in a moment".to_owned()))
}

fn finish(
    tx: &Tx<'_>,
    id: i64,
    answer: RequestAnswer,
    now: Timestamp,
) -> Result<RequestAnswer, JournalError> {
    tx.execute_one(
        "a request's answer",
        "UPDATE requests SET done_at = ?2, answer = ?3 WHERE id = ?1",
        (id, now.millis(), json(&answer)?),
    )?;
    Ok(answer)
}

/// Remembers how far a word about a batch is carried out.
pub(super) fn keep_place(
    tx: &Tx<'_>,
    request: &Request,
    cursor: i64,
    count: i64,
) -> Result<(), JournalError> {
    tx.execute_one(
        "a request's place",
        "UPDATE requests SET cursor = ?2, count = ?3 WHERE id = ?1",
        (request.id, cursor, count),
    )
}

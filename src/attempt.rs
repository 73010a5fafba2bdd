//! Record, send, record: the only caller of [`Provider::place`].
//!
//! | a crash | leaves | the next start |
//! |---|---|---|
//! | before the ticket's commit | nothing | the order is queued |
//! | between that commit and the answer's | an attempt in flight | takes the order as in doubt |
//! | after the answer's commit | the answer | goes on from it |

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::durable::crash_point;
use crate::journal::{AttemptTicket, Journal, JournalError, Recorded};
use crate::provider::Provider;
use crate::types::Placed;

/// What came of sending an attempt.
pub struct Sent {
    /// What the answer proved.
    pub outcome: Placed,
    /// The answer's HTTP status, where one began.
    pub http: Option<u16>,
    /// How long the call took.
    pub took: Duration,
    /// Told after the answer's commit. Nobody has to wait for it.
    pub recorded: oneshot::Receiver<Result<Recorded, JournalError>>,
}

/// Sends a durable attempt, once, and hands its answer to the journal. If this future is dropped before the answer is
/// there, so is the ticket, and the order is in doubt at once.
pub async fn send(ticket: AttemptTicket, provider: &dyn Provider, journal: &Journal) -> Option<Sent> {
    let order = ticket.place_order()?.clone();
    crash_point("attempt.send.before");
    let began = Instant::now();
    let reply = provider.place(&order).await;
    crash_point("attempt.answered");
    let took = began.elapsed();
    let (outcome, http) = (reply.outcome.clone(), reply.http);
    let recorded = journal.finish_attempt(ticket, reply);
    Some(Sent { outcome, http, took, recorded })
}

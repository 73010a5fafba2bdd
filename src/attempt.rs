//! Record, send, record: the only caller of [`Provider::place`].
//!
//! | a crash | leaves | the next start |
//! |---|---|---|
//! | before the ticket's commit | nothing | the order is queued |
//! | between that commit and the answer's | an attempt in flight | takes the order as in doubt |
//! | after the answer's commit | the answer | goes on from it |

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};

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
    /// Told after the answer's commit. Nobody has to wait for it, but where there was no room.
    pub recorded: oneshot::Receiver<Result<Recorded, JournalError>>,
    /// Whether there was room for one more answer that isn't committed yet.
    pub had_room: bool,
}

/// Sends a durable attempt, once, over a connection of its own if it is to go `apart`, and hands its answer to the journal,
/// where it takes up a permit of `room`, if there is one, until it is committed. If this future is dropped before the answer
/// is there, so is the ticket, and the order is in doubt at once.
pub async fn send(
    ticket: AttemptTicket,
    apart: bool,
    provider: &dyn Provider,
    journal: &Journal,
    room: &Arc<Semaphore>,
) -> Option<Sent> {
    let mut order = ticket.place_order()?.clone();
    order.apart |= apart;
    crash_point("attempt.send.before");
    let began = Instant::now();
    let reply = provider.place(&order).await;
    crash_point("attempt.answered");
    let took = began.elapsed();
    let (outcome, http) = (reply.outcome.clone(), reply.http);
    let permit = Arc::clone(room).try_acquire_owned().ok();
    let had_room = permit.is_some();
    let recorded = journal.finish_attempt_holding(ticket, reply, permit);
    Some(Sent { outcome, http, took, recorded, had_room })
}

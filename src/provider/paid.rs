//! The paid call: over which connection it goes, and when the answer is believed.

use std::time::{Duration, Instant};

use super::client::{ANSWER_LIMIT_BYTES, GsmFusion, is_free};
use super::kept::{Kept, Lane};
use super::wire::{Heard, Silence};
use super::xml::shorten;
use super::{PlaceOrder, listing, place};
use crate::types::{NotTaken, Placed, ProviderOrderId, Reply};

/// How long the account may take that is asked behind an answer which is to be believed.
const FENCE: Duration = Duration::from_secs(5);

type Params<'a> = [(&'a str, &'a str)];

impl GsmFusion {
    /// Sends one order, once.
    pub(super) async fn place_one(&self, order: &PlaceOrder) -> Reply<Placed> {
        if let Some((name, _)) = order.params.iter().find(|(name, _)| !is_free(name)) {
            let why = format!("nothing was sent: {name:?} can't be a parameter of a service");
            return no_answer(Placed::NotTaken(NotTaken::NotSent(self.key.redact(&why))));
        }
        let imei = order.imei.to_string();
        let mut params = vec![("imei", imei.as_str()), ("networkId", order.network_id.0.as_str())];
        params.extend(order.params.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let began = Instant::now();
        let (reply, kept) = match self.over_kept(order, &params).await {
            Some(done) => done,
            None => {
                // The library's part of it is large, and most orders have no need of the room.
                let call = Box::pin(self.call(&self.paid, "placeorder", &params, ANSWER_LIMIT_BYTES));
                let heard = call.await;
                (Self::judge(order, heard).0, false)
            }
        };
        self.answered(&reply, kept, began.elapsed());
        reply
    }

    /// What follows from an answer for the connections of the next orders.
    fn answered(&self, reply: &Reply<Placed>, kept: bool, took: Duration) {
        if let Some(kept) = self.kept.as_ref().filter(|_| reply.http.is_some()) {
            kept.answered(took);
        }
        if let Some(ahead) = self.ahead.as_ref().filter(|_| reply.http == Some(200) && !kept) {
            ahead.answered();
        }
        self.tell_passed(matches!(reply.outcome, Placed::Taken(_) | Placed::AlreadyExists));
    }

    /// Sends an order over a connection that may have carried another, and keeps it for the next one: the reply, and whether it
    /// is kept. `None`: nothing was sent, and it goes over a connection of its own.
    async fn over_kept(&self, order: &PlaceOrder, params: &Params<'_>) -> Option<(Reply<Placed>, bool)> {
        let kept = self.kept.as_ref().filter(|_| !order.apart)?;
        let mut lane = match kept.lane(order.imei).await? {
            Ok(lane) => lane,
            Err(error) => return Some((Self::judge(order, Err(self.silence(error))).0, false)),
        };
        let is_reused = lane.is_reused();
        if is_reused {
            // What has arrived is heard of as the runtime goes on: the server's end, too.
            tokio::task::yield_now().await;
        }
        let heard = self.call_over(kept, &mut lane, "placeorder", params).await;
        if heard.as_ref().is_err_and(|silence| !silence.may_be_sent) {
            // It was gone, and nothing was sent.
            return None;
        }
        let (mut reply, stays_open) = Self::judge(order, heard);
        let mut is_good = stays_open && reply.http == Some(200);
        if is_reused {
            is_good &= matches!(reply.outcome, Placed::Taken(_));
            self.believe(kept, &mut lane, order, &mut reply).await;
        }
        let is_good = is_good && !matches!(reply.outcome, Placed::Unclear(_));
        if is_good {
            kept.keep(lane, order.imei);
        }
        Some((reply, is_good))
    }

    /// Whether what was heard over a connection that had carried another order is this order's answer. Where that isn't known,
    /// it is unclear.
    async fn believe(&self, kept: &Kept, lane: &mut Lane, order: &PlaceOrder, reply: &mut Reply<Placed>) {
        if !matches!(reply.outcome, Placed::Taken(_) | Placed::Unclear(_))
            && let Err((why, ids)) = Box::pin(self.fence(kept, lane, order, &reply.outcome)).await
        {
            let heard = String::from_utf8_lossy(&reply.body);
            let what = format!(
                "an answer that may be another order's, {:?}, over a connection that had carried one: behind it {why}",
                shorten(&heard)
            );
            reply.outcome = place::unclear(what, ids, None);
        }
        kept.reused(!matches!(reply.outcome, Placed::Unclear(_)));
    }

    /// Asks for the account over this connection: its answer comes behind the order's own. If another comes, the one before
    /// wasn't the order's, and this one may be: `Err` with the orders that it names. Where the account is refused alike, the order
    /// was refused, whichever of the two is its answer.
    async fn fence(
        &self,
        kept: &Kept,
        lane: &mut Lane,
        order: &PlaceOrder,
        refused: &Placed,
    ) -> Result<(), (String, Vec<ProviderOrderId>)> {
        let call = self.call_over(kept, lane, "accountinfo", &[]);
        let answer = match tokio::time::timeout(FENCE, call).await {
            Ok(Ok(Heard { answer, .. })) => answer,
            Ok(Err(silence)) => return Err((silence.why, Vec::new())),
            Err(_) => return Err((format!("no answer of the account's within {FENCE:?}"), Vec::new())),
        };
        let Err(error) = listing::account(&answer) else { return Ok(()) };
        let ids = match place::sort(order.imei, &answer) {
            behind if refuse_every_call_alike(refused, &behind) => return Ok(()),
            Placed::Taken(id) => vec![id],
            Placed::Unclear(unclear) => unclear.ids,
            Placed::AlreadyExists | Placed::NotTaken(_) => Vec::new(),
        };
        Err((error.to_string(), ids))
    }

    /// What was heard proves this about the order; and whether its connection stays open.
    fn judge(order: &PlaceOrder, heard: Result<Heard, Silence>) -> (Reply<Placed>, bool) {
        match heard {
            Ok(Heard { answer, stays_open }) => {
                let outcome = place::sort(order.imei, &answer);
                (Reply { outcome, http: Some(answer.http), body: answer.body }, stays_open)
            }
            Err(silence) if !silence.may_be_sent => {
                (no_answer(Placed::NotTaken(NotTaken::NotSent(silence.why))), false)
            }
            Err(silence) => (no_answer(place::unclear(silence.why, Vec::new(), None)), false),
        }
    }
}

/// Whether both are the same refusal, of a kind that every call gets while it lasts.
const fn refuse_every_call_alike(one: &Placed, other: &Placed) -> bool {
    use NotTaken::{Account, Maintenance, Throttled};
    let (Placed::NotTaken(one), Placed::NotTaken(other)) = (one, other) else { return false };
    matches!(
        (one, other),
        (Account(_), Account(_)) | (Maintenance(_), Maintenance(_)) | (Throttled(_), Throttled(_))
    )
}

fn no_answer(outcome: Placed) -> Reply<Placed> {
    Reply { outcome, http: None, body: Vec::new() }
}

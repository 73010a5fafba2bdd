//! The provider at the other end of a wire: the simulator's rules in-process, in virtual time.
//!
//! A paid call takes its time. The provider executes it at its own moment, whatever became of the caller, and the answer
//! comes back later: as the simulator's XML, read by the provider's own parser, so that both are in the loop. Reading
//! calls are answered at once.

mod client;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use imeid::provider::{Answer, BodyEnd, PlaceOrder, read_placed};
use imeid::simulator::{
    Answer as Said, Call, Caller, Change, Entry, EntryKind, FaultKind, Model, Options, OrderLine, Plan,
    write_xml,
};
use imeid::types::{
    CallError, Imei, Money, NetworkId, Placed, ProviderOrder, ProviderOrderId, Reply, Timestamp, Unclear,
};
use tokio::sync::oneshot;

pub(crate) use client::Client;
pub(crate) use time::Time;

/// When the client gives up.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);
const CALLER: Caller<'static> = Caller { user: "reseller", key: "key" };

/// What happens to a paid call next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// The provider executes it.
    Execute,
    /// The client learns of it.
    Tell,
}

struct PaidCall {
    call: Call,
    imei: Imei,
    plan: Plan,
    answer: String,
    /// Gone when the caller is.
    caller: Option<oneshot::Sender<Reply<Placed>>>,
}

struct Inner {
    model: Model,
    calls: BTreeMap<u64, PaidCall>,
    last: u64,
    /// By time, then by call.
    due: BTreeSet<(Timestamp, u64, Step)>,
    /// No connection comes about.
    unreachable: bool,
    /// `accountinfo` tells no balance.
    hides_balance: bool,
    /// It tells the balance of so long ago.
    balance_lag: Duration,
    /// Orders that someone placed by hand.
    foreign: BTreeSet<ProviderOrderId>,
    /// How often each order was asked after and told of.
    asked: BTreeMap<ProviderOrderId, u64>,
    /// IMEIs whose next answer tells the id of the order of this other IMEI.
    misled: BTreeMap<Imei, Imei>,
    /// A request that was sent while an earlier one for the same could still be executed.
    raced: Option<Imei>,
}

/// The wire and who is at its other end. It outlives every crash.
pub(crate) struct Wire {
    time: Time,
    inner: Mutex<Inner>,
}

impl Wire {
    pub(crate) fn new(time: Time, options: Options) -> Arc<Self> {
        let inner = Inner {
            model: Model::new(time.now(), options),
            calls: BTreeMap::new(),
            last: 0,
            due: BTreeSet::new(),
            unreachable: false,
            hides_balance: false,
            balance_lag: Duration::ZERO,
            foreign: BTreeSet::new(),
            asked: BTreeMap::new(),
            misled: BTreeMap::new(),
            raced: None,
        };
        Arc::new(Self { time, inner: Mutex::new(inner) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self, change: &Change) {
        self.inner().model.change(self.time.now(), change);
    }

    pub(crate) fn set_unreachable(&self, unreachable: bool) {
        self.inner().unreachable = unreachable;
    }

    pub(crate) fn hide_balance(&self) {
        self.inner().hides_balance = true;
    }

    /// From now on the balance that is told is late by so much.
    pub(crate) fn let_balance_lag(&self, by: Duration) {
        self.inner().balance_lag = by;
    }

    /// The balance as it is told, when it is this.
    fn told_balance(&self, balance: Money) -> Option<Money> {
        let lag = self.inner().balance_lag;
        let shown = self.time.now().minus(lag);
        let late =
            self.entries().into_iter().filter(|entry| entry.at > shown).map(|entry| match entry.kind {
                EntryKind::Charge => entry.amount.micros(),
                _ => -entry.amount.micros(),
            });
        let told = Money::from_micros(balance.micros() + late.sum::<i64>());
        (!self.inner().hides_balance).then_some(told)
    }

    /// Someone orders an IMEI by hand.
    pub(crate) fn order_by_hand(&self, imei: Imei, network_id: &str) {
        let mut inner = self.inner();
        let said = inner.model.place(self.time.now(), CALLER, &imei.to_string(), network_id);
        if let Said::Placed(orders) = said {
            inner.foreign.extend(orders.iter().map(|(id, _)| *id));
        }
    }

    /// The next answer to an order of this IMEI tells the id of the newest order of another one.
    pub(crate) fn mislead(&self, imei: Imei, other: Imei) {
        self.inner().misled.insert(imei, other);
    }

    /// Every movement of money so far.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.inner().model.ledger(self.time.now()).entries().to_vec()
    }

    /// Whether an order is someone else's.
    pub(crate) fn is_foreign(&self, id: ProviderOrderId) -> bool {
        self.inner().foreign.contains(&id)
    }

    /// The status word of every order at the provider.
    pub(crate) fn statuses(&self) -> BTreeMap<ProviderOrderId, (Imei, NetworkId, String)> {
        let lines = self.inner().model.order_lines(self.time.now());
        lines.into_iter().map(|line| (line.id, (line.imei, line.network_id, line.status))).collect()
    }

    /// Every order at the provider, as it stands now.
    pub(crate) fn orders(&self) -> Vec<OrderLine> {
        self.inner().model.order_lines(self.time.now())
    }

    fn count_asked(&self, told: &[ProviderOrder]) {
        let mut inner = self.inner();
        for order in told {
            *inner.asked.entry(order.id).or_default() += 1;
        }
    }

    /// How often this order was asked after and told of.
    pub(crate) fn asked(&self, id: ProviderOrderId) -> u64 {
        self.inner().asked.get(&id).copied().unwrap_or(0)
    }

    /// An IMEI for which two requests raced each other, if there is one.
    pub(crate) fn raced(&self) -> Option<Imei> {
        self.inner().raced
    }

    /// How many orders were ever sent.
    pub(crate) fn sent(&self) -> u64 {
        self.inner().last
    }

    /// How many orders of a service were ever sent.
    pub(crate) fn sent_for(&self, network_id: &str) -> usize {
        self.inner().calls.values().filter(|paid| paid.call.get("networkId") == network_id).count()
    }

    /// Whether a request for this is on its way, and executed later.
    pub(crate) fn may_still_come(&self, imei: Imei, network_id: &str) -> bool {
        self.inner().may_still_come(imei, network_id)
    }

    /// How many callers wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.inner().calls.values().filter(|call| call.caller.is_some()).count()
    }

    /// Every caller is gone. What they sent is on its way all the same.
    pub(crate) fn hang_up(&self) {
        self.inner().calls.values_mut().for_each(|call| call.caller = None);
    }

    /// When something happens next.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.inner().due.first().map(|(at, _, _)| *at)
    }

    /// Lets the next thing happen, at the time it is due.
    pub(crate) fn step(&self) -> &'static str {
        let mut inner = self.inner();
        let Some((_, id, step)) = inner.due.pop_first() else { return "wire.idle" };
        match step {
            Step::Execute => {
                inner.execute(id, self.time.now());
                "wire.executed"
            }
            Step::Tell => {
                inner.swap_id(id, self.time.now());
                inner.tell(id);
                "wire.told"
            }
        }
    }

    fn send(&self, order: &PlaceOrder) -> Result<oneshot::Receiver<Reply<Placed>>, String> {
        let mut inner = self.inner();
        if inner.unreachable {
            return Err("connection refused".to_owned());
        }
        let mut params = params("placeorder");
        params.push(("imei".to_owned(), order.imei.to_string()));
        params.push(("networkId".to_owned(), order.network_id.0.clone()));
        params.extend(order.params.iter().cloned());
        let call = Call::new(params);
        let (caller, answer) = oneshot::channel();
        inner.accept(call, order.imei, Some(caller), self.time.now());
        Ok(answer)
    }

    /// A reading call, answered at once.
    fn ask(&self, action: &str, more: &[(&str, &str)]) -> Result<Answer, CallError> {
        let mut inner = self.inner();
        let lost = || CallError::Unreachable("the connection broke".to_owned());
        if inner.unreachable {
            return Err(lost());
        }
        let mut params = params(action);
        params.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let call = Call::new(params);
        let plan = inner.model.receive(&call);
        let said = inner.model.answer(self.time.now(), &call);
        let said = plan.fault.map_or(said.clone(), |fault| said.twisted(fault));
        let xml = write_xml(&said, inner.model.dress());
        answered(&plan, xml).ok_or_else(lost)
    }
}

fn params(action: &str) -> Vec<(String, String)> {
    [("apiKey", CALLER.key), ("userId", CALLER.user), ("action", action)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// What comes over the wire; `None`: nothing does.
fn answered(plan: &Plan, xml: String) -> Option<Answer> {
    let whole =
        |http, body: String| Answer { http, retry_after: None, body: body.into_bytes(), end: BodyEnd::Whole };
    Some(match plan.fault.map(|fault| fault.kind) {
        Some(FaultKind::Drop | FaultKind::Hang | FaultKind::Late) => return None,
        Some(FaultKind::Http { status, retry_after, .. }) => Answer {
            retry_after: retry_after.then_some(Duration::from_secs(2)),
            ..whole(status, "<html><body>gateway</body></html>".to_owned())
        },
        Some(FaultKind::Empty) => whole(200, String::new()),
        Some(FaultKind::Cut) => {
            let half = xml.len() / 2;
            Answer {
                end: BodyEnd::Broken("connection reset".to_owned()),
                ..whole(200, xml[..half].to_owned())
            }
        }
        Some(FaultKind::OddError | FaultKind::WrongImei | FaultKind::Several) | None => whole(200, xml),
    })
}

impl Inner {
    fn may_still_come(&self, imei: Imei, network_id: &str) -> bool {
        let pending = self.due.iter().filter(|(_, _, step)| *step == Step::Execute);
        let mut pending = pending.filter_map(|(_, id, _)| self.calls.get(id));
        pending.any(|other| other.imei == imei && other.call.get("networkId") == network_id)
    }

    fn accept(
        &mut self,
        call: Call,
        imei: Imei,
        caller: Option<oneshot::Sender<Reply<Placed>>>,
        now: Timestamp,
    ) {
        if self.may_still_come(imei, call.get("networkId")) {
            self.raced = Some(imei);
        }
        let plan = self.model.receive(&call);
        self.last += 1;
        let kind = plan.fault.map(|fault| fault.kind);
        let executes = plan.fault.is_none_or(|fault| fault.executed);
        if executes {
            let late = if kind == Some(FaultKind::Late) { plan.late_by } else { Duration::ZERO };
            self.due.insert((now.plus(plan.before + late), self.last, Step::Execute));
        }
        let takes = match kind {
            Some(FaultKind::Hang) => TIMEOUT,
            Some(FaultKind::Late) => plan.before,
            _ => plan.before + plan.after,
        };
        self.due.insert((now.plus(takes.min(TIMEOUT)), self.last, Step::Tell));
        self.calls.insert(self.last, PaidCall { call, imei, plan, answer: String::new(), caller });
    }

    fn execute(&mut self, id: u64, now: Timestamp) {
        let Some(paid) = self.calls.get_mut(&id) else { return };
        let said = self.model.answer(now, &paid.call);
        let said = paid.plan.fault.map_or(said.clone(), |fault| said.twisted(fault));
        paid.answer = write_xml(&said, self.model.dress());
    }

    /// Puts another order's id into an answer that is told, where that was asked for.
    fn swap_id(&mut self, id: u64, now: Timestamp) {
        let orders = self.model.order_lines(now);
        let newest = |imei| orders.iter().rev().find(|order| order.imei == imei).map(|order| order.id);
        let Some(paid) = self.calls.get_mut(&id).filter(|paid| paid.caller.is_some()) else { return };
        let Some(other) = self.misled.get(&paid.imei).and_then(|other| newest(*other)) else { return };
        if let Some(own) = newest(paid.imei) {
            paid.answer = paid.answer.replace(&own.to_string(), &other.to_string());
            self.misled.remove(&paid.imei);
        }
    }

    fn tell(&mut self, id: u64) {
        let Some(paid) = self.calls.get_mut(&id) else { return };
        let Some(caller) = paid.caller.take() else { return };
        let took = paid.plan.before + paid.plan.after;
        let timed_out = took > TIMEOUT || paid.plan.fault.is_some_and(|fault| fault.kind == FaultKind::Hang);
        let odd = paid.plan.fault.filter(|fault| fault.kind == FaultKind::OddError && !fault.executed);
        if let Some(fault) = odd {
            paid.answer = write_xml(&Said::Error(String::new()).twisted(fault), self.model.dress());
        }
        let reply = match answered(&paid.plan, paid.answer.clone()).filter(|_| !timed_out) {
            Some(answer) => {
                Reply { outcome: read_placed(paid.imei, &answer), http: Some(answer.http), body: answer.body }
            }
            None => {
                let what = if timed_out { "timed out" } else { "the connection broke" };
                let unclear = Unclear { what: what.to_owned(), ids: Vec::new(), retry_after: None };
                Reply { outcome: Placed::Unclear(unclear), http: None, body: Vec::new() }
            }
        };
        // Whoever asked may have given up.
        drop(caller.send(reply));
    }
}

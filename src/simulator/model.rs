//! The provider's rules as a pure model: no I/O, no clock. Time is an argument and all chance comes from a seed, so
//! that the same calls at the same times give the same answers.
//!
//! The order of checks: maintenance, who calls, the account, the service, the IMEI, the duplicate rule, the credit.
//! Of several IMEIs in a call only the last is looked at, without a word about the others: that is the real
//! provider's behaviour, and the reason why no client may send two.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use fastrand::Rng;

use super::answer::{Answer, OrderStatus, OrderView};
use super::call::{Call, Caller, Plan, imeis};
use super::code::{self, CodeKind};
use super::faults::{Fault, FaultKind};
use super::keyed;
use super::ledger::{Entry, EntryKind, EntryOrder, Ledger, LedgerSummary, OrderLine};
use super::options::{Change, Duplicates, ListingOrder, Options};
use super::parse::Share;
use super::xml::Dress;
use crate::types::{Imei, Money, NetworkId, ProviderOrderId, Timestamp};

/// What a call gets that is one too many.
const TOO_MANY: Fault =
    Fault { kind: FaultKind::Http { status: 429, html: true, retry_after: false }, executed: false };

struct Order {
    id: ProviderOrderId,
    imei: Imei,
    service: usize,
    price: Money,
    placed_at: Timestamp,
    done_at: Timestamp,
    rejected: bool,
}

impl Order {
    fn status(&self, now: Timestamp) -> OrderStatus {
        if now >= self.done_at {
            return if self.rejected { OrderStatus::Rejected } else { OrderStatus::Completed };
        }
        let half = self.done_at.since(self.placed_at) / 2;
        if now >= self.placed_at.plus(half) { OrderStatus::InProcess } else { OrderStatus::Pending }
    }
}

/// What is known of one IMEI and service.
#[derive(Clone, Copy, Default)]
struct Pair {
    last_order: usize,
    charges: u32,
    refunds: u32,
}

/// The provider.
pub struct Model {
    options: Options,
    /// In the order of their ids.
    orders: Vec<Order>,
    pairs: HashMap<(usize, Imei), Pair>,
    /// How often each IMEI and service was asked for: each try has its own chance.
    tries: HashMap<u64, u32>,
    /// Rejected orders whose refund is still to come, the next one on top.
    refunds: BinaryHeap<Reverse<(Timestamp, usize)>>,
    ledger: Ledger,
    rng: Rng,
    last_id: u64,
}

impl Model {
    /// A provider without orders and with the options' credit, put in at `now`.
    #[must_use]
    pub fn new(now: Timestamp, options: Options) -> Self {
        let mut ledger = Ledger::default();
        ledger.book(Entry { kind: EntryKind::Credit, at: now, amount: options.credit, order: None });
        Self {
            rng: keyed::rng(options.seed, &[0]),
            orders: Vec::new(),
            pairs: HashMap::new(),
            tries: HashMap::new(),
            refunds: BinaryHeap::new(),
            ledger,
            last_id: 15_562_208,
            options,
        }
    }

    /// Takes note of a request that has arrived and says what befalls it. [`Model::answer`] executes it, which the
    /// plan may ask for later, or never.
    pub fn receive(&mut self, call: &Call) -> Plan {
        self.receive_among(call, 0)
    }

    /// [`Model::receive`], with so many `placeorder` calls in work already.
    pub fn receive_among(&mut self, call: &Call, in_work: usize) -> Plan {
        let is_place = call.is_place();
        let mut chance = if is_place { self.chance_of_try(call) } else { self.rng.fork() };
        let is_beyond = |limit: Option<usize>| is_place && limit.is_some_and(|limit| in_work >= limit);
        let turned_away = is_beyond(self.options.at_once);
        let too_many = turned_away.then_some(TOO_MANY);
        let fault = too_many.or_else(|| self.options.faults.strike(is_place, &mut chance));
        if let Some(fault) = fault {
            self.ledger.count_fault(fault.to_string());
        }
        let (before, after) = if is_place {
            self.ledger.count_place_call(imeis(call.get("imei")).count());
            let latency = self.options.latency.sample(&mut chance);
            let latency = if is_beyond(self.options.slow_beyond) { latency * 2 } else { latency };
            // Who refuses before it looks takes no time for it.
            let latency = if turned_away { std::time::Duration::ZERO } else { latency };
            (latency / 2, latency - latency / 2)
        } else {
            self.ledger.count_other_call();
            (std::time::Duration::ZERO, self.options.other_latency.sample(&mut chance))
        };
        let (hang_at_most, late_by) = (self.options.hang_at_most, self.options.late_by);
        Plan { fault, turned_away, before, after, hang_at_most, late_by }
    }

    fn chance_of_try(&mut self, call: &Call) -> Rng {
        let (imei, network) = (keyed::text(call.get("imei")), keyed::text(call.get("networkId")));
        let tries = self.tries.entry(imei.rotate_left(32) ^ network).or_default();
        *tries += 1;
        keyed::rng(self.options.seed, &[imei, network, u64::from(*tries)])
    }

    /// Executes a request.
    pub fn answer(&mut self, now: Timestamp, call: &Call) -> Answer {
        let caller = call.caller();
        match call.get("action") {
            "placeorder" => self.place(now, caller, call.get("imei"), call.get("networkId")),
            "getimeis" => self.orders(now, caller, call.get("orderIds")),
            "imeiservices" => self.services(now, caller),
            "accountinfo" => self.account(now, caller),
            _ => Answer::Error("Invalid Action".to_owned()),
        }
    }

    /// `placeorder`: `imei_list` as it came, several IMEIs separated by commas.
    pub fn place(&mut self, now: Timestamp, caller: Caller<'_>, imei_list: &str, network_id: &str) -> Answer {
        self.advance(now);
        if let Some(refusal) = self.refusal(caller) {
            return refusal;
        }
        let Some(service) = self.options.services.iter().position(|s| s.network_id.0 == network_id) else {
            return Answer::Error("Invalid value of Network Id!".to_owned());
        };
        let text = imeis(imei_list).last().unwrap_or_default();
        let Some(imei) = strict_imei(text) else {
            return Answer::Error(format!("Invalid IMEI: {text}"));
        };
        if self.is_duplicate(now, service, imei) {
            match self.options.duplicates {
                Duplicates::Refuse => return Answer::Error("IMEI already exists!".to_owned()),
                Duplicates::RefuseAsList => return Answer::Duplicates(vec![imei]),
                Duplicates::Charge => {}
            }
        }
        self.take(now, service, imei)
    }

    fn is_duplicate(&self, now: Timestamp, service: usize, imei: Imei) -> bool {
        let Some(last) = self.pairs.get(&(service, imei)).and_then(|pair| self.orders.get(pair.last_order))
        else {
            return false;
        };
        let given_back = self.options.reorder_rejected && last.status(now) == OrderStatus::Rejected;
        !given_back && now.since(last.placed_at) >= self.options.duplicate_lag
    }

    /// Charges and makes the order, or refuses it for lack of credit.
    fn take(&mut self, now: Timestamp, service: usize, imei: Imei) -> Answer {
        let finished = || Answer::Error("Credit has been finished!".to_owned());
        let Some(product) = self.options.services.get(service) else {
            return finished();
        };
        let (price, network_id) = (product.price, product.network_id.clone());
        // Others order at this provider too: ids have gaps. At least one, so that `id + 1` is never an order's.
        let id = ProviderOrderId(self.last_id + self.rng.u64(2..8));
        let order = Some(EntryOrder { id, imei, network_id });
        let entry = Entry { kind: EntryKind::Charge, at: now, amount: price, order };
        if self.ledger.summary().balance < price || !self.ledger.book(entry) {
            return finished();
        }
        self.last_id = id.0;
        let index = self.orders.len();
        let tries = self.count_charge(service, imei, index);
        let mut fate = keyed::rng(self.options.seed, &[imei.as_u64(), service as u64, u64::from(tries), 9]);
        let done_at = now.plus(self.options.completion.sample(&mut fate));
        let rejected = fate.u32(0..Share::WHOLE_PPM) < self.options.rejected.ppm();
        if rejected {
            self.refunds.push(Reverse((done_at, index)));
        }
        self.orders.push(Order { id, imei, service, price, placed_at: now, done_at, rejected });
        Answer::Placed(vec![(id, imei)])
    }

    /// The how-many-th charge for this IMEI and service this is, from 1.
    fn count_charge(&mut self, service: usize, imei: Imei, index: usize) -> u32 {
        let pair = self.pairs.entry((service, imei)).or_default();
        if pair.charges > pair.refunds {
            self.ledger.count_paid_twice();
        } else if pair.charges > 0 {
            self.ledger.count_ordered_again();
        }
        pair.last_order = index;
        pair.charges += 1;
        pair.charges
    }

    /// `getimeis`: the orders with these ids, or the recent ones where none is named (empty or `0`).
    pub fn orders(&mut self, now: Timestamp, caller: Caller<'_>, order_ids: &str) -> Answer {
        self.advance(now);
        if let Some(refusal) = self.refusal(caller) {
            return refusal;
        }
        let invalid = || Answer::Error("Invalid Order ID".to_owned());
        let wanted = order_ids.trim();
        if wanted.is_empty() || wanted == "0" {
            return if self.options.listing { Answer::Orders(self.recent(now)) } else { invalid() };
        }
        let ids = wanted.split(',').filter_map(|id| id.trim().parse().ok());
        let found = ids.filter_map(|id| self.find(ProviderOrderId(id))).map(|order| self.view(now, order));
        let found: Vec<OrderView> = found.take(if self.options.one_of_n { 1 } else { usize::MAX }).collect();
        if found.is_empty() { invalid() } else { Answer::Orders(found) }
    }

    fn recent(&mut self, now: Timestamp) -> Vec<OrderView> {
        let options = &self.options;
        let shown = self.orders.iter().rev().filter(|order| {
            now.since(order.placed_at) >= options.listing_lag
                && (options.listing_finished || !order.status(now).is_finished())
        });
        let mut views: Vec<OrderView> =
            shown.take(options.listing_limit).map(|order| self.view(now, order)).collect();
        match self.options.listing_order {
            ListingOrder::NewestFirst => {}
            ListingOrder::OldestFirst => views.reverse(),
            ListingOrder::Shuffled => self.rng.shuffle(&mut views),
        }
        views
    }

    fn find(&self, id: ProviderOrderId) -> Option<&Order> {
        let at = self.orders.binary_search_by_key(&id, |order| order.id).ok()?;
        self.orders.get(at)
    }

    fn view(&self, now: Timestamp, order: &Order) -> OrderView {
        let service = self.options.services.get(order.service);
        OrderView {
            id: order.id,
            package: service.map(|service| service.title.clone()).unwrap_or_default(),
            imei: order.imei,
            status: order.status(now),
            placed_at: order.placed_at,
            code: service.map(|service| service.code).unwrap_or_default(),
        }
    }

    /// `imeiservices`.
    pub fn services(&mut self, now: Timestamp, caller: Caller<'_>) -> Answer {
        self.advance(now);
        self.refusal(caller).unwrap_or_else(|| Answer::Services(self.options.services.clone()))
    }

    /// `accountinfo`.
    pub fn account(&mut self, now: Timestamp, caller: Caller<'_>) -> Answer {
        self.advance(now);
        self.refusal(caller).unwrap_or_else(|| Answer::Account(self.ledger.summary().balance))
    }

    /// The refusal that meets every action alike, where one does.
    fn refusal(&self, caller: Caller<'_>) -> Option<Answer> {
        let let_in = |given: &str, wanted: Option<&String>| match wanted {
            Some(wanted) => given == wanted,
            None => !given.is_empty(),
        };
        let text = if self.options.maintenance {
            "Website is in maintenance, please try again later"
        } else if !let_in(caller.user, self.options.user.as_ref()) {
            "Invalid User!"
        } else if !let_in(caller.key, self.options.key.as_ref()) {
            "Invalid API Key!"
        } else {
            self.options.account.refusal()?
        };
        Some(Answer::Error(text.to_owned()))
    }

    /// Books the refunds that are due by `now`, each at its own time.
    fn advance(&mut self, now: Timestamp) {
        while let Some(&Reverse((at, index))) = self.refunds.peek().filter(|due| due.0.0 <= now) {
            self.refunds.pop();
            let Some(order) = self.orders.get(index) else { continue };
            let network_id = self.options.services.get(order.service).map(|s| s.network_id.clone());
            let entry_order =
                network_id.map(|network_id| EntryOrder { id: order.id, imei: order.imei, network_id });
            self.ledger.book(Entry { kind: EntryKind::Refund, at, amount: order.price, order: entry_order });
            if let Some(pair) = self.pairs.get_mut(&(order.service, order.imei)) {
                pair.refunds += 1;
            }
        }
    }

    /// Changes switches, the balance and prices.
    pub fn change(&mut self, now: Timestamp, change: &Change) {
        self.advance(now);
        self.options.apply(change);
        for service in &mut self.options.services {
            if let Some(price) = change.prices.get(&service.network_id.0) {
                service.price = *price;
            }
        }
        let balance = self.ledger.summary().balance;
        let set = change.credit.and_then(|credit| credit.checked_sub(balance));
        for amount in [set, change.add_credit].into_iter().flatten() {
            self.ledger.book(Entry { kind: EntryKind::Credit, at: now, amount, order: None });
        }
        if change.finish_now {
            for order in &mut self.orders {
                order.done_at = order.done_at.min(now);
            }
            let due = self.refunds.drain().map(|Reverse((_, index))| Reverse((now, index)));
            self.refunds = due.collect::<Vec<_>>().into();
            self.advance(now);
        }
    }

    /// The books as of `now`.
    pub fn ledger(&mut self, now: Timestamp) -> &Ledger {
        self.advance(now);
        &self.ledger
    }

    /// The counters and sums as of `now`.
    pub fn summary(&mut self, now: Timestamp) -> LedgerSummary {
        self.ledger(now).summary().clone()
    }

    /// Every order as of `now`, in the order they were taken.
    #[must_use]
    pub fn order_lines(&self, now: Timestamp) -> Vec<OrderLine> {
        let line = |order: &Order| {
            let service = self.options.services.get(order.service);
            let is_check = service.is_some_and(|service| service.code == CodeKind::Check);
            OrderLine {
                id: order.id,
                imei: order.imei,
                network_id: service.map_or_else(|| NetworkId(String::new()), |s| s.network_id.clone()),
                charged_at: order.placed_at,
                status: order.status(now).word().to_owned(),
                price: order.price,
                facts: is_check.then(|| code::facts(self.options.seed, order.imei)),
            }
        };
        self.orders.iter().map(line).collect()
    }

    /// How answers are written just now.
    #[must_use]
    pub fn dress(&self) -> Dress {
        let Options { phpxml, zone_minutes, seed, .. } = self.options;
        Dress { phpxml, zone_minutes, seed }
    }
}

/// Fifteen digits and nothing else, the check digit right: the provider undresses no cells.
fn strict_imei(text: &str) -> Option<Imei> {
    let fifteen_digits = text.len() == 15 && text.bytes().all(|byte| byte.is_ascii_digit());
    if fifteen_digits { Imei::parse(text, true).ok() } else { None }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;

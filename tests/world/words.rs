//! What operators say in random worlds: true words, each held against what it may change.
//!
//! He looks an IMEI up at the provider before he says that it was not ordered, and says so only where no request for it
//! can still come. Of one whose charge is in the books he says it all the same: that must be refused.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use imeid::journal::{RequestAnswer, Said, Target};
use imeid::types::{BatchId, Imei, NetworkId, ProviderOrderId, ServiceId};
use rusqlite::Connection;

use super::World;
use super::files::SERVICES;
use super::points::Crashed;

/// An order, as far as a word may change it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    /// Service and IMEI.
    key: (i64, i64),
    batch: i64,
    state: u8,
    is_current: bool,
    was_retried: bool,
    attempts: i64,
    charged: i64,
    presumed: i64,
    unaccounted: i64,
    inferred: i64,
    id: Option<i64>,
}

type Orders = BTreeMap<i64, Shown>;

/// The alarms that nobody has seen and whose cause isn't gone.
const OPEN_ALARMS: &str = "SELECT n FROM alarms WHERE gone_at IS NULL AND acked_at IS NULL ORDER BY n";

const QUEUED: u8 = 0;
const IN_DOUBT: u8 = 2;
const ORDERED: u8 = 3;
const HELD: u8 = 5;
const COMPLETED: u8 = 6;
const REJECTED: u8 = 7;
const CANCELLED: u8 = 10;

fn orders(view: &Connection) -> Orders {
    let sql = "SELECT id, service, imei, batch, state, current, retried, attempts, charged, presumed, unaccounted, \
               inferred, provider_id FROM orders";
    let mut statement = view.prepare_cached(sql).unwrap();
    let shown = statement.query_map([], |row| {
        let shown = Shown {
            key: (row.get(1)?, row.get(2)?),
            batch: row.get(3)?,
            state: row.get(4)?,
            is_current: row.get(5)?,
            was_retried: row.get(6)?,
            attempts: row.get(7)?,
            charged: row.get(8)?,
            presumed: row.get(9)?,
            unaccounted: row.get(10)?,
            inferred: row.get(11)?,
            id: row.get(12)?,
        };
        Ok((row.get(0)?, shown))
    });
    shown.unwrap().map(Result::unwrap).collect()
}

impl World {
    /// An operator says something of an order.
    pub(crate) fn say(&mut self, said: Said, service: usize, imei: Imei) -> Result<RequestAnswer, Crashed> {
        let service = self.life.as_ref().unwrap().service(SERVICES[service].network_id);
        self.tell(said, Target::order(service, imei))
    }

    /// An operator says something.
    pub(crate) fn tell(&mut self, said: Said, target: Target) -> Result<RequestAnswer, Crashed> {
        self.note(format!("an operator says {said:?} of {target:?}"));
        let life = self.life.as_mut().unwrap();
        let before = orders(&life.view);
        let answer = life.say(said, target)?;
        let after = orders(&life.view);
        self.note(&answer.text);
        changed_as_it_may(said, &answer, &before, &after);
        standstill(self);
        Ok(answer)
    }

    /// An operator says something true.
    pub(crate) fn say_something(&mut self, rng: &mut Rng) -> Result<(), Crashed> {
        let life = self.life.as_ref().unwrap();
        let of_account = SERVICES.map(|service| life.service(service.network_id).0);
        let mut all = orders(&life.view);
        all.retain(|_, order| of_account.contains(&order.key.0));
        let submission = |rng: &mut Rng| match rng.usize(0..=SERVICES.len()) {
            0 => Target::Everything,
            n => Target::service(life.service(SERVICES[n - 1].network_id)),
        };
        let word = match rng.u8(0..12) {
            0 => Some((Said::Pause, submission(rng))),
            1 | 2 => Some((Said::Resume, submission(rng))),
            3..=5 => {
                let current: Vec<(&i64, &Shown)> = all.iter().filter(|(_, order)| order.is_current).collect();
                let (ended, others): (Vec<_>, Vec<_>) =
                    current.into_iter().partition(|(_, order)| order.state > COMPLETED);
                // Those that must be refused are few.
                let unsure: Vec<_> =
                    ended.iter().copied().filter(|(_, order)| !may_be_made_anew(order, false)).collect();
                let any = if !unsure.is_empty() {
                    unsure
                } else if rng.u8(0..4) > 0 {
                    ended
                } else {
                    others
                };
                rng.choice(any).map(|(id, order)| {
                    let not_charged = may_be_made_anew(order, true) && is_not_ordered(self, *id, order);
                    let said = if not_charged && rng.bool() { Said::RetryNotCharged } else { Said::Retry };
                    (said, of_key(order))
                })
            }
            6 | 7 => {
                let batches: BTreeSet<i64> =
                    all.values().map(|order| order.batch).filter(|batch| *batch > 0).collect();
                let said = if rng.u8(0..3) > 0 { Said::Retry } else { Said::Cancel };
                rng.choice(batches).map(|batch| (said, Target::batch(BatchId(batch))))
            }
            8..=10 => {
                let may_say = all.iter().filter(|(id, order)| {
                    order.is_current && (order.charged > 0 || is_not_ordered(self, **id, order))
                });
                let unsettled = |order: &Shown| [IN_DOUBT, HELD].contains(&order.state);
                let (some, others): (Vec<_>, Vec<_>) = may_say.partition(|(_, order)| unsettled(order));
                rng.choice(if some.is_empty() { others } else { some })
                    .map(|(_, order)| (Said::NotOrdered, of_key(order)))
            }
            _ => {
                let mut statement = life.view.prepare_cached(OPEN_ALARMS).unwrap();
                let open = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap);
                rng.choice(open.collect::<Vec<i64>>()).map(|n| (Said::Ack, Target::Alarm(n)))
            }
        };
        match word {
            Some((said, target)) => self.tell(said, target).map(drop),
            None => Ok(()),
        }
    }
}

impl World {
    /// Where all has come to rest, an operator says what must change nothing, or be refused: he has seen every alarm, gives up
    /// every second order that is held, and wants those made anew that may have been taken. How many alarms he saw while
    /// orders were held, and how many orders he was refused.
    pub(crate) fn say_what_changes_nothing(&mut self) -> Result<(usize, usize), Crashed> {
        let view = &self.life.as_ref().unwrap().view;
        let held: Vec<Shown> = orders(view).into_values().filter(|order| order.state == HELD).collect();
        let mut statement = view.prepare_cached(OPEN_ALARMS).unwrap();
        let alarms: Vec<i64> =
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        drop(statement);
        let seen = if held.is_empty() { 0 } else { alarms.len() };
        for alarm in alarms {
            self.tell(Said::Ack, Target::Alarm(alarm))?;
        }
        for order in held.iter().step_by(2) {
            self.tell(Said::Cancel, of_key(order))?;
        }
        let all = orders(&self.life.as_ref().unwrap().view);
        let mut refused = 0;
        for (said, not_charged) in [(Said::Retry, false), (Said::RetryNotCharged, true)] {
            let unsure = |order: &&Shown| {
                order.is_current && order.state > COMPLETED && !may_be_made_anew(order, not_charged)
            };
            for order in all.values().filter(unsure) {
                let answer = self.tell(said, of_key(order))?;
                assert!(!answer.done, "{order:?}: {}", answer.text);
                refused += 1;
            }
        }
        Ok((seen, refused))
    }

    /// An operator has all made anew that was given back.
    pub(crate) fn make_anew_what_was_given_back(&mut self) -> Result<(), Crashed> {
        let all = orders(&self.life.as_ref().unwrap().view);
        for order in all.values().filter(|order| order.is_current && order.state == REJECTED) {
            self.tell(Said::Retry, of_key(order))?;
        }
        Ok(())
    }
}

fn of_key(order: &Shown) -> Target {
    Target::order(ServiceId(order.key.0), imei(order))
}

fn imei(order: &Shown) -> Imei {
    Imei::from_u64(u64::try_from(order.key.1).unwrap()).unwrap()
}

/// Whether the provider has no order that can be this one, and gets none.
fn is_not_ordered(world: &World, id: i64, order: &Shown) -> bool {
    let life = world.life.as_ref().unwrap();
    let is_it = |service: &&super::files::ServiceOf| life.service(service.network_id).0 == order.key.0;
    let network_id = NetworkId(SERVICES.iter().find(is_it).unwrap().network_id.to_owned());
    let is_anothers = |told: ProviderOrderId| {
        let sql = "SELECT EXISTS (SELECT 1 FROM charges WHERE account = ?1 AND provider_id = ?2 AND order_id <> ?3)";
        let told = i64::try_from(told.0).unwrap();
        life.view.query_row(sql, (world.knobs.account, told, id), |row| row.get::<_, bool>(0)).unwrap()
    };
    !world.wire.may_still_come(imei(order), &network_id.0)
        && world
            .wire
            .orders()
            .into_iter()
            .filter(|told| told.imei == imei(order) && told.network_id == network_id)
            .all(|told| is_anothers(told.id))
}

/// A word changes the orders that it is about, as it may, and no other.
fn changed_as_it_may(said: Said, answer: &RequestAnswer, before: &Orders, after: &Orders) {
    let same_number = matches!(said, Said::Retry | Said::RetryNotCharged) || before.len() == after.len();
    assert!(same_number && before.keys().all(|id| after.contains_key(id)), "{said:?} lost or made orders");
    let changed: Vec<(&Shown, &Shown)> =
        before.iter().map(|(id, was)| (was, &after[id])).filter(|(was, is)| was != is).collect();
    // Of a batch, some may have been made anew before one couldn't be.
    if !answer.done && said != Said::Retry {
        assert!(changed.is_empty(), "{said:?} was refused ({}) and changed {changed:?}", answer.text);
    }
    for (was, is) in &changed {
        let may = match said {
            Said::Pause | Said::Resume | Said::Ack => false,
            Said::Cancel => {
                let passed = **is == Shown { batch: is.batch, ..(*was).clone() };
                let stopped = [QUEUED, HELD].contains(&was.state);
                passed && was.state == QUEUED
                    || stopped && **is == Shown { state: CANCELLED, ..(*was).clone() }
            }
            Said::NotOrdered => {
                let unproven = was.unaccounted + was.presumed + was.inferred;
                let released = Shown {
                    state: QUEUED,
                    unaccounted: 0,
                    presumed: 0,
                    inferred: unproven,
                    ..(*was).clone()
                };
                [IN_DOUBT, HELD].contains(&was.state)
                    && was.charged == 0
                    && was.id.is_none()
                    && **is == released
            }
            Said::OrderId(id) => {
                is.state == ORDERED && is.id == i64::try_from(id).ok() && is.charged >= was.charged
            }
            Said::Retry | Said::RetryNotCharged => {
                **is == Shown { is_current: false, was_retried: true, ..(*was).clone() }
                    && may_be_made_anew(was, said == Said::RetryNotCharged)
            }
        };
        assert!(may, "{said:?} ({}) changed {was:?} to {is:?}", answer.text);
    }
    for (id, made) in after.iter().filter(|(id, _)| !before.contains_key(id)) {
        let older = changed.iter().filter(|(was, _)| was.key == made.key).count();
        assert!(
            made.state == QUEUED && made.attempts == 0 && older == 1,
            "order {id} was made anew, {made:?}, and ended {older} older ones"
        );
    }
}

/// Nothing of it can have been taken and stand: given back, or never taken; or somebody says that what was sent and
/// released was not charged.
fn may_be_made_anew(order: &Shown, not_charged: bool) -> bool {
    let is_charged = order.charged > 0 && order.state == CANCELLED;
    let may_be_taken = order.unaccounted + order.presumed > 0
        || order.inferred > 0 && !(not_charged && order.state == CANCELLED);
    order.state > COMPLETED && !is_charged && !may_be_taken
}

/// While a pause stands that waits for a person, nothing is sent that it covers.
pub(crate) fn standstill(world: &mut World) {
    let Some(life) = &world.life else { return };
    let sql = "SELECT scope FROM pauses WHERE reason IN ('operator', 'older_copy')";
    let mut statement = life.view.prepare_cached(sql).unwrap();
    let scopes: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let still: BTreeMap<&str, usize> = SERVICES
        .iter()
        .filter(|service| scopes.contains(&0) || scopes.contains(&life.service(service.network_id).0))
        .map(|service| (service.network_id, world.wire.sent_for(service.network_id)))
        .collect();
    for (service, sent) in &still {
        let before = world.still.get(service).unwrap_or(sent);
        assert_eq!(sent, before, "service {service} is paused, and was sent for");
    }
    drop(statement);
    world.still = still;
}

/// How often an operator had orders of each key made anew: as often may one be paid for again that was given back.
pub(crate) fn count_anew(world: &mut World) {
    let Some(life) = &world.life else { return };
    let sql = "SELECT orders.imei, services.network_id, count(*) FROM orders JOIN services ON services.id = orders.service \
               WHERE retried = 1 AND account = ?1 GROUP BY 1, 2";
    let mut statement = life.view.prepare_cached(sql).unwrap();
    let counted = statement.query_map([world.knobs.account], |row| {
        let imei: i64 = row.get(0)?;
        Ok(((u64::try_from(imei).unwrap(), row.get(1)?), row.get::<_, i64>(2)?))
    });
    for (key, times) in counted.unwrap().map(Result::unwrap) {
        let known = world.anew.entry(key).or_default();
        *known = times.max(*known);
    }
}

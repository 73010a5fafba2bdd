//! One transaction of the writer, and the little that every operation needs of it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rusqlite::{CachedStatement, Connection, Params};

use super::JournalError;
use super::rest::Rest;
use super::sums::Sums;
use super::wake::Rung;
use crate::types::{BatchId, OrderId, ServiceId, Timestamp};

/// An open transaction. Only the writer makes one.
pub struct Tx<'a> {
    connection: &'a Connection,
    rest: Rest,
    rung: Cell<Rung>,
    /// Whether a pause began, ended or changed.
    paused: Cell<bool>,
    /// Whether a pause lets one order go to find out, once that was looked up.
    finds_out: Cell<Option<bool>>,
    /// Titles of services that were noted in it.
    titles: RefCell<BTreeSet<(ServiceId, String)>>,
    /// Accounts of services that were asked for in it.
    accounts: RefCell<BTreeMap<ServiceId, Rc<str>>>,
    /// Changes that are written once for the whole transaction.
    sums: RefCell<Sums>,
    held: RefCell<Held<'a>>,
    lines: RefCell<Vec<LogLine>>,
}

/// Statements that are kept at hand, from one transaction to the next. An order's are each other order's too, and the
/// connection's own cache would hash, copy and link them anew each time.
#[derive(Default)]
pub(super) struct Held<'a>(Vec<OneHeld<'a>>);

/// More are left to the connection's cache: those that are seldom run push out none of an order's.
const HELD: usize = 48;

struct OneHeld<'a> {
    sql: Box<str>,
    /// Whether it may look at what waits in the sums.
    reads_sums: bool,
    statement: CachedStatement<'a>,
}

/// Writes a line into the log.
pub(super) type LogLine = Box<dyn FnOnce()>;

impl<'a> Tx<'a> {
    /// `held`: what the transaction before gave back, if there was one.
    pub(super) fn new(connection: &'a Connection, rest: &Rest, held: Held<'a>) -> Self {
        Self {
            connection,
            rest: rest.clone(),
            rung: Cell::new(Rung::NONE),
            paused: Cell::new(false),
            finds_out: Cell::new(None),
            titles: RefCell::default(),
            accounts: RefCell::default(),
            sums: RefCell::default(),
            held: RefCell::new(held),
            lines: RefCell::default(),
        }
    }

    /// Logs this once the transaction is committed: what comes to nothing, or is run again, is not told before.
    pub(super) fn log(&self, line: impl FnOnce() + 'static) {
        self.lines.borrow_mut().push(Box::new(line));
    }

    pub(super) fn take_lines(&self) -> Vec<LogLine> {
        self.lines.take()
    }

    /// Its statements, for the next transaction.
    pub(super) fn into_held(self) -> Held<'a> {
        self.held.into_inner()
    }

    /// Adds to sums that are written before the transaction ends, or before anything reads them.
    pub(super) fn add(&self, change: impl FnOnce(&mut Sums)) {
        change(&mut self.sums.borrow_mut());
    }

    /// Writes what was added and isn't written yet. Before every commit.
    pub(super) fn write_sums(&self) -> Result<(), JournalError> {
        if !self.sums.take().write(self)?.is_empty() {
            self.ring(Rung::OUTBOX);
        }
        Ok(())
    }

    /// Rings these stages once the transaction is committed.
    pub(super) fn ring(&self, who: Rung) {
        self.rung.set(self.rung.get().and(who));
    }

    pub(super) const fn rung(&self) -> Rung {
        self.rung.get()
    }

    /// Whoever is about to send must know of the pauses as they are now once the transaction is committed.
    pub(super) fn pauses_changed(&self) {
        self.paused.set(true);
        self.finds_out.set(None);
    }

    /// Whether a pause lets one order go to find out whether it has ended. Asked after every order, and nearly always in
    /// vain: one look serves the transaction until a pause changes.
    pub(super) fn is_finding_out(&self) -> Result<bool, JournalError> {
        if let Some(known) = self.finds_out.get() {
            return Ok(known);
        }
        let found = self.find("SELECT 1 FROM pauses WHERE one = 1 LIMIT 1", [], |_| Ok(()))?.is_some();
        self.finds_out.set(Some(found));
        Ok(found)
    }

    /// Whether nothing has noted this title of the service yet in this transaction.
    pub(super) fn is_first_title(&self, service: ServiceId, title: &str) -> bool {
        self.titles.borrow_mut().insert((service, title.to_owned()))
    }

    /// The account that orders of this service are remembered under. It never changes, and one look serves the transaction; no
    /// longer, for one that is rolled back takes with it the services that it knew.
    pub(super) fn account(&self, service: ServiceId) -> Result<Rc<str>, JournalError> {
        if let Some(known) = self.accounts.borrow().get(&service) {
            return Ok(Rc::clone(known));
        }
        let sql = "SELECT account FROM services WHERE id = ?1";
        let found = self.find(sql, [service.0], |row| row.get::<_, String>(0))?;
        let found =
            found.ok_or_else(|| JournalError::Unknown(format!("there is no service {}", service.0)))?;
        let account: Rc<str> = found.into();
        self.accounts.borrow_mut().insert(service, Rc::clone(&account));
        Ok(account)
    }

    pub(super) const fn have_pauses_changed(&self) -> bool {
        self.paused.get()
    }

    /// When doubts began, by the steady clock.
    pub(super) const fn rest(&self) -> &Rest {
        &self.rest
    }

    pub(super) const fn connection(&self) -> &Connection {
        self.connection
    }

    pub(super) fn prepare(&self, sql: &str) -> Result<CachedStatement<'a>, JournalError> {
        self.sums_before(Sums::concern(sql))?;
        Ok(self.connection.prepare_cached(sql)?)
    }

    fn sums_before(&self, reads_sums: bool) -> Result<(), JournalError> {
        if reads_sums && !self.sums.borrow().is_empty() {
            self.write_sums()?;
        }
        Ok(())
    }

    /// Runs a statement that is at hand afterwards. `run` leaves it reset.
    fn run<T>(
        &self,
        sql: &str,
        run: impl FnOnce(&mut CachedStatement<'a>) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        let mut held = self.held(sql)?;
        self.sums_before(held.reads_sums)?;
        let done = run(&mut held.statement);
        let Held(all) = &mut *self.held.borrow_mut();
        if all.len() < HELD {
            all.push(held);
        }
        Ok(done?)
    }

    fn held(&self, sql: &str) -> Result<OneHeld<'a>, JournalError> {
        let Held(all) = &mut *self.held.borrow_mut();
        // What was run last lies at the end, and is mostly what comes next: an order's statements are few.
        if let Some(place) = all.iter().rposition(|held| *held.sql == *sql) {
            return Ok(all.swap_remove(place));
        }
        let statement = self.connection.prepare_cached(sql)?;
        Ok(OneHeld { sql: sql.into(), reads_sums: Sums::concern(sql), statement })
    }

    /// Runs a statement; returns how many rows it changed.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, JournalError> {
        self.run(sql, |statement| statement.execute(params))
    }

    /// Runs a statement that changes exactly one row; anything else means that our picture of the journal is wrong.
    pub(super) fn execute_one(
        &self,
        what: &'static str,
        sql: &str,
        params: impl Params,
    ) -> Result<(), JournalError> {
        match self.execute(sql, params)? {
            1 => Ok(()),
            changed => Err(JournalError::Unexpected { what, changed }),
        }
    }

    /// The row that a statement finds, if any.
    pub(super) fn find<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, JournalError> {
        self.run(sql, |statement| statement.query(params)?.next()?.map(read).transpose())
    }

    /// All rows that a statement finds.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, JournalError> {
        self.run(sql, |statement| statement.query_map(params, read)?.collect())
    }

    /// Appends to the event log.
    pub(super) fn event(
        &self,
        at: Timestamp,
        order: Option<OrderId>,
        batch: Option<BatchId>,
        what: &str,
        detail: &str,
    ) -> Result<(), JournalError> {
        self.execute(
            "INSERT INTO events (at, order_id, batch, what, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
            (at.millis(), order.map(|id| id.0), batch.map(|id| id.0), what, detail),
        )?;
        Ok(())
    }

    /// A fact's value.
    pub(super) fn fact(&self, key: &str) -> Result<Option<String>, JournalError> {
        self.find("SELECT value FROM facts WHERE key = ?1", [key], |row| row.get(0))
    }

    /// Sets a fact.
    pub(super) fn set_fact(&self, key: &str, value: &str) -> Result<(), JournalError> {
        self.execute(
            "INSERT INTO facts (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [key, value],
        )?;
        Ok(())
    }
}

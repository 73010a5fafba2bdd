//! Connections that carry more than one order, one after the other.
//!
//! Where the provider is near and fast, opening a connection costs more than all else about an order. But what arrives on one
//! counts for the order that waits there, whatever it was meant for:
//!
//! * The server may be closing it at that very moment: the order that never got there fails exactly as one that was taken.
//! * An answer too many to the order before may come after the next request was written. Only "taken" names its IMEI: a refusal
//!   would close, or send again, an order that is taken.
//!
//! So this is what holds:
//!
//! * A [`Lane`] has a client of its own, which gets one connection in its life ([`Once`]). What was sent over it before is known,
//!   and no two calls are on it at once. An order for which its connection is gone was not sent, and goes over one of its own.
//! * It is kept only behind a good answer, for [`IDLE`] at most, and for as many orders as [`MOST`] says, no two of them for one IMEI.
//! * Over one that has carried an order, "taken" with the order's own IMEI is believed. Whoever hears something else asks the
//!   account over the same connection before he believes it: answers come in the order of their requests, so that an answer too
//!   many would show there. Where the account is refused alike (its key, maintenance, 429), the order was, whichever of the two
//!   answers is its own. Then the connection is closed.
//! * It is done only while answers come within [`FAST`] on the average: where a call takes longer, an order's own connection
//!   costs nothing that counts.
//! * It begins with one connection, until as many orders went well as [`TRIED`] says. Once an order over one that was used again is
//!   unclear, there is no more of it in this process: as many such doubts as there are calls at once, and no more.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::{Client, ClientBuilder};
use tokio::time::Instant;
use tower::{Layer, Service};

use super::ahead::{BoxError, Counted, lock};
use crate::types::Imei;

/// One that has lain idle for longer is closed: shorter than any server keeps one.
const IDLE: Duration = Duration::from_millis(250);
/// Only while answers come sooner than this on the average.
const FAST: Duration = Duration::from_millis(250);
/// One in so many parts of the average is the last answer's.
const SMOOTH: u32 = 8;
/// So many orders go over one connection: Apache allows as many, unless it is told otherwise.
const MOST: usize = 100;
/// With one connection only, until one was used again so many times and all was well.
const TRIED: u32 = 20;
/// Behind an answer its connection comes free within this time, or it is gone.
const COMES_FREE: Duration = Duration::from_millis(50);

/// The connections that may be used again, and what is known of doing so.
pub(super) struct Kept {
    make: Box<dyn Fn() -> Option<Client> + Send + Sync>,
    state: Arc<Mutex<State>>,
    /// Lanes that there are, in use or not.
    lanes: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    trust: Trust,
    /// Those that nobody uses, and since when. The one that was used last comes last.
    idle: Vec<(Lane, Instant)>,
    /// How long answers take on the average.
    mean: Option<Duration>,
    /// Somebody closes those that are too old.
    swept: bool,
}

/// What it came to to use a connection again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// So many times all was well.
    Trying(u32),
    Proven,
    /// It left an order unclear.
    Lost,
}

impl Default for Trust {
    fn default() -> Self {
        Self::Trying(0)
    }
}

/// One connection: in use by one order, or by none. Dropped, it is closed.
pub(super) struct Lane {
    client: Client,
    /// The IMEIs of the orders that went over it.
    carried: Vec<Imei>,
    _counted: Counted,
}

impl Lane {
    /// What sends over this connection, and over no other.
    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Whether it has carried an order.
    pub(super) const fn is_reused(&self) -> bool {
        !self.carried.is_empty()
    }

    /// An answer too many to an earlier order for this IMEI would be taken for this one's.
    fn may_carry(&self, imei: Imei) -> bool {
        self.carried.len() < MOST && !self.carried.contains(&imei)
    }
}

impl Kept {
    /// What makes connections as the client that `sends` is the builder of makes them, and that builder. `like` begins another
    /// client like it, but for how it connects.
    pub(super) fn of(
        sends: ClientBuilder,
        like: impl Fn() -> Option<ClientBuilder> + Send + Sync + 'static,
    ) -> (ClientBuilder, Self) {
        let source = Arc::default();
        let sends = sends.connector_layer(Tap { source: Arc::clone(&source) });
        let make = move || {
            let once = Once { connector: lock(&source).clone()?, made: Arc::default() };
            like()?.connector_layer(once).pool_max_idle_per_host(1).pool_idle_timeout(None).build().ok()
        };
        (sends, Self { make: Box::new(make), state: Arc::default(), lanes: Arc::default() })
    }

    /// What an order for this IMEI may go over; `None`: over a connection of its own.
    pub(super) fn lane(&self, imei: Imei) -> Option<Lane> {
        let mut state = lock(&self.state);
        if state.trust == Trust::Lost || state.mean.is_none_or(|mean| mean >= FAST) {
            return None;
        }
        state.close_old();
        let last = state.idle.pop().map(|(lane, _)| lane);
        if let Some(lane) = last.filter(|lane| lane.may_carry(imei)) {
            return Some(lane);
        }
        if state.trust != Trust::Proven && self.lanes.load(Ordering::Acquire) > 0 {
            return None;
        }
        let counted = Counted::one_more(&self.lanes);
        drop(state);
        Some(Lane { client: (self.make)()?, carried: Vec::new(), _counted: counted })
    }

    /// An order was answered within this time.
    pub(super) fn answered(&self, took: Duration) {
        let mut state = lock(&self.state);
        state.mean = Some(state.mean.map_or(took, |mean| (mean * (SMOOTH - 1) + took) / SMOOTH));
    }

    /// An order that went over a connection that had carried another is clear, or it isn't.
    pub(super) fn reused(&self, is_clear: bool) {
        let mut state = lock(&self.state);
        let before = state.trust;
        state.trust = match before {
            _ if !is_clear => Trust::Lost,
            Trust::Trying(times) if times.saturating_add(1) < TRIED => Trust::Trying(times.saturating_add(1)),
            Trust::Trying(_) => Trust::Proven,
            Trust::Proven | Trust::Lost => before,
        };
        if state.trust == Trust::Lost && before != Trust::Lost {
            state.idle.clear();
            tracing::warn!(
                "an order over a connection that had carried another is unclear: until the next start each order has one \
                 of its own"
            );
        }
    }

    /// Keeps a connection that carried an order for this IMEI, behind a good answer.
    pub(super) fn keep(&self, mut lane: Lane, imei: Imei) {
        lane.carried.push(imei);
        let mut state = lock(&self.state);
        if state.trust == Trust::Lost {
            return;
        }
        state.idle.push((lane, Instant::now()));
        if !std::mem::replace(&mut state.swept, true) {
            tokio::spawn(sweep(Arc::clone(&self.state)));
        }
    }
}

impl State {
    fn close_old(&mut self) {
        self.idle.retain(|(_, since)| since.elapsed() <= IDLE);
    }
}

/// Closes those that nobody used in time, until there are none.
async fn sweep(state: Arc<Mutex<State>>) {
    loop {
        tokio::time::sleep(IDLE).await;
        let mut state = lock(&state);
        state.close_old();
        if state.idle.is_empty() {
            state.swept = false;
            return;
        }
    }
}

/// Hands on how a client makes its connections, and changes nothing about it.
struct Tap<S> {
    source: Arc<Mutex<Option<S>>>,
}

impl<S> Clone for Tap<S> {
    fn clone(&self) -> Self {
        Self { source: Arc::clone(&self.source) }
    }
}

impl<S: Clone> Layer<S> for Tap<S> {
    type Service = S;

    fn layer(&self, inner: S) -> S {
        *lock(&self.source) = Some(inner.clone());
        inner
    }
}

/// Makes one connection, as another client makes them, and no second one: a client that has it knows what it sends over.
#[derive(Clone)]
struct Once<S> {
    connector: S,
    made: Arc<AtomicBool>,
}

impl<S: Clone> Layer<S> for Once<S> {
    type Service = Self;

    /// The client's own way isn't used, and it has no root certificates for it.
    fn layer(&self, _own: S) -> Self {
        self.clone()
    }
}

impl<S, R> Service<R> for Once<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        if !self.made.swap(true, Ordering::AcqRel) {
            return Box::pin(self.connector.call(request));
        }
        // The client takes the one that it has, should it come free meanwhile.
        Box::pin(async {
            tokio::time::sleep(COMES_FREE).await;
            Err("its connection is gone".into())
        })
    }
}

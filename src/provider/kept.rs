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
//! * A [`Lane`] is one connection, made as the client for orders makes its own ([`Tap`]), and with no client around it: what was
//!   sent over it before is known, nothing opens a second one in its place or sends twice, and no two calls are on it at once. An
//!   order for which it is gone was not sent, and goes over one of its own.
//! * It is kept only behind a good answer, for [`IDLE`] at most, and for as many orders as [`MOST`] says, no two of them for one IMEI.
//! * Over one that has carried an order, "taken" with the order's own IMEI is believed. Whoever hears something else asks the
//!   account over the same connection before he believes it: answers come in the order of their requests, so that an answer too
//!   many would show there. Where the account is refused alike (its key, maintenance, 429), the order was, whichever of the two
//!   answers is its own. Then the connection is closed.
//! * It is done only while answers come within [`FAST`] on the average: where a call takes longer, an order's own connection
//!   costs nothing that counts.
//! * It begins with one connection, and there are never more than orders that went well over used ones, until those are as many as
//!   [`TRIED`] says. Once an order over one that was used again is unclear, there is no more of it in this process: as many such
//!   doubts as there are connections then, each call's at most, and no more.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::rt::{Read, Write};
use hyper::{Method, Request, Response, Uri};
use reqwest::{Body, Client, ClientBuilder, Url};
use tokio::time::Instant;
use tower::{Layer, Service};

use super::ahead::{BoxError, Counted, lock};
use super::wire::{self, Silence};
use crate::types::Imei;

/// One that has lain idle for longer is closed: shorter than any server keeps one.
const IDLE: Duration = Duration::from_millis(250);
/// Only while answers come sooner than this on the average.
const FAST: Duration = Duration::from_millis(250);
/// One in so many parts of the average is the last answer's.
const SMOOTH: u32 = 8;
/// So many orders go over one connection: nginx allows as many, unless it is told otherwise. A server that allows fewer, as Apache
/// does, says with the last answer that it closes.
const MOST: usize = 1000;
/// With few connections only, until they were used again so many times and all was well.
const TRIED: u32 = 20;
/// Behind an answer its connection comes free within this time, or it is gone.
const COMES_FREE: Duration = Duration::from_millis(50);

/// The connections that may be used again, and what is known of doing so.
pub(super) struct Kept {
    opens: Opens,
    endpoint: Url,
    /// Where every request goes.
    path: Uri,
    /// What the client for orders sends with every request.
    headers: HeaderMap,
    state: Arc<Mutex<State>>,
    /// Lanes that there are, in use or not.
    lanes: Arc<AtomicUsize>,
}

/// What opens connections. It is made with the first: the way to connect isn't known before.
struct Opens {
    make: Box<dyn Fn() -> Option<Client> + Send + Sync>,
    client: OnceLock<Option<Client>>,
    /// Connections that were opened, until whoever asked for one takes it.
    opened: Opened,
}

type Opened = Arc<Mutex<Vec<SendRequest<Body>>>>;

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

impl Trust {
    /// How many connections there may be at most.
    fn lanes(self) -> usize {
        match self {
            Self::Trying(times) => usize::try_from(times).map_or(usize::MAX, |times| times.max(1)),
            Self::Proven => usize::MAX,
            Self::Lost => 0,
        }
    }
}

/// One connection: in use by one order, or by none. Dropped, it is closed.
pub(super) struct Lane {
    sends: SendRequest<Body>,
    /// The IMEIs of the orders that went over it.
    carried: HashSet<Imei>,
    _counted: Counted,
}

impl Lane {
    /// Whether it has carried an order.
    pub(super) fn is_reused(&self) -> bool {
        !self.carried.is_empty()
    }

    /// An answer too many to an earlier order for this IMEI would be taken for this one's.
    fn may_carry(&self, imei: Imei) -> bool {
        self.carried.len() < MOST && !self.carried.contains(&imei)
    }
}

impl Kept {
    /// What makes connections to `endpoint` as the client that `sends` is the builder of makes them, and that builder. `like`
    /// begins another client like it, but for how it connects. `None`: its address can't be written into a request.
    pub(super) fn of(
        sends: ClientBuilder,
        like: impl Fn() -> Option<ClientBuilder> + Send + Sync + 'static,
        endpoint: &Url,
    ) -> (ClientBuilder, Option<Self>) {
        let source = Arc::default();
        let sends = sends.connector_layer(Tap { source: Arc::clone(&source) });
        let opened = Opened::default();
        let hands = Arc::clone(&opened);
        let make = move || {
            let hand = Hand { connector: lock(&source).clone()?, opened: Arc::clone(&hands) };
            like()?.connector_layer(hand).build().ok()
        };
        let kept = headers(endpoint).zip(endpoint.path().parse().ok()).map(|(headers, path)| Self {
            opens: Opens { make: Box::new(make), client: OnceLock::new(), opened },
            endpoint: endpoint.clone(),
            path,
            headers,
            state: Arc::default(),
            lanes: Arc::default(),
        });
        (sends, kept)
    }

    /// What an order for this IMEI may go over; `None`: over a connection of its own. An error: one was to be opened for it, and
    /// that failed. Nothing was sent then.
    pub(super) async fn lane(&self, imei: Imei) -> Option<Result<Lane, reqwest::Error>> {
        let counted = {
            let mut state = lock(&self.state);
            if state.trust == Trust::Lost || state.mean.is_none_or(|mean| mean >= FAST) {
                return None;
            }
            state.close_old();
            let last = state.idle.pop().map(|(lane, _)| lane);
            if let Some(lane) = last.filter(|lane| lane.may_carry(imei)) {
                return Some(Ok(lane));
            }
            if self.lanes.load(Ordering::Acquire) >= state.trust.lanes() {
                return None;
            }
            Counted::one_more(&self.lanes)
        };
        // Seldom, and large.
        let sends = match Box::pin(self.opens.open(&self.endpoint)).await? {
            Ok(sends) => sends,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(Lane { sends, carried: HashSet::new(), _counted: counted }))
    }

    /// Sends one request over this connection, once, as the client for orders would send it; returns as the answer begins.
    pub(super) async fn send(&self, lane: &mut Lane, form: String) -> Result<Response<Incoming>, Silence> {
        let gone = || Silence { why: "its connection is gone".to_owned(), may_be_sent: false };
        if !lane.sends.is_ready() {
            // Seldom: it isn't to take up room in every call.
            let comes_free = Box::pin(tokio::time::timeout(COMES_FREE, lane.sends.ready()));
            if !matches!(comes_free.await, Ok(Ok(()))) {
                return Err(gone());
            }
        }
        let mut request = Request::new(Body::from(form));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        lane.sends.try_send_request(request).await.map_err(|error| {
            // It is given back only if not a byte of it was written.
            if error.message().is_some() {
                gone()
            } else {
                Silence { why: wire::chain(error.error()), may_be_sent: true }
            }
        })
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
        lane.carried.insert(imei);
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
        let now = Instant::now();
        self.idle.retain(|(_, since)| now.saturating_duration_since(*since) <= IDLE);
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

impl Opens {
    /// Opens one. `None`: there is nothing that could.
    async fn open(&self, to: &Url) -> Option<Result<SendRequest<Body>, reqwest::Error>> {
        let client = self.client.get_or_init(&self.make).as_ref()?;
        // Never sent, see `Hand`; were it, it would ask for nothing, without a key.
        let ended = client.head(to.clone()).send().await;
        // Whoever opened it: none has carried anything.
        match lock(&self.opened).pop() {
            Some(sends) => Some(Ok(sends)),
            None => ended.err().map(Err),
        }
    }
}

/// What a request to this address has in its head, beside its length.
fn headers(to: &Url) -> Option<HeaderMap> {
    let host = to.host_str()?;
    let host = to.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let host = HeaderValue::try_from(host).ok()?;
    let known = [
        (HOST, host),
        (USER_AGENT, HeaderValue::from_static(wire::USER_AGENT)),
        (ACCEPT, HeaderValue::from_static("*/*")),
        (CONTENT_TYPE, HeaderValue::from_static(wire::FORM)),
    ];
    Some(HeaderMap::from_iter(known))
}

/// Makes connections as another client makes them, and hands each on: to the client that has it, each is one that failed.
#[derive(Clone)]
struct Hand<S> {
    connector: S,
    opened: Opened,
}

impl<S: Clone> Layer<S> for Hand<S> {
    type Service = Self;

    /// The client's own way isn't used, and it has no root certificates for it.
    fn layer(&self, _own: S) -> Self {
        self.clone()
    }
}

impl<S, R> Service<R> for Hand<S>
where
    S: Service<R, Error = BoxError>,
    S::Response: Read + Write + Unpin + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.connector.call(request);
        let opened = Arc::clone(&self.opened);
        Box::pin(async move {
            let (sends, connection) = http1::handshake(connecting.await?).await?;
            // It ends with its lane. How it ends, whoever sends over it hears.
            tokio::spawn(async move { drop(connection.await) });
            lock(&opened).push(sends);
            Err("it is handed on".into())
        })
    }
}

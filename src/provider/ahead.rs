//! Connections for orders, opened a little ahead.
//!
//! Where an order has a connection of its own, that takes one round trip to open, with TLS two or three: much of a call, where
//! the provider is far away. So while answers come in, the connections of the next orders are opened. One that has never
//! carried a request is as good as new: no answer to another order can be on it.
//!
//! * Each is given out once, to one order. The client that sends orders keeps none when it is done.
//! * None is given out that the server has closed, or has said anything on, or that is older than [`KEPT_FOR`]: no server
//!   gives up on a request that soon. Should its end and the request cross on the way all the same, the order is in doubt.
//! * There are at most [`MOST`] beside those that carry orders, and only while orders are answered that fast, and opening one
//!   takes so long that something is gained: none is opened for a provider that doesn't answer, or is near, and none stays
//!   when the last order was sent.
//! * The client that opens them can't send: to it, every connection that was made is one that failed.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::rt::{Read, ReadBuf};
use reqwest::{Client, ClientBuilder, Url};
use tokio::time::Instant;
use tower::{Layer, Service};

/// At most so many wait, or are being opened.
const MOST: usize = 8;
/// No more than the orders that were answered within this time, but for one: each is used about that soon.
const SOON: Duration = Duration::from_millis(500);
/// Where one is opened sooner than this, nothing is gained.
pub(super) const WORTH: Duration = Duration::from_millis(5);
/// One that wasn't used within this time is closed.
const KEPT_FOR: Duration = Duration::from_secs(1);

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Opens connections ahead of the orders that use them.
pub(super) struct Ahead {
    opens: Client,
    endpoint: Url,
    stock: Arc<dyn Stock>,
    /// Connections that are being opened.
    opening: Arc<AtomicUsize>,
    /// When the last few orders were answered.
    answered: Mutex<VecDeque<Instant>>,
    /// Where opening one takes less than this, none is.
    worth: Duration,
}

impl Ahead {
    /// What opens connections ahead where that takes at least `worth`, and the builder of the client that uses them; of two
    /// builders that are alike.
    pub(super) fn of(
        sends: ClientBuilder,
        opens: ClientBuilder,
        endpoint: Url,
        worth: Duration,
    ) -> Result<(ClientBuilder, Self), reqwest::Error> {
        let stock = Arc::default();
        let sends =
            sends.connector_layer(Connector { inner: (), stock: Arc::clone(&stock), role: Role::Sends });
        let opens =
            opens.connector_layer(Connector { inner: (), stock: Arc::clone(&stock), role: Role::Opens });
        let ahead = Self {
            opens: opens.build()?,
            endpoint,
            stock,
            opening: Arc::default(),
            answered: Mutex::default(),
            worth,
        };
        Ok((sends, ahead))
    }

    /// An order was answered: where others were a moment ago, the next one is near.
    pub(super) fn answered(&self) {
        let wanted = self.wanted();
        let there_are = self.opening.load(Ordering::Acquire).saturating_add(self.stock.count());
        if there_are < wanted && self.stock.last_took() >= self.worth {
            self.open();
        }
    }

    /// How many wait, and how many are being opened.
    #[cfg(test)]
    pub(super) fn there_are(&self) -> (usize, usize) {
        (self.stock.count(), self.opening.load(Ordering::Acquire))
    }

    /// How many are to wait now.
    fn wanted(&self) -> usize {
        let mut answered = lock(&self.answered);
        answered.push_back(Instant::now());
        while answered.len() > MOST.saturating_add(1)
            || answered.front().is_some_and(|at| at.elapsed() > SOON)
        {
            answered.pop_front();
        }
        answered.len().saturating_sub(1)
    }

    fn open(&self) {
        let under_way = Counted::one_more(&self.opening);
        // Never sent, see `Connector`; were it, it would ask for nothing, without a key.
        let call = Box::pin(self.opens.head(self.endpoint.clone()).send());
        let stock = Arc::clone(&self.stock);
        tokio::spawn(async move {
            let opened = call.await;
            drop(under_way);
            if let Err(error) = opened {
                tracing::trace!("a connection ahead: {:?}", error.without_url());
            }
            tokio::time::sleep(KEPT_FOR).await;
            stock.close_old();
        });
    }
}

/// One of those that are counted, until it is dropped.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(super) fn one_more(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The connections that wait, of a kind that only the library can name.
struct Spares<C> {
    waiting: Mutex<VecDeque<(C, Instant)>>,
    /// How long it took to open the last one, in microseconds.
    took_us: AtomicU64,
}

impl<C> Default for Spares<C> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), took_us: AtomicU64::new(0) }
    }
}

impl<C> Spares<C> {
    fn put(&self, connection: C) {
        lock(&self.waiting).push_back((connection, Instant::now()));
    }

    /// Opens one, however it is to be used.
    async fn open(&self, opening: impl Future<Output = Result<C, BoxError>>) -> Result<C, BoxError> {
        let began = Instant::now();
        let connection = opening.await?;
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.took_us.store(took, Ordering::Release);
        Ok(connection)
    }
}

impl<C: Read + Unpin> Spares<C> {
    /// The oldest that is still good. What isn't is closed.
    fn take(&self) -> Option<C> {
        let mut waiting = lock(&self.waiting);
        while let Some((mut connection, since)) = waiting.pop_front() {
            if since.elapsed() < KEPT_FOR && is_untouched(&mut connection) {
                return Some(connection);
            }
        }
        None
    }
}

/// Whether the server has neither closed it nor said anything, as far as has arrived here.
fn is_untouched(connection: &mut (impl Read + Unpin)) -> bool {
    let mut byte = [0];
    let mut read = ReadBuf::new(&mut byte);
    Pin::new(connection).poll_read(&mut Context::from_waker(Waker::noop()), read.unfilled()).is_pending()
}

/// What of the waiting connections concerns those that don't use them.
trait Stock: Send + Sync {
    fn count(&self) -> usize;
    fn last_took(&self) -> Duration;
    fn close_old(&self);
}

impl<C: Send> Stock for Spares<C> {
    fn count(&self) -> usize {
        lock(&self.waiting).len()
    }

    fn last_took(&self) -> Duration {
        Duration::from_micros(self.took_us.load(Ordering::Acquire))
    }

    fn close_old(&self) {
        lock(&self.waiting).retain(|(_, since)| since.elapsed() < KEPT_FOR);
    }
}

/// What a client does with connections.
#[derive(Clone, Copy)]
enum Role {
    /// Sends over one that waits, or over a new one.
    Sends,
    /// Lets each wait, and never sends.
    Opens,
}

/// Makes a client's connections: the library's own way, with its time-outs, TLS and proxy, is `inner`.
struct Connector<S, C> {
    inner: S,
    stock: Arc<Spares<C>>,
    role: Role,
}

impl<S: Clone, C> Clone for Connector<S, C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), stock: Arc::clone(&self.stock), role: self.role }
    }
}

impl<S, C> Layer<S> for Connector<(), C> {
    type Service = Connector<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Connector { inner, stock: Arc::clone(&self.stock), role: self.role }
    }
}

impl<S, C, R> Service<R> for Connector<S, C>
where
    S: Service<R, Response = C, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    C: Read + Unpin + Send + 'static,
    R: Send + 'static,
{
    type Response = C;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // The one that was asked whether it is ready is the one that is called.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let stock = Arc::clone(&self.stock);
        match self.role {
            Role::Sends => Box::pin(async move {
                if stock.count() > 0 {
                    // What has arrived is heard of as the runtime goes on: a server's end, too.
                    tokio::task::yield_now().await;
                }
                match stock.take() {
                    Some(connection) => Ok(connection),
                    None => stock.open(inner.call(request)).await,
                }
            }),
            Role::Opens => Box::pin(async move {
                stock.put(stock.open(inner.call(request)).await?);
                Err("it waits for an order".into())
            }),
        }
    }
}

/// What a panic left there is whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connections that took so long to open, and of which none waits.
    struct Took(Duration);

    impl Stock for Took {
        fn count(&self) -> usize {
            0
        }

        fn last_took(&self) -> Duration {
            self.0
        }

        fn close_old(&self) {}
    }

    /// How many are opened for so many answers at once, where opening one takes so long.
    fn opened(took: Duration, answers: usize) -> usize {
        let ahead = Ahead {
            opens: Client::new(),
            endpoint: Url::parse("http://127.0.0.1:1/").unwrap(),
            stock: Arc::new(Took(took)),
            opening: Arc::default(),
            answered: Mutex::default(),
            worth: WORTH,
        };
        (0..answers).for_each(|_| ahead.answered());
        ahead.there_are().1
    }

    #[tokio::test]
    async fn one_is_opened_for_each_answer_but_the_first_eight_at_most_and_only_where_that_takes_five_ms() {
        const FAR: Duration = Duration::from_millis(5);
        const NEAR: Duration = Duration::from_micros(4_999);
        for (took, answers, expected) in [(NEAR, 40, 0), (FAR, 1, 0), (FAR, 2, 1), (FAR, 6, 5), (FAR, 40, 8)]
        {
            assert_eq!(opened(took, answers), expected, "{took:?}, {answers} answers");
        }
    }
}

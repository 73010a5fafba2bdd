//! The model behind HTTP, on loopback only: the provider's own address, and `/sim/…` for tests to look and turn
//! switches.
//!
//! A request that has arrived whole is worked on in a task of its own: like the real provider, and unlike a handler
//! that the server library drops, it takes and charges its order though its client is gone.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call::{Call, Plan};
use super::connection::{BreakableListener, Breaker};
use super::faults::{Fault, FaultKind};
use super::ledger::{Entry, LedgerSummary, OrderLine};
use super::model::Model;
use super::options::{Change, Options};
use super::{form, xml};
use crate::clock::Clock;

/// Where the provider answers.
const API_PATH: &str = "/gsmfusion_api/index.php";
/// A poll for tens of thousands of ids stays below this.
const BODY_LIMIT_BYTES: usize = 8 * 1024 * 1024;
/// How long a stop waits for connections that a client keeps open.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Starts a simulator on `listen`, a loopback address; port 0 takes a free one.
///
/// # Errors
/// The address isn't a loopback one, or can't be listened on.
pub async fn start(options: Options, listen: SocketAddr) -> io::Result<Running> {
    start_with_clock(options, listen, Clock::system()).await
}

/// [`start`] with a clock of the caller's: orders finish by it.
///
/// # Errors
/// As [`start`].
pub async fn start_with_clock(options: Options, listen: SocketAddr, clock: Clock) -> io::Result<Running> {
    if !listen.ip().is_loopback() {
        let text = format!("the simulator listens on this machine only: use 127.0.0.1, not {}", listen.ip());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let model = Mutex::new(Model::new(clock.now(), options));
    let app = Arc::new(App {
        model,
        clock,
        stop: CancellationToken::new(),
        work: TaskTracker::new(),
        placed: AtomicU64::new(0),
        placing_us: AtomicU64::new(0),
        in_work: AtomicUsize::new(0),
    });
    let service = routes(Arc::clone(&app)).into_make_service_with_connect_info::<Breaker>();
    let stop = app.stop.clone().cancelled_owned();
    let serve = axum::serve(BreakableListener(listener), service).with_graceful_shutdown(stop);
    let serve = tokio::spawn(async move { serve.await });
    Ok(Running { app, address, serve })
}

/// A simulator at work. It stops when this is dropped; [`Running::stop`] also waits for it.
#[must_use]
pub struct Running {
    app: Arc<App>,
    address: SocketAddr,
    serve: JoinHandle<io::Result<()>>,
}

impl Running {
    /// What a client's `base_url` is set to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The counters and sums as of now.
    #[must_use]
    pub fn ledger(&self) -> LedgerSummary {
        self.app.model().summary(self.app.clock.now())
    }

    /// Every movement of money so far, in order.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.app.model().ledger(self.app.clock.now()).entries().to_vec()
    }

    /// How long `placeorder` took on the average, from the request's last byte to the answer handed to the server: the
    /// latency as it was served, timers and a busy machine included. Zero before the first.
    #[must_use]
    pub fn latency_served(&self) -> Duration {
        let calls = self.app.placed.load(Ordering::Relaxed);
        Duration::from_micros(self.app.placing_us.load(Ordering::Relaxed).checked_div(calls).unwrap_or(0))
    }

    /// Every order so far, in the order they were taken.
    #[must_use]
    pub fn orders(&self) -> Vec<OrderLine> {
        self.app.model().order_lines(self.app.clock.now())
    }

    /// How many `placeorder` calls are being worked on.
    #[must_use]
    pub fn in_work(&self) -> usize {
        self.app.in_work.load(Ordering::Acquire)
    }

    /// Changes switches, as `POST /sim/config` does.
    pub fn change(&self, change: &Change) {
        self.app.model().change(self.app.clock.now(), change);
    }

    /// Stops: no new connections; requests at work are executed and answered without further delay, hanging ones
    /// are dropped. Gives the final books.
    pub async fn stop(mut self) -> LedgerSummary {
        self.app.stop.cancel();
        if tokio::time::timeout(STOP_WITHIN, &mut self.serve).await.is_err() {
            self.serve.abort();
        }
        self.app.work.close();
        self.app.work.wait().await;
        self.ledger()
    }

    /// Waits until it has stopped by itself, which only an error of the listener makes it do.
    ///
    /// # Errors
    /// What ended it.
    pub async fn wait(&mut self) -> io::Result<()> {
        (&mut self.serve).await.map_err(io::Error::other)?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.app.stop.cancel();
    }
}

struct App {
    model: Mutex<Model>,
    clock: Clock,
    stop: CancellationToken,
    work: TaskTracker,
    /// `placeorder` calls that were answered, and how long they took together.
    placed: AtomicU64,
    placing_us: AtomicU64,
    /// `placeorder` calls being worked on.
    in_work: AtomicUsize,
}

impl App {
    /// The model, for a moment. A panic elsewhere left it whole: it changes nothing before it has all it needs.
    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets time pass, cut short by a stop.
    async fn pass(&self, time: Duration) {
        if !time.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// What befalls a request that has arrived, and its place among those in work, if it has one.
    fn receive(self: &Arc<Self>, call: &Call) -> (Plan, Option<InWork>) {
        // Counted while the model is locked: of two that come at once only one is the last that is let in.
        let mut model = self.model();
        let plan = model.receive_among(call, self.in_work.load(Ordering::Acquire));
        let place = (call.is_place() && !plan.turned_away).then(|| InWork::new(Arc::clone(self)));
        (plan, place)
    }

    /// Executes a request and writes its answer, twisted where a fault says so.
    fn execute(&self, call: &Call, fault: Option<Fault>) -> String {
        let (answer, dress) = {
            let mut model = self.model();
            (model.answer(self.clock.now(), call), model.dress())
        };
        let answer = match fault {
            Some(fault) => answer.twisted(fault),
            None => answer,
        };
        xml::write(&answer, dress)
    }

    /// Carries a request out as planned.
    async fn carry_out(self: Arc<Self>, call: Call, plan: Plan) -> Sent {
        self.pass(plan.before).await;
        let Some(fault) = plan.fault else {
            let answer = self.execute(&call, None);
            self.pass(plan.after).await;
            return Sent::Xml(answer);
        };
        if fault.kind == FaultKind::Late {
            let app = Arc::clone(&self);
            self.work.spawn(async move {
                app.pass(plan.late_by).await;
                app.execute(&call, None);
            });
            return Sent::Nothing;
        }
        let answer = if fault.executed { self.execute(&call, Some(fault)) } else { String::new() };
        self.pass(plan.after).await;
        match fault.kind {
            FaultKind::Drop | FaultKind::Late => Sent::Nothing,
            FaultKind::Hang => Sent::NothingFor(plan.hang_at_most),
            FaultKind::Http { status, html, retry_after } => Sent::Http { status, html, retry_after },
            FaultKind::Empty => Sent::Xml(String::new()),
            FaultKind::Cut => Sent::Cut(answer),
            FaultKind::OddError if !fault.executed => {
                let odd = super::answer::Answer::Error(String::new()).twisted(fault);
                Sent::Xml(xml::write(&odd, self.model().dress()))
            }
            FaultKind::OddError | FaultKind::WrongImei | FaultKind::Several => Sent::Xml(answer),
        }
    }
}

/// A `placeorder` call counts as in work while this lives.
struct InWork(Arc<App>);

impl InWork {
    fn new(app: Arc<App>) -> Self {
        app.in_work.fetch_add(1, Ordering::AcqRel);
        Self(app)
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.in_work.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What goes back over the wire.
enum Sent {
    Xml(String),
    Http { status: u16, html: bool, retry_after: bool },
    Cut(String),
    Nothing,
    NothingFor(Duration),
}

fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route(API_PATH, post(api))
        .route(
            "/sim/ledger",
            get(async |State(app): State<Arc<App>>| {
                let summary = app.model().summary(app.clock.now());
                json(&summary)
            }),
        )
        .route(
            "/sim/orders",
            get(async |State(app): State<Arc<App>>| {
                let orders = app.model().order_lines(app.clock.now());
                json(&orders)
            }),
        )
        .route(
            "/sim/entries",
            get(async |State(app): State<Arc<App>>| {
                let entries = app.model().ledger(app.clock.now()).entries().to_vec();
                json(&entries)
            }),
        )
        .route("/sim/config", post(config))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(app)
}

/// The provider's one address.
async fn api(
    State(app): State<Arc<App>>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let began = Instant::now();
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let call = form::read(content_type.unwrap_or_default(), &body);
    let is_place = call.is_place();
    let (plan, in_work) = app.receive(&call);
    let sent = if plan.is_plain() {
        // Nothing to wait for, so nothing in which the client could go away: no task needed.
        Sent::Xml(app.execute(&call, None))
    } else {
        let carry_out = Arc::clone(&app).carry_out(call, plan);
        let work = app.work.spawn(async move {
            let sent = carry_out.await;
            drop(in_work);
            sent
        });
        work.await.unwrap_or(Sent::Nothing)
    };
    if is_place {
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        app.placed.fetch_add(1, Ordering::Relaxed);
        app.placing_us.fetch_add(took, Ordering::Relaxed);
    }
    respond(&app, &breaker, sent).await
}

async fn respond(app: &App, breaker: &Breaker, sent: Sent) -> Response {
    match sent {
        Sent::Xml(xml) => xml_response(xml),
        Sent::Cut(xml) => {
            breaker.cut_body_after(xml.len() / 2);
            xml_response(xml)
        }
        Sent::Http { status, html, retry_after } => fault_response(status, html, retry_after),
        Sent::NothingFor(time) => {
            app.pass(time).await;
            breaker.close();
            Response::default()
        }
        Sent::Nothing => {
            breaker.close();
            Response::default()
        }
    }
}

fn xml_response(xml: String) -> Response {
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], xml).into_response()
}

fn fault_response(status: u16, html: bool, retry_after: bool) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = if html { proxy_page(code) } else { String::new() };
    let mut response =
        Response::builder().status(code).header(header::CONTENT_TYPE, "text/html; charset=UTF-8");
    if retry_after {
        response = response.header(header::RETRY_AFTER, "2");
    }
    if code.is_redirection() {
        response = response.header(header::LOCATION, API_PATH);
    }
    response.body(Body::from(body)).unwrap_or_default()
}

/// An error page as the reverse proxy in front of the provider makes them.
fn proxy_page(code: StatusCode) -> String {
    let reason = code.canonical_reason().unwrap_or("Web server is returning an unknown error");
    let number = code.as_u16();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en-US\">\n<head>\n<title>panel.example | {number}: {reason}</title>\n\
         <meta charset=\"UTF-8\">\n</head>\n<body>\n<div id=\"cf-wrapper\">\n<div id=\"cf-error-details\">\n\
         <h1>{reason} <span>Error code {number}</span></h1>\n<p>Visit cloudflare.com for more information.<br>\n\
         Ray ID: 99e1a2b3c4d5e6f7 &bull; Host <b>Error</b></p>\n</div>\n</div>\n</body>\n</html>\n"
    )
}

/// `POST /sim/config`.
async fn config(State(app): State<Arc<App>>, body: Bytes) -> Response {
    match serde_json::from_slice::<Change>(&body) {
        Ok(change) => {
            let now = app.clock.now();
            app.model().change(now, &change);
            json(&serde_json::json!({ "ok": true }))
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

fn json(value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;

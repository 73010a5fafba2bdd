//! The workers over HTTP: connections that were opened ahead, and those that are used again.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::provider::GsmFusion;
use crate::provider::tests::server::{ok, read_request, write};
use crate::provider::tests::{at, taken};

/// How the server treats its connections.
#[derive(Clone, Copy, Debug)]
struct Manners {
    /// What it needs for an answer.
    answers_in: Duration,
    /// It closes a connection over which nothing has come for so long.
    keeps: Duration,
}

/// What the server saw.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    orders: AtomicUsize,
    /// Orders over a connection that had carried one before.
    again: AtomicUsize,
    /// Connections that it closed before an order came.
    closed_unused: AtomicUsize,
}

async fn start(manners: Manners) -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::<Seen>::default();
    let seeing = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            seeing.connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream, manners, Arc::clone(&seeing)));
        }
    });
    (address, seen)
}

async fn serve(stream: TcpStream, manners: Manners, seen: Arc<Seen>) {
    for nth in 0.. {
        let Ok(request) = tokio::time::timeout(manners.keeps, read_request(&stream)).await else {
            seen.closed_unused.fetch_add(usize::from(nth == 0), Ordering::SeqCst);
            return;
        };
        let Some(request) = request else { return };
        let imei = request.split(['\n', '&']).find_map(|part| part.strip_prefix("imei=")).unwrap();
        let id = seen.orders.fetch_add(1, Ordering::SeqCst) + 1;
        seen.again.fetch_add(usize::from(nth > 0), Ordering::SeqCst);
        tokio::time::sleep(manners.answers_in).await;
        let answer = ok(&taken(u64::try_from(id).unwrap(), Imei::from_u64(imei.parse().unwrap()).unwrap()));
        write(&stream, answer.as_bytes()).await.unwrap_or_default();
    }
}

/// Sends so many orders over connections that are opened ahead wherever that is possible; none may end in doubt.
async fn send(orders: u32, workers: usize, manners: Manners) -> Arc<Seen> {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let (journal, _) = journal_with(folder.path(), orders, clock.now()).await;
    let (address, seen) = start(manners).await;
    let client =
        GsmFusion::opening_ahead(&at(address), &"KEY".into(), clock.clone(), Duration::ZERO).unwrap();
    let submit = Submit {
        journal: journal.clone(),
        provider: Arc::new(client),
        clock,
        settings: watch::channel(settings_with(&journal, workers).await).1,
        can_list: watch::channel(Some(false)).1,
        meter: Arc::default(),
        disk_ok: watch::channel(true).1,
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(submit.run(stop.clone()));
    let counts = || journal.read_here(crate::journal::View::order_counts).unwrap();
    until("all orders have ended", || counts().ordered + counts().in_doubt == u64::from(orders)).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!((counts().ordered, counts().in_doubt), (u64::from(orders), 0), "{manners:?} {seen:?}");
    assert_eq!(seen.orders.load(Ordering::SeqCst), usize::try_from(orders).unwrap(), "{manners:?} {seen:?}");
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_answers_take_long_no_connection_carries_two_orders_and_none_leaves_a_doubt() {
    let manners = Manners { answers_in: Duration::from_millis(260), keeps: Duration::from_secs(60) };
    let seen = send(64, 8, manners).await;
    assert_eq!(seen.again.load(Ordering::SeqCst), 0, "{seen:?}");
    assert!(seen.connections.load(Ordering::SeqCst) >= 64, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_they_come_fast_connections_carry_many_orders_and_none_leaves_a_doubt() {
    let manners = Manners { answers_in: Duration::from_millis(10), keeps: Duration::from_secs(60) };
    // While one connection only is used again, twenty times, the seven others send about as many each.
    let seen = send(600, 8, manners).await;
    assert!(seen.again.load(Ordering::SeqCst) > 300, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_server_closes_while_they_wait_for_an_order_leave_no_doubt() {
    // What is opened as one wave of orders is answered has been closed when the next one is.
    let manners = Manners { answers_in: Duration::from_millis(300), keeps: Duration::from_millis(200) };
    let seen = send(48, 4, manners).await;
    assert!(seen.closed_unused.load(Ordering::SeqCst) > 0, "none was closed while it waited: {seen:?}");
    assert_eq!(seen.again.load(Ordering::SeqCst), 0, "{seen:?}");
}

//! Connections that are opened before the orders that use them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::server::{http, ok, read_request, write};
use super::*;
use crate::provider::Provider;

/// What a server does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// Answers every request on it.
    Answers,
    /// Answers with an error of its own.
    Fails,
    /// Closes it before there is a request.
    Closes,
    /// Says something before there is a request.
    Speaks,
    /// Lends it to the test.
    Lends,
}

/// What became of the n-th connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// It is open, and what its [`Door`] does unasked is done.
    Open(usize),
    /// A request came over it.
    Asked(usize),
    /// The client left it.
    Left(usize),
}

struct Server {
    address: SocketAddr,
    told: UnboundedReceiver<Told>,
    lent: UnboundedReceiver<std::net::TcpStream>,
}

impl Server {
    /// The n-th connection has the n-th door; all behind the last have the last.
    async fn start(doors: &'static [Door]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = unbounded_channel();
        let (lend, lent) = unbounded_channel();
        tokio::spawn(async move {
            for nth in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let door = *doors.get(nth).or(doors.last()).unwrap();
                if door == Door::Lends {
                    lend.send(stream.into_std().unwrap()).unwrap_or_default();
                    tell.send(Told::Open(nth)).unwrap_or_default();
                    continue;
                }
                tokio::spawn(serve(stream, nth, door, tell.clone()));
            }
        });
        Self { address, told, lent }
    }

    async fn next(&mut self) -> Told {
        tokio::time::timeout(Duration::from_secs(20), self.told.recv()).await.unwrap().unwrap()
    }
}

async fn serve(stream: TcpStream, nth: usize, door: Door, tell: UnboundedSender<Told>) {
    let say = |told| tell.send(told).unwrap_or_default();
    if door == Door::Speaks {
        write(&stream, http("408 Request Timeout", "", "").as_bytes()).await.unwrap();
    }
    if door == Door::Closes {
        drop(stream);
        return say(Told::Open(nth));
    }
    say(Told::Open(nth));
    while read_request(&stream).await.is_some() {
        say(Told::Asked(nth));
        let answer = match door {
            Door::Fails => http("503 Service Unavailable", "", ""),
            _ => ok(&taken(u64::try_from(nth).unwrap() + 1, ours())),
        };
        write(&stream, answer.as_bytes()).await.unwrap_or_default();
    }
    say(Told::Left(nth));
}

fn client(server: &Server, worth: Duration) -> GsmFusion {
    GsmFusion::opening_ahead(&at(server.address), &KEY.into(), clock(), worth).unwrap()
}

/// An order that uses no connection again.
fn apart() -> PlaceOrder {
    PlaceOrder { apart: true, ..order() }
}

/// Two orders, one after the other, so that a third one's connection is opened; returns once the server has it.
async fn third_is_opened(doors: &'static [Door]) -> (GsmFusion, Server) {
    let mut server = Server::start(doors).await;
    let client = client(&server, Duration::ZERO);
    for nth in 0..2 {
        assert_eq!(client.place(&apart()).await.outcome, Placed::Taken(id(nth + 1)));
    }
    while server.next().await != Told::Open(2) {}
    while client.ahead().0 == 0 {
        tokio::task::yield_now().await;
    }
    (client, server)
}

/// The order that goes now: its connection's number.
async fn place(client: &GsmFusion, server: &mut Server) -> usize {
    let placed = client.place(&apart()).await.outcome;
    loop {
        if let Told::Asked(nth) = server.next().await {
            assert_eq!(placed, Placed::Taken(id(u64::try_from(nth).unwrap() + 1)));
            return nth;
        }
    }
}

#[tokio::test]
async fn an_order_goes_over_the_connection_that_was_opened_for_it_and_none_carries_two() {
    let (client, mut server) = third_is_opened(&[Door::Answers]).await;
    let mut used = vec![0, 1];
    for _ in 2..40 {
        used.push(place(&client, &mut server).await);
    }
    assert_eq!(used[2], 2, "the one that waited");
    let orders = used.len();
    used.sort_unstable();
    used.dedup();
    assert_eq!(used.len(), orders, "one each");
    assert!(used.last().is_some_and(|last| *last < orders + 8), "a few ahead: {used:?}");
}

#[tokio::test]
async fn one_that_the_server_has_closed_or_spoken_on_is_not_used_and_leaves_no_doubt() {
    const CLOSES: &[Door] = &[Door::Answers, Door::Answers, Door::Closes, Door::Answers];
    const SPEAKS: &[Door] = &[Door::Answers, Door::Answers, Door::Speaks, Door::Answers];
    for doors in [CLOSES, SPEAKS] {
        let (client, mut server) = third_is_opened(doors).await;
        assert_eq!(place(&client, &mut server).await, 3, "{doors:?}");
    }
}

#[tokio::test]
async fn one_whose_end_the_runtime_has_not_heard_of_yet_is_not_used() {
    const LENDS: &[Door] = &[Door::Answers, Door::Answers, Door::Lends, Door::Answers];
    let (client, mut server) = third_is_opened(LENDS).await;
    // It has arrived, and nothing was awaited since.
    drop(server.lent.try_recv().unwrap());
    assert_eq!(place(&client, &mut server).await, 3);
}

#[tokio::test]
async fn one_that_is_not_used_is_closed_after_a_second() {
    let began = Instant::now();
    let (_client, mut server) = third_is_opened(&[Door::Answers]).await;
    while server.next().await != Told::Left(2) {}
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn none_is_opened_for_an_order_alone_nor_without_answers_nor_for_a_server_that_is_near() {
    const FAR: Duration = Duration::ZERO;
    const NEAR: Duration = Duration::from_secs(60);
    for (doors, orders, worth) in
        [(&[Door::Answers], 1, FAR), (&[Door::Fails], 4, FAR), (&[Door::Answers], 4, NEAR)]
    {
        let server = Server::start(doors).await;
        let client = client(&server, worth);
        for _ in 0..orders {
            client.place(&apart()).await;
            assert_eq!(client.ahead(), (0, 0), "{doors:?} {orders} {worth:?}");
        }
    }
}

#[tokio::test]
async fn the_client_of_the_daemon_opens_none_ahead_on_the_same_machine() {
    const ORDERS: usize = 20;
    let server = Server::start(&[Door::Answers]).await;
    let client = GsmFusion::new(&at(server.address), KEY.into(), clock()).unwrap();
    let mut ahead = 0;
    for _ in 0..ORDERS {
        client.place(&apart()).await;
        ahead += usize::from(client.ahead() != (0, 0));
    }
    // A busy machine may once in a while need so long that one is opened.
    assert!(ahead < ORDERS / 2, "{ahead} times");
}

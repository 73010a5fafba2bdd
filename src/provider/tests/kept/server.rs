//! A provider below HTTP whose every answer is the test's, and which knows over which connection it was asked.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::server::{ok, read_request, write};
use super::super::*;
use crate::provider::Provider;

/// A request that the test answers, byte for byte, or doesn't.
pub(super) struct Call {
    /// Its connection's number, from 0.
    pub(super) over: usize,
    pub(super) request: String,
    pub(super) stream: Arc<TcpStream>,
}

impl Call {
    pub(super) fn imei(&self) -> Imei {
        let imei = self.request.split(['\n', '&']).find_map(|part| part.strip_prefix("imei=")).unwrap();
        Imei::from_u64(imei.parse().unwrap()).unwrap()
    }

    fn is_for_account(&self) -> bool {
        self.request.contains("action=accountinfo")
    }

    /// "Taken", with an id of its own for every IMEI.
    pub(super) fn taken(&self) -> String {
        ok(&taken(self.imei().as_u64(), self.imei()))
    }

    pub(super) async fn write(&self, bytes: impl AsRef<[u8]>) {
        write(&self.stream, bytes.as_ref()).await.unwrap_or_default();
    }

    pub(super) async fn take(&self) {
        self.write(self.taken()).await;
    }

    /// Ends the connection.
    pub(super) fn close(&self) {
        rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Both).unwrap();
    }
}

/// An answer for the account to the fence, or none: the connection is closed.
pub(super) type Fence<'a> = Option<&'a str>;

pub(super) struct Server {
    calls: UnboundedReceiver<Call>,
    /// Connections that ended.
    pub(super) ended: UnboundedReceiver<usize>,
    client: Arc<GsmFusion>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = ProviderConfig { ..at(listener.local_addr().unwrap()) };
        let ((tell, calls), (end, ended)) = (unbounded_channel(), unbounded_channel());
        tokio::spawn(async move {
            for over in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, over, tell.clone(), end.clone()));
            }
        });
        Self { calls, ended, client: Arc::new(client(&config)) }
    }

    async fn call(&mut self) -> Call {
        timeout(Duration::from_secs(20), self.calls.recv()).await.unwrap().unwrap()
    }

    /// An order, and what `act` does with its request: what it came to, and the number of its connection.
    pub(super) async fn answers(
        &mut self,
        order: PlaceOrder,
        act: impl AsyncFnOnce(&Call),
    ) -> (Placed, usize) {
        let client = Arc::clone(&self.client);
        let answer = async {
            let call = self.call().await;
            act(&call).await;
            call.over
        };
        let (reply, over) = tokio::join!(client.place(&order), answer);
        (reply.outcome, over)
    }

    /// An order that is taken: the number of its connection.
    pub(super) async fn takes(&mut self, order: PlaceOrder) -> usize {
        let (placed, over) = self.answers(order, Call::take).await;
        assert!(matches!(placed, Placed::Taken(_)), "{placed:?}");
        over
    }

    /// Orders that are on their way at once, and are taken: the numbers of their connections.
    pub(super) async fn takes_at_once(&mut self, numbers: Range<u32>) -> HashSet<usize> {
        let mut placing = JoinSet::new();
        let mut calls = Vec::new();
        for number in numbers {
            let client = Arc::clone(&self.client);
            placing.spawn(async move { client.place(&order_no(number)).await.outcome });
            calls.push(self.call().await);
        }
        for call in &calls {
            call.take().await;
        }
        while let Some(placed) = placing.join_next().await {
            assert!(matches!(placed, Ok(Placed::Taken(_))), "{placed:?}");
        }
        calls.iter().map(|call| call.over).collect()
    }

    /// Two orders that were taken, the second over a connection that is kept: its number.
    pub(super) async fn keeps_one(&mut self) -> usize {
        self.takes(order_no(800)).await;
        self.takes(order_no(801)).await
    }

    /// An order over a connection that has carried another, which gets this answer; and the request behind it, should one come,
    /// that one. What it came to, and whether the request behind it asked for the account over the same connection.
    pub(super) async fn refuses(&mut self, first: &str, fence: Fence<'_>) -> (Placed, Option<bool>) {
        let kept = self.keeps_one().await;
        let client = Arc::clone(&self.client);
        let order = order_no(802);
        let (tell, told) = tokio::sync::oneshot::channel();
        let place = async {
            let outcome = client.place(&order).await.outcome;
            tell.send(()).unwrap_or_default();
            outcome
        };
        let answer = async {
            let call = self.call().await;
            assert_eq!(call.over, kept, "it isn't used again");
            call.write(first).await;
            let behind = tokio::select! {
                behind = self.call() => behind,
                _ = told => return None,
            };
            assert!(behind.is_for_account(), "{}", behind.request);
            match fence {
                Some(answer) => behind.write(answer).await,
                None => behind.close(),
            }
            Some(behind.over == kept)
        };
        tokio::join!(place, answer)
    }

    /// That no order goes over a connection that has carried another any more.
    pub(super) async fn keeps_none(&mut self) {
        let mut over = HashSet::new();
        for number in 900..905 {
            assert!(over.insert(self.takes(order_no(number)).await), "{over:?}");
        }
    }
}

async fn serve(stream: TcpStream, over: usize, tell: UnboundedSender<Call>, end: UnboundedSender<usize>) {
    let stream = Arc::new(stream);
    while let Some(request) = read_request(&stream).await {
        tell.send(Call { over, request, stream: Arc::clone(&stream) }).unwrap_or_default();
    }
    end.send(over).unwrap_or_default();
}

pub(super) fn order_no(number: u32) -> PlaceOrder {
    PlaceOrder { imei: Imei::from_parts(35_547_349, number), ..order() }
}

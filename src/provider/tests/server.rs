//! A server below HTTP: it counts what arrives at the socket, and fails in every way a server can.

use std::io::{ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What the server does once it has read a request.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Writes this and waits for the next request on the connection.
    Answer(String),
    /// Writes this and closes.
    Close(String),
    /// Writes this and resets the connection; a client may see either or both.
    Reset(String),
    /// Writes this and then nothing, until the client leaves.
    Stall(String),
    /// Writes this head and a body without an end, as long as the client takes it.
    Flood(String),
}

/// What arrived, and over how many connections.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Every request, head and body; one that broke off, too.
    pub(super) requests: Vec<String>,
    /// Connections, whether a request came or not.
    pub(super) connections: usize,
    /// Body bytes that [`Act::Flood`] got rid of.
    pub(super) flooded: usize,
}

struct State {
    seen: Mutex<Seen>,
    script: Vec<Act>,
    /// The connection from here is no client: it ends the server.
    last: Mutex<Option<SocketAddr>>,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Server {
    /// The n-th request gets the n-th act; all behind the last get the last.
    pub(super) async fn start(script: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { seen: Mutex::default(), script, last: Mutex::default() });
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, task }
    }

    /// Takes what is still waiting, waits until every client has left and tells what arrived. The client must have
    /// been dropped.
    pub(super) async fn finish(self) -> Seen {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        *self.state.last.lock().unwrap() = Some(socket.local_addr().unwrap());
        // Connections are accepted in order: whatever a client opened comes before this one.
        let _last = socket.connect(self.address).await.unwrap();
        self.task.await.unwrap();
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        if *state.last.lock().unwrap() == Some(peer) {
            break;
        }
        state.seen.lock().unwrap().connections += 1;
        connections.spawn(serve(stream, Arc::clone(&state)));
    }
    while let Some(ended) = connections.join_next().await {
        ended.unwrap();
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    while let Some(request) = read_request(&stream).await {
        let act = {
            let mut seen = state.seen.lock().unwrap();
            let act = state.script.get(seen.requests.len()).or(state.script.last()).unwrap().clone();
            seen.requests.push(request);
            act
        };
        match act {
            Act::Answer(bytes) => write(&stream, bytes.as_bytes()).await.unwrap_or_default(),
            Act::Close(bytes) => return write(&stream, bytes.as_bytes()).await.unwrap_or_default(),
            Act::Reset(bytes) => {
                write(&stream, bytes.as_bytes()).await.unwrap_or_default();
                return stream.set_zero_linger().unwrap();
            }
            Act::Stall(bytes) => {
                write(&stream, bytes.as_bytes()).await.unwrap_or_default();
                // More from the client counts as a request, its leaving ends this.
                while let Some(more) = read_request(&stream).await {
                    state.seen.lock().unwrap().requests.push(more);
                }
            }
            Act::Flood(head) => {
                write(&stream, head.as_bytes()).await.unwrap();
                while write(&stream, &[b'x'; 4096]).await.is_ok() {
                    state.seen.lock().unwrap().flooded += 4096;
                }
            }
        }
    }
}

/// One request, head and body, or what came of it; `None` where the client left.
pub(crate) async fn read_request(stream: &TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while !is_whole(&bytes) {
        stream.readable().await.unwrap();
        match stream.try_read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        body.len() >= length.unwrap().parse::<usize>().unwrap()
    })
}

pub(crate) async fn write(stream: &TcpStream, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A whole answer with this status, these header lines (each with its line end) and this body.
pub(super) fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

/// HTTP 200 with this body.
pub(crate) fn ok(body: &str) -> String {
    http("200 OK", "content-type: text/xml\r\n", body)
}

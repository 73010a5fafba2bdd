//! A server below HTTP, before the simulator or in its place: what it reads, answers and breaks off is the test's to say,
//! byte for byte.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::Sim;

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    KeepOpen,
    Close,
}

/// A connection, as it is or in TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// What a server on loopback proves itself with, and the certificate to trust it by.
pub(crate) struct Tls {
    config: Arc<ServerConfig>,
    pub(crate) certificate_pem: String,
}

impl Tls {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config =
            config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
        Self { config: Arc::new(config), certificate_pem: made.cert.pem() }
    }
}

/// Connections that carried an order and are open, and since when each lies idle; `None`: a request is on its way over it.
#[derive(Clone, Default)]
struct Idle(Arc<Mutex<BTreeMap<u64, Option<Instant>>>>);

impl Idle {
    /// One more connection.
    fn add(&self) -> u64 {
        let mut open = self.0.lock().unwrap();
        let number = open.last_key_value().map_or(0, |(last, _)| last + 1);
        open.insert(number, None);
        number
    }

    fn set(&self, connection: u64, since: Option<Instant>) {
        self.0.lock().unwrap().insert(connection, since);
    }

    fn remove(&self, connection: u64) {
        self.0.lock().unwrap().remove(&connection);
    }
}

type Serve = Arc<dyn Fn(TcpStream) + Send + Sync>;

/// Listens on loopback until it is closed or dropped; one thread a connection, which ends when its client leaves.
pub(crate) struct Front {
    address: SocketAddr,
    serve: Serve,
    /// What the kernel takes for a connection that isn't read from, in bytes, as far as the test says so.
    receives: Option<usize>,
    idle: Idle,
    closing: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Front {
    /// Every connection is `serve`'s.
    pub(crate) fn raw(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::receiving(None, serve)
    }

    /// [`Front::raw`] whose kernel takes so many bytes for a connection that isn't read from.
    pub(crate) fn receiving(
        receives: Option<usize>,
        serve: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let mut front = Self {
            address: "127.0.0.1:0".parse().unwrap(),
            serve: Arc::new(serve),
            receives,
            idle: Idle::default(),
            closing: Arc::default(),
            accepting: None,
        };
        front.open();
        front
    }

    /// Reads whole requests, one after the other on a connection, and hands each to `handle`, which may ask `sim`.
    pub(crate) fn before(
        sim: &Sim,
        handle: impl Fn(&mut Exchange<'_>) -> Then + Send + Sync + 'static,
    ) -> Self {
        Self::behind(sim, Stream::Plain, handle)
    }

    /// [`Front::before`], over TLS.
    pub(crate) fn before_over_tls(
        sim: &Sim,
        tls: &Tls,
        handle: impl Fn(&mut Exchange<'_>) -> Then + Send + Sync + 'static,
    ) -> Self {
        let config = Arc::clone(&tls.config);
        let over = move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            Stream::Tls(Box::new(StreamOwned::new(connection, stream)))
        };
        Self::behind(sim, over, handle)
    }

    fn behind(
        sim: &Sim,
        over: impl Fn(TcpStream) -> Stream + Send + Sync + 'static,
        handle: impl Fn(&mut Exchange<'_>) -> Then + Send + Sync + 'static,
    ) -> Self {
        let behind = sim.url().strip_prefix("http://").unwrap().to_owned();
        let lie = Idle::default();
        let idle = lie.clone();
        let mut front = Self::raw(move |stream| {
            stream.set_nodelay(true).unwrap();
            let (mut stream, mut carries) = (over(stream), None);
            let mut since = Instant::now();
            for nth in 0.. {
                let Some(request) = read_request(&mut stream) else { break };
                let idle = since.elapsed();
                let mut exchange = Exchange { stream: &mut stream, request, nth, idle, behind: &behind };
                if carries.is_none() && exchange.is_order() {
                    carries = Some(lie.add());
                }
                carries.into_iter().for_each(|connection| lie.set(connection, None));
                if handle(&mut exchange) == Then::Close {
                    break;
                }
                since = Instant::now();
                carries.into_iter().for_each(|connection| lie.set(connection, Some(since)));
            }
            carries.into_iter().for_each(|connection| lie.remove(connection));
        });
        front.idle = idle;
        front
    }

    /// Whether every connection that carried an order and is still open lies idle for so long.
    pub(crate) fn is_idle_for(&self, time: Duration) -> bool {
        let open = self.idle.0.lock().unwrap();
        open.values().all(|since| since.is_some_and(|since| since.elapsed() >= time))
    }

    /// Listens, after [`Front::close`] on the same port again.
    pub(crate) fn open(&mut self) {
        let listener = TcpListener::bind(self.address).unwrap();
        self.address = listener.local_addr().unwrap();
        if let Some(bytes) = self.receives {
            rustix::net::sockopt::set_socket_recv_buffer_size(&listener, bytes).unwrap();
        }
        self.closing.store(false, Ordering::SeqCst);
        let (serve, closing) = (Arc::clone(&self.serve), Arc::clone(&self.closing));
        self.accepting = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if closing.load(Ordering::SeqCst) {
                    return;
                }
                let serve = Arc::clone(&serve);
                let stream = stream.unwrap();
                std::thread::spawn(move || serve(stream));
            }
        }));
    }

    /// Nothing is listened on any more: who connects is refused. What is connected goes on.
    pub(crate) fn close(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        self.closing.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        accepting.join().unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn https_url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.close();
    }
}

/// A request that came whole, and the connection it came over.
pub(crate) struct Exchange<'a> {
    stream: &'a mut Stream,
    request: Vec<u8>,
    /// How many came over this connection before.
    pub(crate) nth: usize,
    /// How long the connection had lain idle.
    pub(crate) idle: Duration,
    behind: &'a str,
}

impl Exchange<'_> {
    /// A parameter of the form as it was sent; empty where it wasn't.
    pub(crate) fn param(&self, name: &str) -> &str {
        let body = std::str::from_utf8(body_of(&self.request)).unwrap();
        let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next().unwrap_or_default()
    }

    pub(crate) fn is_order(&self) -> bool {
        self.param("action") == "placeorder"
    }

    /// Hands the request to the simulator: its answer's body.
    pub(crate) fn ask(&self) -> String {
        self.ask_for_any().expect("the simulator has no fault in its answers here")
    }

    /// [`Exchange::ask`]; `None` where the simulator breaks off without an answer.
    fn ask_for_any(&self) -> Option<String> {
        let mut stream = TcpStream::connect(self.behind).unwrap();
        let line = self.request.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        stream.write_all(&self.request[..line]).unwrap();
        stream.write_all(b"connection: close\r\n").unwrap();
        stream.write_all(&self.request[line..]).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        (!answer.is_empty()).then(|| String::from_utf8(body_of(&answer).to_vec()).unwrap())
    }

    /// Writes as it is; whether the client took it.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush()).is_ok()
    }

    /// The simulator's own answer, and the connection stays open; without one it closes.
    pub(crate) fn relay(&mut self) -> Then {
        match self.ask_for_any() {
            Some(answer) if self.write(ok(&answer)) => Then::KeepOpen,
            _ => Then::Close,
        }
    }

    /// Closes by a reset instead of an end.
    pub(crate) fn reset(&self) -> Then {
        rustix::net::sockopt::set_socket_linger(self.stream.socket(), Some(Duration::ZERO)).unwrap();
        Then::Close
    }

    /// Closes the connection when nothing has come over it for so long.
    pub(crate) fn close_when_idle_for(&self, time: Duration) {
        self.stream.socket().set_read_timeout(Some(time)).unwrap();
    }
}

/// HTTP 200 with this body.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// One request; `None` where the client left before it was whole.
fn read_request(stream: &mut Stream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while !is_whole(&bytes) {
        match stream.read(&mut chunk) {
            Ok(0) => return None,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(bytes)
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        body.len() >= length.unwrap().parse::<usize>().unwrap()
    })
}

fn body_of(message: &[u8]) -> &[u8] {
    let end = message.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    &message[end..]
}

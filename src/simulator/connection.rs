//! A TCP connection that can be made to break: a server library always answers, so the break is made below it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const WHOLE: usize = usize::MAX;
const NOTHING: usize = usize::MAX - 1;

/// A connection's breaker: says how much of what the server writes from now on gets through. The connection
/// closes at the first byte that doesn't.
#[derive(Clone, Debug)]
pub(super) struct Breaker(Arc<AtomicUsize>);

impl Breaker {
    /// Lets nothing through: the client sees the connection close without a byte.
    pub(super) fn close(&self) {
        self.0.store(NOTHING, Ordering::Release);
    }

    /// Lets the next answer's head and this many bytes of its body through.
    pub(super) fn cut_body_after(&self, bytes: usize) {
        self.0.store(bytes.min(NOTHING - 1), Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, BreakableListener>> for Breaker {
    fn connect_info(stream: IncomingStream<'_, BreakableListener>) -> Self {
        stream.io().breaker.clone()
    }
}

/// Accepts [`BreakableStream`]s.
pub(super) struct BreakableListener(pub(super) TcpListener);

impl Listener for BreakableListener {
    type Io = BreakableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (tcp, peer) = Listener::accept(&mut self.0).await;
        // Without it the kernel may hold a small answer back for 40 ms; failing to set it costs only that.
        let _ = tcp.set_nodelay(true);
        (BreakableStream { tcp, breaker: Breaker(Arc::new(AtomicUsize::new(WHOLE))), left: None }, peer)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// A connection with a [`Breaker`].
pub(super) struct BreakableStream {
    tcp: TcpStream,
    breaker: Breaker,
    /// How many more bytes get through, once a cut answer's head has been seen.
    left: Option<usize>,
}

impl BreakableStream {
    /// How many of these bytes get through.
    fn allowed(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let broken = || io::Error::from(io::ErrorKind::ConnectionAborted);
        let left = match self.breaker.0.load(Ordering::Acquire) {
            WHOLE => return Ok(bytes.len()),
            NOTHING => return Err(broken()),
            body => *self.left.get_or_insert_with(|| {
                let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |at| at + 4);
                head.saturating_add(body)
            }),
        };
        if left == 0 { Err(broken()) } else { Ok(left.min(bytes.len())) }
    }
}

impl AsyncRead for BreakableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for BreakableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let allowed = match self.allowed(bytes) {
            Ok(allowed) => allowed.min(bytes.len()),
            Err(error) => return Poll::Ready(Err(error)),
        };
        let bytes = bytes.get(..allowed).unwrap_or_default();
        let written = Pin::new(&mut self.tcp).poll_write(context, bytes);
        if let (Poll::Ready(Ok(written)), Some(left)) = (&written, &mut self.left) {
            *left = left.saturating_sub(*written);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.breaker.0.load(Ordering::Acquire) == WHOLE {
            return Pin::new(&mut self.tcp).poll_write_vectored(context, buffers);
        }
        let first = buffers.iter().find(|buffer| !buffer.is_empty());
        self.poll_write(context, first.map_or(&[], |buffer| buffer))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

//! Requests and answers as HTTP: the two clients, reading a body up to a limit, and what errors are called.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use hyper::body::{Body, Bytes, Incoming};
use reqwest::header::{CONNECTION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Proxy, StatusCode, Version};
use tokio::time::{Instant, timeout_at};

use super::client::ClientError;
use super::retry_after;
use super::secret::Key;
use crate::config::ProviderConfig;
use crate::types::Timestamp;

/// How long a connection of the reading client may lie idle and be used again: its calls can be made again.
const READING_IDLE: Duration = Duration::from_secs(30);

/// Room is made for so much of a body before it comes.
const BELIEVED_BYTES: usize = 1 << 20;

/// What a request's body is.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// How the client calls itself.
pub(super) const USER_AGENT: &str = concat!("imeid/", env!("CARGO_PKG_VERSION"));

/// What the paid and the reading client have in common: they send a request once, to the address they were given.
///
/// No redirects (a followed 307 sends the body again), no retries, no HTTP/2 (whose refused streams a library may send
/// again), no proxy but the configured one. `TCP_USER_TIMEOUT` keeps the kernel from sending on after we gave up.
fn builder(config: &ProviderConfig) -> Result<ClientBuilder, ClientError> {
    let builder = common(config)?;
    let Some(path) = &config.ca_file else { return Ok(builder) };
    let wrong = |reason: String| ClientError::CaFile { path: path.clone(), reason };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let roots = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(chain(&error)))?;
    if roots.is_empty() {
        return Err(wrong("there is no certificate in it".to_owned()));
    }
    Ok(builder.tls_certs_merge(roots))
}

/// A client like the others that trusts nobody, for it connects by another's means: root certificates are read from the disk,
/// and are large.
pub(super) fn without_roots(config: &ProviderConfig) -> Result<ClientBuilder, ClientError> {
    Ok(common(config)?.tls_certs_only([]))
}

/// What they have in common but for whom they trust.
fn common(config: &ProviderConfig) -> Result<ClientBuilder, ClientError> {
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .http1_only()
        .no_proxy()
        .referer(false)
        .user_agent(USER_AGENT)
        .connect_timeout(config.connect_timeout)
        .timeout(config.timeout)
        .tcp_nodelay(true)
        .local_address(config.bind);
    #[cfg(target_os = "linux")]
    {
        builder = builder.tcp_user_timeout(config.timeout);
    }
    if let Some(proxy) = &config.proxy {
        // The address may hold a password: only the cause is told.
        let proxy = Proxy::all(proxy).map_err(|error| ClientError::Proxy(chain(&error.without_url())))?;
        builder = builder.proxy(proxy);
    }
    Ok(builder)
}

/// The client for `placeorder`, before it is built: each order has a connection of its own, so that what arrives there is its
/// answer and no other's. The price is a handshake an order, most of it made [`ahead`](super::ahead). Where that is too dear,
/// connections are used again by the rules of [`kept`](super::kept).
pub(super) fn paid(config: &ProviderConfig) -> Result<ClientBuilder, ClientError> {
    Ok(builder(config)?.pool_max_idle_per_host(0))
}

/// The client for the calls that only read, before it is built.
pub(super) fn reading(config: &ProviderConfig) -> Result<ClientBuilder, ClientError> {
    Ok(builder(config)?.pool_idle_timeout(READING_IDLE))
}

/// An answer that began: its status came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub http: u16,
    /// `Retry-After`, where it said so.
    pub retry_after: Option<Duration>,
    /// The body as far as it was read, without the key.
    pub body: Vec<u8>,
    /// How it ended.
    pub end: BodyEnd,
}

/// An answer, and what it says of its connection.
pub(super) struct Heard {
    pub(super) answer: Answer,
    /// The connection may carry another request.
    pub(super) stays_open: bool,
}

/// No answer began.
#[derive(Debug)]
pub(super) struct Silence {
    /// Why, without the key.
    pub(super) why: String,
    /// A byte of the request may have left.
    pub(super) may_be_sent: bool,
}

/// How a body ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// As HTTP says that it ends.
    Whole,
    /// It went on behind this many bytes, and was left there.
    TooLarge(usize),
    /// The connection broke; in the library's words.
    Broken(String),
    /// It wasn't there in time.
    TimedOut(Duration),
}

impl fmt::Display for BodyEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("the body came whole"),
            Self::TooLarge(limit) => write!(f, "the body is larger than {limit} bytes"),
            Self::Broken(why) => write!(f, "the body broke off: {why}"),
            Self::TimedOut(after) => write!(f, "the body wasn't there within {after:?}"),
        }
    }
}

/// An answer that begins.
pub(super) enum Began {
    /// To a request of the library's client.
    Library(reqwest::Response),
    /// To one over a connection of our own.
    Own(hyper::Response<Incoming>),
}

impl Began {
    fn status(&self) -> StatusCode {
        match self {
            Self::Library(answer) => answer.status(),
            Self::Own(answer) => answer.status(),
        }
    }

    fn headers(&self) -> &HeaderMap {
        match self {
            Self::Library(answer) => answer.headers(),
            Self::Own(answer) => answer.headers(),
        }
    }

    /// Whether the server means to leave the connection open behind this answer, as far as its head tells.
    pub(super) fn stays_open(&self) -> bool {
        let version = match self {
            Self::Library(answer) => answer.version(),
            Self::Own(answer) => answer.version(),
        };
        let closes = |value: &HeaderValue| {
            value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("close"))
        };
        version == Version::HTTP_11 && !self.headers().get_all(CONNECTION).iter().any(closes)
    }

    /// How many bytes its body has, as its head tells.
    fn told_length(&self) -> usize {
        let length = match self {
            Self::Library(answer) => answer.content_length(),
            Self::Own(answer) => answer.body().size_hint().exact(),
        };
        length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0)
    }

    /// What comes next of its body. The error: why nothing more comes; `None`: it wasn't there in time.
    async fn chunk(&mut self) -> Result<Option<Bytes>, Option<String>> {
        match self {
            Self::Library(answer) => answer
                .chunk()
                .await
                .map_err(|error| (!error.is_timeout()).then(|| chain(&error.without_url()))),
            Self::Own(answer) => loop {
                let body = answer.body_mut();
                match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
                    Some(Ok(frame)) => {
                        // What isn't a piece of the body stands behind it.
                        if let Ok(chunk) = frame.into_data() {
                            return Ok(Some(chunk));
                        }
                    }
                    Some(Err(error)) => return Err(Some(chain(&error))),
                    None => return Ok(None),
                }
            },
        }
    }
}

/// Reads an answer, at most `limit` bytes of its body, until the call is over: when, and how long it may have taken then.
pub(super) async fn read(
    mut answer: Began,
    limit: usize,
    (over, timeout): (Instant, Duration),
    now: Timestamp,
    key: &Key,
) -> Answer {
    let http = answer.status().as_u16();
    let header = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(|value| retry_after::parse(value, now));
    // What the head tells needn't be so.
    let mut body = Vec::with_capacity(answer.told_length().min(limit).min(BELIEVED_BYTES));
    let end = match timeout_at(over, read_body(&mut answer, &mut body, limit)).await {
        Ok(Ok(end)) => end,
        Err(_) | Ok(Err(None)) => BodyEnd::TimedOut(timeout),
        Ok(Err(Some(why))) => BodyEnd::Broken(key.redact(&why)),
    };
    let body = key.redact_body(body, end == BodyEnd::Whole);
    Answer { http, retry_after, body, end }
}

async fn read_body(answer: &mut Began, body: &mut Vec<u8>, limit: usize) -> Result<BodyEnd, Option<String>> {
    while let Some(chunk) = answer.chunk().await? {
        let room = limit.saturating_sub(body.len());
        match chunk.get(..room) {
            Some(head) if head.len() < chunk.len() => {
                body.extend_from_slice(head);
                return Ok(BodyEnd::TooLarge(limit));
            }
            _ => body.extend_from_slice(&chunk),
        }
    }
    Ok(BodyEnd::Whole)
}

/// A body as text: UTF-8 where it is that, else Windows-1252, in which every byte is a character. A byte order mark
/// comes off.
pub(super) fn decode(body: &[u8]) -> Cow<'_, str> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match std::str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(body).0,
    }
}

/// Why no answer came, without the address: a time-out in our words, else the error and its causes.
pub(super) fn describe(error: reqwest::Error, config: &ProviderTimes, key: &Key) -> String {
    if error.is_timeout() && error.is_connect() {
        format!("no connection within {:?}", config.connect)
    } else if error.is_timeout() {
        timed_out(config)
    } else {
        key.redact(&chain(&error.without_url()))
    }
}

/// That no answer began in time.
pub(super) fn timed_out(config: &ProviderTimes) -> String {
    format!("timed out after {:?}", config.request)
}

/// The limits of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProviderTimes {
    pub(super) connect: Duration,
    pub(super) request: Duration,
}

/// An error and its causes, each once.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.ends_with(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words
}

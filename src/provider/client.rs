//! The client for GSM Fusion's ordering API (PROVIDER.md): one call, sent once, and what its answer proves.

use std::fmt;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, ClientBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::ahead::{self, Ahead};
use super::kept::{Kept, Lane};
use super::secret::Key;
use super::wire::{self, Answer, Began, Heard, ProviderTimes, Silence};
use super::{BoxFuture, PlaceOrder, Provider, listing};
use crate::clock::Clock;
use crate::config::ProviderConfig;
use crate::types::{AccountInfo, CallError, Placed, ProviderOrder, ProviderOrderId, ProviderService, Reply};

/// Bytes of one answer that are read, but for lists.
pub(super) const ANSWER_LIMIT_BYTES: usize = 1 << 20;
/// Bytes of a list (`getimeis`, `imeiservices`) that are read.
const LIST_LIMIT_BYTES: usize = 64 << 20;
/// Room for what a form has behind the account, as a rule: an order's action, IMEI and service.
const USUAL_FORM_BYTES: usize = 96;

/// The parameters that are the client's own to set.
const RESERVED: [&str; 5] = ["apikey", "userid", "action", "imei", "networkid"];

/// Why a client could not be made. No text of it holds the API key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// `base_url` is no address of a web server.
    #[error("base_url is no http:// or https:// address: {0}")]
    BaseUrl(String),
    /// `base_url` is the one that the shipped configuration has, or another that is nobody's.
    #[error("base_url {0} is still the example's: write your provider's address")]
    Placeholder(String),
    /// The API key is empty or can't be one.
    #[error("the API key is empty or holds blanks or characters that no key has")]
    Key,
    /// `ca_file` can't be used.
    #[error("ca_file {}: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// `proxy` is no address of a proxy.
    #[error("proxy: {0}")]
    Proxy(String),
    /// TLS can't be set up. The library's words; most often the machine has no CA certificates.
    #[error("the HTTP client can't be set up: {0} (is the package ca-certificates installed?)")]
    Setup(String),
}

/// GSM Fusion's ordering API at one reseller's site, for one account.
///
/// Holds two HTTP clients: one for the paid call, one for those that only read. Neither ever sends a request twice,
/// follows a redirect or asks the environment for a proxy. A third opens connections for the first, and sends nothing. Where
/// answers come fast, orders go over connections that are used again, with no client around them.
pub struct GsmFusion {
    pub(super) paid: Client,
    pub(super) ahead: Option<Ahead>,
    pub(super) kept: Option<Kept>,
    reading: Client,
    endpoint: Url,
    base_url: String,
    user_id: String,
    pub(super) key: Key,
    /// What each request's form begins with: the key and the user, encoded.
    account: SecretString,
    times: ProviderTimes,
    clock: Clock,
    /// Rings with each call that found the provider at work, and the account taken.
    passed: watch::Sender<()>,
}

impl GsmFusion {
    /// A client for this account. Connects to nothing yet; reads `ca_file`. The clock is for `Retry-After` dates.
    ///
    /// # Errors
    /// A [`ClientError`] where the configuration or the key can't be used.
    pub fn new(config: &ProviderConfig, api_key: SecretString, clock: Clock) -> Result<Self, ClientError> {
        Self::opening_ahead(config, &api_key, clock, ahead::WORTH)
    }

    /// One that opens connections ahead where that takes at least `worth`: tests do it on one machine too.
    pub(crate) fn opening_ahead(
        config: &ProviderConfig,
        api_key: &SecretString,
        clock: Clock,
        worth: Duration,
    ) -> Result<Self, ClientError> {
        let opens = Some((wire::paid(config)?, worth));
        Self::with_paid(config, api_key, clock, wire::paid(config)?, opens)
    }

    /// With another client for the paid call: the tests plant a bad one, to see that they would notice. `opens`: what opens
    /// connections for it, and where; `None`: it opens them itself, one for each order.
    pub(super) fn with_paid(
        config: &ProviderConfig,
        api_key: &SecretString,
        clock: Clock,
        paid: ClientBuilder,
        opens: Option<(ClientBuilder, Duration)>,
    ) -> Result<Self, ClientError> {
        let setup = |error: reqwest::Error| ClientError::Setup(wire::chain(&error));
        let key = Key::new(api_key).ok_or(ClientError::Key)?;
        let endpoint = endpoint(&config.base_url)?;
        let (paid, ahead, kept) = match opens {
            Some((opens, worth)) => {
                let (paid, ahead) = Ahead::of(paid, opens, endpoint.clone(), worth).map_err(setup)?;
                let like = config.clone();
                let (paid, kept) = Kept::of(paid, move || wire::without_roots(&like).ok(), &endpoint);
                // A proxy that passes on what isn't encrypted wants to be asked in its own way.
                let kept = kept.filter(|_| config.proxy.is_none() || endpoint.scheme() == "https");
                (paid, Some(ahead), kept)
            }
            None => (paid, None, None),
        };
        let account = form_urlencoded::Serializer::new(String::new())
            .append_pair("apiKey", key.expose())
            .append_pair("userId", &config.user_id)
            .finish();
        Ok(Self {
            key,
            account: account.into(),
            endpoint,
            base_url: config.base_url.clone(),
            paid: paid.build().map_err(setup)?,
            ahead,
            kept,
            reading: wire::reading(config)?.build().map_err(setup)?,
            user_id: config.user_id.clone(),
            times: ProviderTimes { connect: config.connect_timeout, request: config.timeout },
            clock,
            passed: watch::Sender::default(),
        })
    }

    /// Changes with each call that shows that the provider can be reached and takes the account.
    #[must_use]
    pub fn passed(&self) -> watch::Receiver<()> {
        self.passed.subscribe()
    }

    /// Sends one request and reads what comes.
    pub(super) async fn call(
        &self,
        client: &Client,
        action: &str,
        params: &[(&str, &str)],
        limit_bytes: usize,
    ) -> Result<Heard, Silence> {
        let request = client
            .post(self.endpoint.clone())
            .header(CONTENT_TYPE, wire::FORM)
            .body(self.form(action, params));
        let sends = async { request.send().await.map(Began::Library).map_err(|error| self.silence(error)) };
        self.hear(action, limit_bytes, pin!(sends)).await
    }

    /// [`call`](Self::call), over this connection.
    pub(super) async fn call_over(
        &self,
        kept: &Kept,
        lane: &mut Lane,
        action: &str,
        params: &[(&str, &str)],
    ) -> Result<Heard, Silence> {
        let form = self.form(action, params);
        let sends = async {
            kept.send(lane, form).await.map(Began::Own).map_err(|mut silence| {
                silence.why = self.key.redact(&silence.why);
                silence
            })
        };
        self.hear(action, ANSWER_LIMIT_BYTES, pin!(sends)).await
    }

    /// What is sent with a request.
    fn form(&self, action: &str, params: &[(&str, &str)]) -> String {
        let account = self.account.expose_secret();
        let mut form = String::with_capacity(account.len().saturating_add(USUAL_FORM_BYTES));
        form.push_str(account);
        form_urlencoded::Serializer::for_suffix(form, 0)
            .append_pair("action", action)
            .extend_pairs(params)
            .finish()
    }

    /// Waits until the request is sent and its answer begins, and reads that, for as long as a call may take. What sends it stays
    /// where its caller has it: moved here it would make each call twice as large.
    async fn hear(
        &self,
        action: &str,
        limit_bytes: usize,
        sends: Pin<&mut impl Future<Output = Result<Began, Silence>>>,
    ) -> Result<Heard, Silence> {
        let within = self.times.request;
        // A slow provider isn't a stage that hangs.
        crate::pulse::within(within);
        let began = Instant::now();
        let over = began + within;
        let sent = timeout_at(over, sends).await;
        let sent =
            sent.unwrap_or_else(|_| Err(Silence { why: wire::timed_out(&self.times), may_be_sent: true }));
        let response = match sent {
            Ok(response) => response,
            Err(silence) => {
                // Its words come with what becomes of the call: they may hold what the server sent.
                let may_be_sent = silence.may_be_sent;
                tracing::debug!(action, ms = millis(began), may_be_sent, "call without an answer");
                return Err(silence);
            }
        };
        let stays_open = response.stays_open();
        let answer = wire::read(response, limit_bytes, (over, within), self.clock.now(), &self.key).await;
        let (http, bytes) = (answer.http, answer.body.len());
        tracing::debug!(action, http, ms = millis(began), bytes, end = %answer.end, "call");
        Ok(Heard { answer, stays_open })
    }

    /// What an error of the library's proves: a builder's comes before there is a connection, a connection's before there is a
    /// request on it.
    pub(super) fn silence(&self, error: reqwest::Error) -> Silence {
        let may_be_sent = !(error.is_connect() || error.is_builder());
        Silence { why: wire::describe(error, &self.times, &self.key), may_be_sent }
    }

    /// How many connections wait for orders, and how many are being opened.
    #[cfg(test)]
    pub(super) fn ahead(&self) -> (usize, usize) {
        self.ahead.as_ref().map_or((0, 0), Ahead::there_are)
    }

    async fn read(&self, action: &str, params: &[(&str, &str)], limit: usize) -> Result<Answer, CallError> {
        match self.call(&self.reading, action, params, limit).await {
            Ok(heard) => Ok(heard.answer),
            Err(silence) => Err(CallError::Unreachable(silence.why)),
        }
    }

    async fn list(&self, params: &[(&str, &str)]) -> Result<Vec<ProviderOrder>, CallError> {
        listing::orders(&self.read("getimeis", params, LIST_LIMIT_BYTES).await?)
    }

    /// PROVIDER: some installs list all recent orders when `orderIds` is left out *or* `0`. It is left out first;
    /// where that is refused or gives nothing, `0` is tried, and if that is refused too the first answer stands.
    async fn list_recent(&self) -> Result<Vec<ProviderOrder>, CallError> {
        let left_out = self.list(&[]).await;
        match &left_out {
            Ok(orders) if !orders.is_empty() => return left_out,
            Ok(_) | Err(CallError::InvalidOrderId | CallError::Refused(_)) => {}
            Err(_) => return left_out,
        }
        match self.list(&[("orderIds", "0")]).await {
            Err(CallError::InvalidOrderId | CallError::Refused(_)) => left_out,
            zero => zero,
        }
    }

    pub(super) fn tell_passed(&self, passed: bool) {
        if passed {
            self.passed.send_replace(());
        }
    }
}

impl Provider for GsmFusion {
    fn address(&self) -> Option<&str> {
        Some(&self.base_url)
    }

    fn place<'a>(&'a self, order: &'a PlaceOrder) -> BoxFuture<'a, Reply<Placed>> {
        Box::pin(self.place_one(order))
    }

    fn orders<'a>(
        &'a self,
        ids: &'a [ProviderOrderId],
    ) -> BoxFuture<'a, Result<Vec<ProviderOrder>, CallError>> {
        Box::pin(async move {
            // Without an id the provider may list everything: that is another question.
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            let told = self.list(&[("orderIds", &ids.join(","))]).await;
            self.tell_passed(told.as_ref().is_ok_and(|orders| !orders.is_empty()));
            told
        })
    }

    fn recent(&self) -> BoxFuture<'_, Result<Vec<ProviderOrder>, CallError>> {
        Box::pin(self.list_recent())
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<ProviderService>, CallError>> {
        Box::pin(async { listing::services(&self.read("imeiservices", &[], LIST_LIMIT_BYTES).await?) })
    }

    fn account(&self) -> BoxFuture<'_, Result<AccountInfo, CallError>> {
        Box::pin(async {
            let told = listing::account(&self.read("accountinfo", &[], ANSWER_LIMIT_BYTES).await?);
            self.tell_passed(told.is_ok());
            told
        })
    }
}

/// Names the host and the user, never the key.
impl fmt::Debug for GsmFusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GsmFusion")
            .field("host", &self.endpoint.host_str())
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

fn millis(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn endpoint(base_url: &str) -> Result<Url, ClientError> {
    let wrong = |why: &str| ClientError::BaseUrl(why.to_owned());
    let mut url = Url::parse(base_url).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("its scheme is another"));
    }
    if is_placeholder(&url) {
        return Err(ClientError::Placeholder(base_url.to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a query or a fragment"));
    }
    let mut path = url.path_segments_mut().map_err(|()| wrong("it has no host"))?;
    path.pop_if_empty().extend(["gsmfusion_api", "index.php"]);
    drop(path);
    Ok(url)
}

/// A host that stands for any, and is nobody's provider (RFC 2606): the key would go to a stranger. One under `.invalid` is
/// found nowhere.
fn is_placeholder(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let names = ["example.com", "example.net", "example.org", "example"];
    let is_of = |name| host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    names.into_iter().any(is_of)
}

/// Whether a service may set this parameter. PHP reads `imei[]`, `imei.` or ` imei` as `imei`, so nothing but
/// letters, digits and `_` is let through, and the client's own names in no case.
pub(super) fn is_free(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !RESERVED.contains(&name.to_ascii_lowercase().as_str())
}

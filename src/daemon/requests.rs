//! Carries out what operators say: requests that commands left in the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::journal::{Journal, JournalError, Mark, Said, Seen, View};
use crate::provider::Provider;
use crate::pulse;
use crate::settings::Settings;
use crate::types::{CallError, ProviderOrder, ProviderOrderId};
use crate::words;

/// A command waits for its answer: it is looked for well within the two seconds that are promised.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The provider is waited for so long: the command that asks waits a minute.
const ASK_FOR: Duration = Duration::from_secs(30);
/// The most characters of a package's title that are told.
const TITLE_CHARS: usize = 80;

/// What requests are carried out with.
pub(super) struct Requests {
    pub(super) journal: Journal,
    /// Who is asked about an order id before it is believed.
    pub(super) provider: Arc<dyn Provider>,
    pub(super) clock: Clock,
    pub(super) settings: watch::Receiver<Arc<Settings>>,
}

/// Order ids that the provider is being asked about, so that no other word waits for it.
#[derive(Default)]
struct Asking {
    calls: JoinSet<(i64, Seen)>,
    /// The requests that they are for.
    asked: BTreeSet<i64>,
    told: BTreeMap<i64, Seen>,
}

impl Asking {
    /// What the provider told for this request. `None`: it is being asked.
    fn seen(&mut self, request: i64, id: ProviderOrderId, provider: &Arc<dyn Provider>) -> Option<Seen> {
        if let Some(seen) = self.told.remove(&request) {
            self.asked.remove(&request);
            return Some(seen);
        }
        if self.asked.insert(request) {
            let provider = Arc::clone(provider);
            self.calls.spawn(async move { (request, ask(provider.as_ref(), id).await) });
        }
        None
    }

    /// Waits for the next answer; for ever where none is to come.
    async fn heard(&mut self) {
        match self.calls.join_next().await {
            Some(Ok((request, seen))) => {
                self.told.insert(request, seen);
            }
            // A call that broke off: all that wait are asked about anew.
            Some(Err(_)) => *self = Self::default(),
            None => std::future::pending().await,
        }
    }
}

impl Requests {
    /// Carries requests out until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut asking = Asking::default();
        let mut looked = Mark::default();
        loop {
            if let Err(error) = self.unit(&mut asking, &mut looked).await {
                looked = Mark::default();
                tracing::warn!("what an operator said can't be carried out yet, trying again: {error}");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = asking.heard() => looked = Mark::default(),
                () = pulse::tick(LOOK_EVERY) => {}
            }
        }
    }

    /// Carries out every request that waits, but for those that the provider is being asked about.
    /// `looked`: nothing was written since, and nothing waits.
    async fn unit(&self, asking: &mut Asking, looked: &mut Mark) -> Result<(), JournalError> {
        let (journal, clock) = (&self.journal, &self.clock);
        let open = |view: &View| Ok((view.open_requests()?, view.cancelled_batches()?));
        let Some((requests, batches)) = journal.read_if_changed(looked, clock.now(), open).await? else {
            return Ok(());
        };
        let rules = Arc::clone(&self.settings.borrow().rules);
        for request in requests {
            let Some(word) = journal.read(move |view| view.open_request(request)).await? else { continue };
            let seen = match word.id_to_look_up() {
                None => Seen::Unasked,
                Some(id) => match asking.seen(request, id, &self.provider) {
                    Some(seen) => seen,
                    None => continue,
                },
            };
            let answer = journal.carry_out_seen(request, seen, clock.now(), (*rules).clone()).await?;
            // Several pauses are a line each for whoever asked, and one for the log.
            let (said, told) = (word.said.map(Said::told), answer.text.replace('\n', "; "));
            tracing::info!(
                who = %word.who, said, about = word.about, done = answer.done, answer = %told,
                "an operator's word"
            );
        }
        for batch in batches {
            journal.sweep_cancelled(batch, clock.now(), (*rules).clone()).await?;
        }
        Ok(())
    }
}

/// Asks the provider about one order id.
async fn ask(provider: &dyn Provider, id: ProviderOrderId) -> Seen {
    match tokio::time::timeout(ASK_FOR, provider.orders(&[id])).await {
        Ok(Ok(told)) => seen(id, &told),
        Ok(Err(CallError::InvalidOrderId)) => Seen::Nothing,
        Ok(Err(error)) => Seen::Unreachable(error.to_string()),
        Err(_) => Seen::Unreachable(format!("the provider didn't answer within {}", words::span(ASK_FOR))),
    }
}

/// What an answer tells of this id: some installs answer with other orders than were asked for.
fn seen(id: ProviderOrderId, told: &[ProviderOrder]) -> Seen {
    let mut of_id = told.iter().filter(|order| order.id == id);
    let Some(first) = of_id.next() else { return Seen::Nothing };
    let imei = first.imei.filter(|imei| of_id.all(|other| other.imei == Some(*imei)));
    let package = words::plain(&first.package).chars().take(TITLE_CHARS).collect();
    Seen::Order { imei, package }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{BoxFuture, PlaceOrder};
    use crate::types::{AccountInfo, Imei, Placed, ProviderService, ProviderStatus, Reply};

    const ID: ProviderOrderId = ProviderOrderId(17);

    /// A provider that answers `getimeis` with this.
    struct Tells(Result<Vec<ProviderOrder>, CallError>);

    fn away<T: Send + 'static>() -> BoxFuture<'static, Result<T, CallError>> {
        Box::pin(async { Err(CallError::Unreachable("it is away".into())) })
    }

    impl Provider for Tells {
        fn place<'a>(&'a self, _: &'a PlaceOrder) -> BoxFuture<'a, Reply<Placed>> {
            panic!("a question about an id orders nothing")
        }

        fn orders<'a>(
            &'a self,
            ids: &'a [ProviderOrderId],
        ) -> BoxFuture<'a, Result<Vec<ProviderOrder>, CallError>> {
            assert_eq!(ids, [ID], "that one id");
            Box::pin(async { self.0.clone() })
        }

        fn recent(&self) -> BoxFuture<'_, Result<Vec<ProviderOrder>, CallError>> {
            away()
        }

        fn services(&self) -> BoxFuture<'_, Result<Vec<ProviderService>, CallError>> {
            away()
        }

        fn account(&self) -> BoxFuture<'_, Result<AccountInfo, CallError>> {
            away()
        }
    }

    fn order(id: u64, serial: Option<u32>) -> ProviderOrder {
        ProviderOrder {
            id: ProviderOrderId(id),
            imei: serial.map(|serial| Imei::from_parts(35_000_000, serial)),
            package: "Apple\u{1b}[2J Check".to_owned(),
            status: ProviderStatus::Pending,
            status_raw: "1 Pending".to_owned(),
            code: String::new(),
            requested_at: String::new(),
            raw: Vec::new(),
        }
    }

    #[tokio::test]
    async fn only_what_is_told_of_this_id_is_believed() {
        let told = |serial: Option<u32>| Seen::Order {
            imei: serial.map(|serial| Imei::from_parts(35_000_000, serial)),
            package: "Apple\u{fffd}[2J Check".to_owned(),
        };
        for (answer, seen) in [
            (Ok(vec![order(18, Some(2)), order(17, Some(1))]), told(Some(1))),
            (Ok(vec![order(18, Some(1))]), Seen::Nothing),
            (Ok(vec![]), Seen::Nothing),
            (Ok(vec![order(17, None)]), told(None)),
            (Ok(vec![order(17, Some(1)), order(17, Some(2))]), told(None)),
            (Err(CallError::InvalidOrderId), Seen::Nothing),
            (Err(CallError::Http(502)), Seen::Unreachable("the provider answered HTTP 502".to_owned())),
        ] {
            assert_eq!(ask(&Tells(answer), ID).await, seen);
        }
    }
}

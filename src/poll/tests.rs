use super::*;
use crate::journal::View;
use crate::provider::{BoxFuture, PlaceOrder};
use crate::types::{AccountInfo, BatchId, Imei, OrderId, Placed, ProviderService, Reply, ServiceId};

/// A provider that tells its services: 1739 and 1740.
struct Services;

fn away<T: Send + 'static>() -> BoxFuture<'static, Result<T, CallError>> {
    Box::pin(async { Err(CallError::Unreachable("it is away".into())) })
}

impl Provider for Services {
    fn place<'a>(&'a self, _: &'a PlaceOrder) -> BoxFuture<'a, Reply<Placed>> {
        panic!("a poll orders nothing")
    }

    fn orders<'a>(
        &'a self,
        _: &'a [ProviderOrderId],
    ) -> BoxFuture<'a, Result<Vec<ProviderOrder>, CallError>> {
        away()
    }

    fn recent(&self) -> BoxFuture<'_, Result<Vec<ProviderOrder>, CallError>> {
        away()
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<ProviderService>, CallError>> {
        let offered =
            [("1739", "iPhone Check"), ("1740", "iPhone Unlock")].map(|(id, title)| ProviderService {
                network_id: id.into(),
                title: title.into(),
                category: String::new(),
                price: None,
                time_taken: String::new(),
            });
        Box::pin(async { Ok(offered.into()) })
    }

    fn account(&self) -> BoxFuture<'_, Result<AccountInfo, CallError>> {
        away()
    }
}

const ID: ProviderOrderId = ProviderOrderId(7);

struct Bench {
    _folder: tempfile::TempDir,
    poll: Poll,
    clock: Clock,
    service: ServiceId,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal.db")).unwrap();
        let text = format!(
            "{}\n[[service]]\nname = \"unlock\"\nnetwork_id = \"1740\"\nprice = \"0.15\"\nfolder = \"unlock\"\n",
            crate::config::edited()
        );
        let config = crate::config::parse(&text, std::path::Path::new("/etc/imeid/imeid.toml")).unwrap();
        let clock = Clock::system();
        let settings = Arc::new(Settings::new(config, &journal).await.unwrap());
        let service = settings.number(&crate::types::NetworkId("1739".to_owned())).unwrap();
        let poll = Poll::new(journal, Arc::new(Services), clock.clone(), watch::channel(settings).1);
        Self { _folder: folder, poll, clock, service }
    }

    fn due(&self) -> DuePoll {
        let ordered_at = self.clock.now();
        let imei = Imei::from_parts(35_332_211, 1);
        let (order, service, batch) = (OrderId(1), self.service, BatchId(1));
        DuePoll { order, id: ID, imei, service, batch, ordered_at, is_held: false }
    }

    /// What comes of it that this is told of the order.
    async fn told(&mut self, due: DuePoll, told: &ProviderOrder) -> PollTold {
        let told = std::slice::from_ref(told);
        let settings = Arc::clone(&self.poll.settings.borrow());
        let from = (self.poll.provider.as_ref(), settings.as_ref());
        let journal = &self.poll.journal;
        self.poll
            .whose
            .learn(std::slice::from_ref(&due), told, journal, from, self.clock.now())
            .await
            .unwrap();
        let mut results = Vec::new();
        let waited = Waited::always(self.clock.now());
        let missing = self.poll.match_up(vec![due], told.to_vec(), true, &waited, &mut results);
        assert!(missing.is_empty(), "it isn't asked for alone");
        results.pop().unwrap().told
    }
}

fn order(n: u32, package: &str) -> ProviderOrder {
    ProviderOrder {
        id: ID,
        imei: Some(Imei::from_parts(35_332_211, n)),
        package: package.to_owned(),
        status: ProviderStatus::Completed,
        status_raw: "2 Completed".to_owned(),
        code: "an answer".to_owned(),
        requested_at: String::new(),
        raw: Vec::new(),
    }
}

#[tokio::test]
async fn what_is_told_of_another_imei_or_service_is_no_answer_and_twice_in_a_row_the_id_is_not_its_own() {
    for (other, words) in [
        (order(2, "iPhone Check"), Imei::from_parts(35_332_211, 2).to_string()),
        (order(1, "iPhone Unlock"), "the service unlock (iPhone Unlock)".to_owned()),
    ] {
        let mut bench = Bench::new().await;
        let due = bench.due();
        assert!(matches!(bench.told(due.clone(), &other).await, PollTold::Nothing));
        // An answer in between is its own: the first was a slip.
        let own = bench.told(due.clone(), &order(1, "iPhone Check")).await;
        assert!(matches!(own, PollTold::Status(_)), "{own:?}");
        assert!(matches!(bench.told(due.clone(), &other).await, PollTold::Nothing));
        let PollTold::Anothers(why) = bench.told(due, &other).await else { panic!("used: {other:?}") };
        assert!(why.contains(&words) && why.contains("under the order id 7"), "{why}");
        assert!(bench.poll.journal.read(View::alarms).await.unwrap().is_empty(), "it isn't recorded yet");
    }
}

#[tokio::test]
async fn a_title_that_nobody_else_has_is_its_own() {
    for title in ["iPhone Check", "IPHONE  CHECK", "iPhone Check, new", ""] {
        let mut bench = Bench::new().await;
        let told = bench.told(bench.due(), &order(1, title)).await;
        assert!(matches!(told, PollTold::Status(_)), "{title}: {told:?}");
    }
}

#[tokio::test]
async fn silence_about_its_own_is_given_up_even_if_another_is_told_of() {
    let mut bench = Bench::new().await;
    let due = DuePoll { ordered_at: Timestamp::from_millis(0), ..bench.due() };
    let told = bench.told(due, &order(2, "")).await;
    assert!(matches!(told, PollTold::GivenUp(_)), "{told:?}");
}

#[tokio::test]
async fn of_many_that_are_told_in_any_order_each_gets_its_own_and_the_last_word_counts() {
    let mut bench = Bench::new().await;
    let due = |n: i64| DuePoll { order: OrderId(n), id: ProviderOrderId(n.unsigned_abs()), ..bench.due() };
    let asked = [due(7), due(8), due(9), due(10)];
    let told = |n: u64, package: &str, code: &str| ProviderOrder {
        id: ProviderOrderId(n),
        code: code.to_owned(),
        ..order(1, package)
    };
    let told = [
        told(10, "iPhone Check", "of 10"),
        told(11, "", "of none that was asked after"),
        told(8, "iPhone Unlock", "of another service"),
        told(7, "iPhone Check", "its first"),
        told(7, "iPhone Check", "its last"),
    ];
    let settings = Arc::clone(&bench.poll.settings.borrow());
    let provider = Arc::clone(&bench.poll.provider);
    let from = (provider.as_ref(), settings.as_ref());
    let now = bench.clock.now();
    bench.poll.whose.learn(&asked, &told, &bench.poll.journal, from, now).await.unwrap();
    let mut results = Vec::new();
    let waited = Waited::always(now);
    let missing = bench.poll.match_up(asked.to_vec(), told.to_vec(), false, &waited, &mut results);
    assert_eq!(missing.iter().map(|due| due.id.0).collect::<Vec<_>>(), [9]);
    let heard = results.iter().map(|result| match &result.told {
        PollTold::Status(order) => (result.order.0, order.code.as_str()),
        PollTold::Nothing => (result.order.0, "nothing"),
        other => panic!("{other:?}"),
    });
    assert_eq!(heard.collect::<Vec<_>>(), [(7, "its last"), (8, "nothing"), (10, "of 10")]);
}

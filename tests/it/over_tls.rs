//! Connections that are used again, over TLS: as real providers are asked.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::front::{Exchange, Front, Then, Tls, ok};
use crate::support::{Sim, Workplace, books_agree, file_of, imei, orders_until};
use crate::wire::{doubts, provider, workplace};

const ROWS: u32 = 300;

/// What came of a file whose orders went through this front over TLS: its folders, its IMEIs, and how many more were ordered
/// meanwhile.
fn file_over_tls(
    sim: &Sim,
    act: impl Fn(&mut Exchange<'_>) -> Then + Send + Sync + 'static,
) -> (Workplace, Vec<String>, u64) {
    let tls = Tls::new();
    let front = Front::before_over_tls(sim, &tls, act);
    let mut place = workplace(&front.https_url());
    fs::write(place.path("ca.pem"), &tls.certificate_pem).unwrap();
    let config = fs::read_to_string(place.config()).unwrap();
    let config = config.replace("[provider]\n", "[provider]\nca_file = \"ca.pem\"\n");
    fs::write(place.config(), config.replace("[submit]\n", "[submit]\nworkers = 4\n")).unwrap();
    place.start();
    let imeis: Vec<String> = (0..ROWS).map(imei).collect();
    place.drop_file("stock.csv", &file_of(imeis.clone()));
    let more = orders_until(&mut place, "outbox/stock.results.csv");
    (place, imeis, more)
}

#[test]
fn orders_go_over_tls_connections_that_carried_others_and_each_is_charged_once() {
    let sim = provider();
    let (fresh, again) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let [opened, reused] = [&fresh, &again].map(Arc::clone);
    let (place, imeis, more) = file_over_tls(&sim, move |exchange| {
        if exchange.is_order() {
            let count = if exchange.nth == 0 { &opened } else { &reused };
            count.fetch_add(1, Ordering::SeqCst);
        }
        exchange.relay()
    });
    let [fresh, again] = [fresh, again].map(|count| count.load(Ordering::SeqCst));
    println!("{fresh} orders over a connection of their own, {again} over one that had carried another");
    assert_eq!((fresh + again) as u64, u64::from(ROWS) + more);
    // At first few connections are used again, beside others with connections of their own.
    assert!(again > fresh, "{fresh} {again}\n{}", place.log());
    assert_eq!(doubts(&place), 0, "{}", place.log());
    books_agree(&place, &sim, "stock.results.csv", &imeis);
}

/// The order that is refused, over a connection that carried others: the account is asked behind it, over the same one.
fn refused_once(
    fence: impl Fn(&mut Exchange<'_>) -> Then + Send + Sync + 'static,
) -> (Sim, Workplace, usize, u64) {
    let sim = provider();
    let (refused, fenced) = (Mutex::new(None), Arc::<AtomicUsize>::default());
    let asked = Arc::clone(&fenced);
    let (place, _, more) = file_over_tls(&sim, move |exchange| {
        // A thread is a connection.
        let this = thread::current().id();
        let mut over = refused.lock().unwrap();
        if exchange.is_order() && exchange.nth > 0 && over.is_none() {
            *over = Some(this);
            exchange.write(ok("<error>Invalid IMEI</error>"));
            return Then::KeepOpen;
        }
        if *over == Some(this) {
            assert_eq!(exchange.param("action"), "accountinfo");
            asked.fetch_add(1, Ordering::SeqCst);
            return fence(exchange);
        }
        drop(over);
        exchange.relay()
    });
    let fenced = fenced.load(Ordering::SeqCst);
    (sim, place, fenced, more)
}

#[test]
fn a_refusal_over_a_tls_connection_is_believed_once_the_account_is_told_behind_it() {
    let (sim, mut place, fenced, more) = refused_once(|exchange| exchange.relay());
    assert_eq!((fenced, doubts(&place)), (1, 0), "{}", place.log());
    let result = place.result("stock.results.csv");
    let refused = result.counts("imeid_status").get("refused").copied();
    assert_eq!(refused, Some(1), "{:?}", result.counts("imeid_status"));
    assert_eq!(sim.ledger().charges, u64::from(ROWS) - 1 + more);
}

#[test]
fn a_refusal_over_a_tls_connection_that_is_cut_behind_it_is_a_doubt_and_the_only_one() {
    let (sim, mut place, fenced, more) = refused_once(|_| Then::Close);
    assert_eq!((fenced, doubts(&place)), (1, 1), "{}", place.log());
    // It was never taken, a listing shows that, and it is sent again.
    assert_eq!(place.result("stock.results.csv").counts("imeid_status").get("completed").copied(), Some(300));
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (u64::from(ROWS) + more, 0));
}

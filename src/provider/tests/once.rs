//! The paid request is sent exactly once, whatever happens to it; and what each failure proves.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, retry};
use rstest::rstest;

use super::server::{Act, Seen, Server, http, ok};
use super::*;
use crate::provider::{Provider, wire};
use crate::types::{NotTaken, Reply};

/// Places one order at a server that does this, and tells what arrived there.
async fn place_at(
    script: Vec<Act>,
    plant: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> (Reply<Placed>, Seen) {
    let server = Server::start(script).await;
    let config = ProviderConfig { timeout: Duration::from_millis(700), ..at(server.address) };
    let paid = plant(wire::paid(&config).unwrap());
    let client = GsmFusion::with_paid(&config, &KEY.into(), clock(), paid, None).unwrap();
    let reply = client.place(&order()).await;
    drop(client);
    (reply, server.finish().await)
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: 500\r\n\r\n";

fn redirect(status: &str) -> Act {
    Act::Answer(http(status, "location: /gsmfusion_api/index.php\r\n", ""))
}

fn cut_after(end: &str) -> String {
    let body = taken(15_562_209, ours());
    let cut = body.find(end).unwrap() + end.len();
    format!("{HEAD}{}", &body[..cut])
}

#[rstest]
#[case::close_before_an_answer(Act::Close(String::new()), "error sending request")]
#[case::reset_before_an_answer(Act::Reset(String::new()), "error sending request")]
#[case::hang(Act::Stall(String::new()), "timed out after 700ms")]
#[case::half_a_status_line(Act::Close("HTTP/1.1 2".to_owned()), "error sending request")]
#[case::hang_in_the_head(Act::Stall("HTTP/1.1 200 OK\r\ncontent-".to_owned()), "timed out after 700ms")]
#[case::garbage(Act::Close("\0\u{1}\u{2}SSH-2.0\r\n\r\n".to_owned()), "error sending request")]
#[case::http_0_9(Act::Close("<error>Credit has been finished!</error>".to_owned()), "error sending request")]
#[case::close_after_the_head(Act::Close(HEAD.to_owned()), "HTTP 200, but the body broke off")]
#[case::hang_after_the_head(Act::Stall(HEAD.to_owned()), "HTTP 200, but the body wasn't there within 700ms")]
#[case::cut_in_the_id(Act::Close(cut_after("<id>155")), "HTTP 200, but the body broke off")]
#[case::chunks_without_an_end(
    Act::Close("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n<error>Credit ha\r\n".to_owned()),
    "HTTP 200, but the body broke off"
)]
#[case::cut_without_a_length(
    Act::Close("HTTP/1.1 200 OK\r\n\r\n<error>Credit has been finished!</err".to_owned()),
    "HTTP 200 with a cut body"
)]
#[case::empty(Act::Answer(ok("")), "HTTP 200 with an empty body")]
#[case::html(
    Act::Answer(ok("<html><body>x</body></html>")),
    "HTTP 200 with an answer of unknown form, <html>"
)]
#[case::moved(redirect("301 Moved Permanently"), "HTTP 301")]
#[case::found(redirect("302 Found"), "HTTP 302")]
#[case::see_other(redirect("303 See Other"), "HTTP 303")]
#[case::temporary(redirect("307 Temporary Redirect"), "HTTP 307")]
#[case::permanent(redirect("308 Permanent Redirect"), "HTTP 308")]
#[case::no_rights(Act::Answer(http("401 Unauthorized", "www-authenticate: Basic\r\n", "")), "HTTP 401")]
#[case::challenge(Act::Answer(http("403 Forbidden", "", "<html>Attention Required!</html>")), "HTTP 403")]
#[case::too_slow(Act::Answer(http("408 Request Timeout", "connection: close\r\n", "")), "HTTP 408")]
#[case::misdirected(Act::Answer(http("421 Misdirected Request", "", "")), "HTTP 421")]
#[case::too_early(Act::Answer(http("425 Too Early", "", "")), "HTTP 425")]
#[case::broken(Act::Answer(http("500 Internal Server Error", "", "")), "HTTP 500")]
#[case::bad_gateway(Act::Answer(http("502 Bad Gateway", "", "<html>cloudflare</html>")), "HTTP 502")]
#[case::unavailable(Act::Answer(http("503 Service Unavailable", "", "")), "HTTP 503")]
#[case::gateway_time_out(Act::Close(http("504 Gateway Timeout", "", "")), "HTTP 504")]
#[case::unknown_error(Act::Answer(http("520 Web server returned an unknown error", "", "")), "HTTP 520")]
#[case::origin_time_out(Act::Answer(http("524 A Timeout Occurred", "", "")), "HTTP 524")]
#[tokio::test]
async fn every_failure_is_sent_once_and_unclear(#[case] act: Act, #[case] what: &str) {
    let (reply, seen) = place_at(vec![act], |paid| paid).await;
    assert_eq!(seen.requests.len(), 1, "{seen:?}");
    assert_eq!(seen.connections, 1);
    let unclear = doubt(reply.outcome);
    assert!(unclear.what.starts_with(what), "{}", unclear.what);
    assert_eq!(unclear.ids, []);
    assert!(!unclear.what.contains("127.0.0.1"), "the address is no news: {}", unclear.what);
}

#[rstest]
#[case::close(Act::Close(cut_after("</id>")))]
#[case::reset_later(Act::Stall(cut_after("</imeis>")))]
#[tokio::test]
async fn a_cut_body_keeps_the_id_that_it_told(#[case] act: Act) {
    let (reply, seen) = place_at(vec![act], |paid| paid).await;
    assert_eq!((seen.requests.len(), reply.http), (1, Some(200)));
    assert!(reply.body.starts_with(b"<result><imeis><id>15562209</id>"));
    assert_eq!(doubt(reply.outcome).ids, [id(15_562_209)]);
}

#[tokio::test]
async fn a_reset_in_the_body_is_sent_once_and_unclear() {
    let (reply, seen) = place_at(vec![Act::Reset(cut_after("</id>"))], |paid| paid).await;
    assert_eq!(seen.requests.len(), 1);
    doubt(reply.outcome);
}

#[tokio::test]
async fn a_503_tells_how_long_to_wait_and_proves_nothing() {
    let date = "retry-after: Tue, 24 Nov 2026 00:01:30 GMT\r\n";
    for (header, seconds) in [("retry-after: 30\r\n", 30), (date, 90)] {
        let script = vec![Act::Answer(http("503 Service Unavailable", header, "<html></html>"))];
        let (reply, seen) = place_at(script, |paid| paid).await;
        assert_eq!(seen.requests.len(), 1);
        assert_eq!(doubt(reply.outcome).retry_after, Some(Duration::from_secs(seconds)));
    }
}

#[tokio::test]
async fn a_429_is_sent_once_and_throttled() {
    let script = vec![Act::Answer(http("429 Too Many Requests", "retry-after: 12\r\n", "slow down"))];
    let (reply, seen) = place_at(script, |paid| paid).await;
    assert_eq!(seen.requests.len(), 1);
    let wait = Some(Duration::from_secs(12));
    assert_eq!(reply.outcome, Placed::NotTaken(NotTaken::Throttled(wait)));
    assert_eq!((reply.http, reply.body), (Some(429), b"slow down".to_vec()));
}

#[tokio::test]
async fn an_order_that_is_taken_is_sent_once() {
    let body = taken(15_562_209, ours());
    let (reply, seen) = place_at(vec![Act::Answer(ok(&body))], |paid| paid).await;
    assert_eq!(seen.requests.len(), 1);
    assert_eq!(reply.outcome, Placed::Taken(id(15_562_209)));
    assert_eq!((reply.http, reply.body), (Some(200), body.into_bytes()));
}

/// Two orders one after the other.
async fn place_twice(
    script: Vec<Act>,
    plant: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> ([Placed; 2], Seen) {
    let server = Server::start(script).await;
    let config = at(server.address);
    let paid = plant(wire::paid(&config).unwrap());
    let client = GsmFusion::with_paid(&config, &KEY.into(), clock(), paid, None).unwrap();
    let replies = [client.place(&order()).await.outcome, client.place(&order()).await.outcome];
    drop(client);
    (replies, server.finish().await)
}

#[tokio::test]
async fn every_order_goes_over_a_connection_of_its_own() {
    let answer = |id| Act::Answer(ok(&taken(id, ours())));
    let (replies, seen) = place_twice(vec![answer(1), answer(2)], |paid| paid).await;
    assert_eq!((seen.requests.len(), seen.connections), (2, 2));
    assert_eq!(replies, [1, 2].map(|number| Placed::Taken(id(number))));
}

#[rstest]
#[case::closed(Act::Close(String::new()))]
#[case::reset(Act::Reset(String::new()))]
#[tokio::test]
async fn a_client_that_keeps_connections_would_leave_a_false_doubt(#[case] second: Act) {
    let first = Act::Answer(ok(&taken(1, ours())));
    let (replies, seen) = place_twice(vec![first, second], |paid| paid.pool_max_idle_per_host(1)).await;
    assert_eq!(
        (seen.requests.len(), seen.connections),
        (2, 1),
        "the second went over the first's connection"
    );
    assert_eq!(replies[0], Placed::Taken(id(1)));
    doubt(replies[1].clone());
}

#[tokio::test]
async fn a_call_that_reads_is_sent_once_too() {
    for act in
        [redirect("307 Temporary Redirect"), Act::Close(String::new()), Act::Answer(http("500 x", "", ""))]
    {
        let server = Server::start(vec![act]).await;
        let client = client(&at(server.address));
        assert!(client.account().await.is_err());
        drop(client);
        assert_eq!(server.finish().await.requests.len(), 1);
    }
}

#[tokio::test]
async fn the_count_would_show_a_client_that_follows_redirects() {
    let script = vec![redirect("307 Temporary Redirect")];
    let (_, seen) = place_at(script, |paid| paid.redirect(Policy::limited(3))).await;
    assert_eq!(seen.requests.len(), 4);
    assert!(seen.requests.iter().all(|request| request.contains("action=placeorder")));
}

#[tokio::test]
async fn the_count_would_show_a_client_that_retries() {
    let script = vec![Act::Answer(http("502 Bad Gateway", "", ""))];
    let eager = retry::for_host("127.0.0.1").no_budget().classify_fn(|call| call.retryable());
    let (_, seen) = place_at(script, |paid| paid.retry(eager)).await;
    assert_eq!(seen.requests.len(), 3);
    assert!(seen.requests.iter().all(|request| request.contains("action=placeorder")));
}

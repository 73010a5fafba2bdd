//! Connections that are used again: what goes over them, and what is believed that comes over them.

mod server;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use rstest::rstest;

use super::server::{http, ok};
use super::*;
use server::{Call, Server, order_no};

const ACCOUNT: &str = "<Client><ClientCredits>$ 1.00 USD</ClientCredits></Client>";
const EXISTS: &str = "<error>IMEI already exists!</error>";
const CREDIT: &str = "<error>Credit has been finished!</error>";

#[tokio::test]
async fn an_order_goes_over_the_connection_of_the_one_before_once_it_is_known_that_answers_come_fast() {
    let mut server = Server::start().await;
    let mut over = Vec::new();
    for number in 0..5 {
        over.push(server.takes(order_no(number)).await);
    }
    assert_eq!(over, [0, 1, 1, 1, 1]);
}

#[tokio::test]
async fn where_answers_take_a_quarter_of_a_second_each_order_has_a_connection_of_its_own() {
    let mut server = Server::start().await;
    for number in 0..4 {
        let slowly = async |call: &Call| {
            tokio::time::sleep(Duration::from_millis(260)).await;
            call.take().await;
        };
        let (placed, over) = server.answers(order_no(number), slowly).await;
        assert!(matches!(placed, Placed::Taken(_)), "{placed:?}");
        assert_eq!(u32::try_from(over), Ok(number));
    }
}

#[tokio::test]
async fn an_order_apart_goes_over_a_connection_of_its_own_and_keeps_none() {
    let mut server = Server::start().await;
    let kept = server.keeps_one().await;
    let apart = server.takes(PlaceOrder { apart: true, ..order_no(0) }).await;
    assert_ne!(apart, kept);
    assert_eq!(server.takes(order_no(1)).await, kept);
}

#[tokio::test]
async fn no_connection_carries_two_orders_for_one_imei_nor_more_than_a_thousand() {
    let mut server = Server::start().await;
    let kept = server.keeps_one().await;
    assert_ne!(server.takes(order_no(801)).await, kept);
    let mut over = Vec::new();
    for number in 0..2_500 {
        over.push(server.takes(order_no(number)).await);
    }
    let used: HashSet<usize> = over.iter().copied().collect();
    let most = used.iter().map(|one| over.iter().filter(|over| *over == one).count()).max();
    assert_eq!((most, used.len()), (Some(1_000), 3));
}

#[tokio::test]
async fn there_are_never_more_connections_than_orders_that_went_well_until_those_are_twenty() {
    let mut server = Server::start().await;
    server.keeps_one().await;
    let mut over = Vec::new();
    for (first, at_once) in (100..).step_by(100).zip([4, 4, 4, 4, 4, 4, 24, 24, 24, 24]) {
        over.push(server.takes_at_once(first..first + at_once).await);
    }
    let again = over.windows(2).map(|two| two[0].intersection(&two[1]).count());
    // Used again 1, 2, 3, 5, 8, 12 and 16 times before them, and then as often as it takes.
    assert_eq!(again.collect::<Vec<_>>(), [1, 1, 2, 3, 4, 4, 12, 16, 24], "{over:?}");
}

#[tokio::test]
async fn one_that_lies_idle_for_a_quarter_of_a_second_is_closed() {
    let mut server = Server::start().await;
    server.takes(order_no(0)).await;
    let kept = server.takes(order_no(1)).await;
    let began = Instant::now();
    while server.ended.recv().await.unwrap() != kept {}
    let took = began.elapsed();
    assert!((Duration::from_millis(240)..Duration::from_secs(5)).contains(&took), "{took:?}");
    assert_ne!(server.takes(order_no(2)).await, kept);
}

#[rstest]
#[case::exists(ok(EXISTS))]
#[case::credit(ok(CREDIT))]
#[case::account(ok("<error>Invalid API Key!</error>"))]
#[case::throttled(http("429 Too Many Requests", "", ""))]
#[tokio::test]
async fn a_refusal_is_believed_behind_which_the_account_is_answered_over_the_same_connection(
    #[case] refusal: String,
) {
    let mut server = Server::start().await;
    let (placed, fenced) = server.refuses(&refusal, Some(&ok(ACCOUNT))).await;
    assert!(matches!(placed, Placed::NotTaken(_) | Placed::AlreadyExists), "{placed:?}");
    assert_eq!(fenced, Some(true));
    // It is closed all the same, and the next orders' is used again.
    let next = server.takes(order_no(900)).await;
    assert!(next >= 2);
    assert_eq!(server.takes(order_no(901)).await, next);
}

#[rstest]
#[case::closed(None)]
#[case::the_refusal_again(Some(ok(EXISTS)))]
#[case::throttled(Some(http("429 Too Many Requests", "", "")))]
#[case::an_error(Some(http("500 Internal Server Error", "", ACCOUNT)))]
#[case::cut(Some(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", &ACCOUNT[..30])))]
#[case::none_in_time(Some(String::new()))]
#[tokio::test]
async fn a_refusal_behind_which_no_account_is_told_leaves_the_order_in_doubt(#[case] fence: Option<String>) {
    let mut server = Server::start().await;
    let began = Instant::now();
    let (placed, fenced) = server.refuses(&ok(EXISTS), fence.as_deref()).await;
    assert!(began.elapsed() < Duration::from_secs(10), "it isn't waited for as long as for an order");
    assert!(doubt(placed).what.contains("IMEI already exists!"));
    assert_eq!(fenced, Some(true));
    server.keeps_none().await;
}

#[tokio::test]
async fn a_refusal_too_many_is_not_believed_and_the_order_that_was_taken_is_named_with_the_doubt() {
    for refusal in [EXISTS, CREDIT, "<error>Invalid IMEI</error>"] {
        let mut server = Server::start().await;
        let own = ok(&taken(77, order_no(802).imei));
        let (placed, _) = server.refuses(&ok(refusal), Some(&format!("{own}{}", ok(ACCOUNT)))).await;
        assert_eq!(doubt(placed).ids, [id(77)]);
        server.keeps_none().await;
    }
}

#[tokio::test]
async fn a_refusal_that_the_account_gets_too_is_believed_and_another_isnt() {
    let refusals = [
        ok("<error>Invalid API Key!</error>"),
        ok("<error>Website is in maintenance, please try again later!</error>"),
        http("429 Too Many Requests", "", ""),
        ok(CREDIT),
    ];
    for (at, first) in refusals.iter().enumerate() {
        for (behind, fence) in refusals.iter().enumerate() {
            let mut server = Server::start().await;
            let (placed, _) = server.refuses(first, Some(fence)).await;
            let is_believed = matches!(placed, Placed::NotTaken(_));
            assert_eq!(is_believed, at == behind && at < 3, "{first} {fence} {placed:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_over_one_that_is_gone_behind_it_is_a_doubt_and_no_other_connection_is_asked() {
    let own = ok(&taken(77, order_no(802).imei));
    // Both are there before the account can be asked; the server says that it closes.
    for refusal in [ok(EXISTS) + &own, http("200 OK", "connection: close\r\n", EXISTS)] {
        let mut server = Server::start().await;
        let (placed, fenced) = server.refuses(&refusal, Some(&ok(ACCOUNT))).await;
        doubt(placed);
        assert_eq!(fenced, None);
        server.keeps_none().await;
    }
}

#[tokio::test]
async fn what_tells_nothing_of_this_order_is_a_doubt_and_the_account_is_not_asked() {
    let another = ok(&taken(1, order_no(801).imei));
    for answer in [another, http("502 Bad Gateway", "", ""), ok("<error>What?</error>"), ok("<html></html>")]
    {
        let mut server = Server::start().await;
        let (placed, fenced) = server.refuses(&answer, None).await;
        doubt(placed);
        assert_eq!(fenced, None);
        server.keeps_none().await;
    }
}

#[tokio::test]
async fn one_that_the_server_closes_as_it_is_used_again_leaves_one_doubt_and_no_second() {
    let mut server = Server::start().await;
    let kept = server.keeps_one().await;
    let (placed, over) = server.answers(order_no(1), async |call| call.close()).await;
    assert_eq!(over, kept);
    doubt(placed);
    server.keeps_none().await;
}

#[derive(Clone, Copy, Debug)]
enum Behind {
    Bytes(&'static str),
    End,
}

#[rstest]
#[case::a_second_answer(Behind::Bytes("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"))]
#[case::a_line_end(Behind::Bytes("\r\n"))]
#[case::a_byte(Behind::Bytes("x"))]
#[case::its_end(Behind::End)]
#[tokio::test]
async fn one_on_which_something_has_come_behind_the_answer_is_not_used_and_leaves_no_doubt(
    #[case] behind: Behind,
    #[values(true, false)] at_once: bool,
) {
    let mut server = Server::start().await;
    server.takes(order_no(0)).await;
    let mut lent = None;
    let (placed, kept) = server
        .answers(order_no(1), async |call| {
            match behind {
                Behind::Bytes(bytes) if at_once => call.write(call.taken() + bytes).await,
                _ => call.take().await,
            }
            if at_once && matches!(behind, Behind::End) {
                call.close();
            }
            lent = Some(Arc::clone(&call.stream));
        })
        .await;
    assert!(matches!(placed, Placed::Taken(_)), "{placed:?}");
    if !at_once {
        // It arrives while the connection lies idle, and nothing is awaited before the next order but this.
        let call = Call { over: kept, request: String::new(), stream: lent.unwrap() };
        match behind {
            Behind::Bytes(bytes) => call.write(bytes).await,
            Behind::End => call.close(),
        }
    }
    assert_ne!(server.takes(order_no(2)).await, kept);
    // No order was in doubt: the next ones' is used again.
    let next = server.takes(order_no(3)).await;
    assert_eq!(server.takes(order_no(4)).await, next);
}

#[tokio::test]
async fn one_that_the_answer_says_is_closed_is_not_kept() {
    let body = |call: &Call| taken(1, call.imei());
    let closing = |body: &str| http("200 OK", "Connection: Close\r\n", body);
    let old = |body: &str| ok(body).replace("HTTP/1.1", "HTTP/1.0");
    let old_kept =
        |body: &str| http("200 OK", "connection: keep-alive\r\n", body).replace("HTTP/1.1", "HTTP/1.0");
    let heads: [&dyn Fn(&str) -> String; 3] = [&closing, &old, &old_kept];
    for head in heads {
        let mut server = Server::start().await;
        for number in 0..4 {
            let (placed, over) =
                server.answers(order_no(number), async |call| call.write(head(&body(call))).await).await;
            assert!(matches!(placed, Placed::Taken(_)), "{placed:?}");
            assert_eq!(u32::try_from(over), Ok(number));
        }
    }
}

#[tokio::test]
async fn an_answer_in_pieces_or_behind_others_of_a_hundred_is_the_orders_and_its_connection_is_kept() {
    let mut server = Server::start().await;
    let kept = server.keeps_one().await;
    let in_pieces = async |call: &Call| {
        call.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n").await;
        for byte in call.taken().into_bytes() {
            call.write([byte]).await;
            tokio::task::yield_now().await;
        }
    };
    let (placed, over) = server.answers(order_no(1), in_pieces).await;
    assert!(matches!(placed, Placed::Taken(_)), "{placed:?}");
    assert_eq!([over, server.takes(order_no(2)).await], [kept, kept]);
}

#[tokio::test]
async fn one_is_kept_behind_a_refusal_that_was_its_first_answer() {
    let mut server = Server::start().await;
    server.takes(order_no(0)).await;
    let (placed, over) = server.answers(order_no(1), async |call| call.write(ok(EXISTS)).await).await;
    assert_eq!(placed, Placed::AlreadyExists);
    assert_eq!(server.takes(order_no(2)).await, over);
}

#[tokio::test]
async fn a_failure_over_a_fresh_one_is_as_before_and_the_connection_is_not_kept() {
    for answer in
        [http("502 Bad Gateway", "", ""), http("429 Too Many Requests", "", ""), ok("<html></html>")]
    {
        let mut server = Server::start().await;
        server.takes(order_no(0)).await;
        let (placed, over) = server.answers(order_no(1), async |call| call.write(&answer).await).await;
        assert!(!matches!(placed, Placed::Taken(_)));
        // It says nothing against those that are used again.
        let next = server.takes(order_no(2)).await;
        assert_ne!(next, over);
        assert_eq!(server.takes(order_no(3)).await, next);
    }
}

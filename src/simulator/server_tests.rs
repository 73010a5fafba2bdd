use tokio::net::TcpStream;

use super::*;
use crate::simulator::Delay;
use crate::types::Imei;

fn imei(n: u32) -> String {
    Imei::from_parts(35_000_000, n).to_string()
}

/// A simulator that answers at once but for what `with` sets.
async fn running(with: impl FnOnce(&mut Options)) -> Running {
    let mut options = Options { latency: Delay::NONE, other_latency: Delay::NONE, ..Options::default() };
    with(&mut options);
    start(options, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

fn with_faults(text: &str) -> impl FnOnce(&mut Options) {
    let faults = text.parse().unwrap();
    move |options| options.faults = faults
}

fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn place(n: u32) -> String {
    let body = format!("apiKey=k&userId=u&action=placeorder&networkId=1739&imei={}", imei(n));
    request("POST", API_PATH, &body)
}

async fn sent(running: &Running, request: &str) -> TcpStream {
    let stream = TcpStream::connect(running.address()).await.unwrap();
    let mut rest = request.as_bytes();
    while !rest.is_empty() {
        stream.writable().await.unwrap();
        match stream.try_write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    stream
}

/// Everything that comes until the connection closes.
async fn received(stream: TcpStream) -> String {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    loop {
        stream.readable().await.unwrap();
        match stream.try_read(&mut part) {
            Ok(0) => return String::from_utf8(all).unwrap(),
            Ok(read) => all.extend_from_slice(&part[..read]),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
}

async fn asked(running: &Running, request: &str) -> String {
    received(sent(running, request).await).await
}

#[tokio::test]
async fn an_order_is_taken_charged_and_answered() {
    let running = running(|_| {}).await;
    let answer = asked(&running, &place(1)).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains(&format!("<imei>{}</imei><status>Pending</status>", imei(1))), "{answer}");
    assert_eq!(running.ledger().charged.to_string(), "0.08");
    assert_eq!(running.orders()[0].imei.to_string(), imei(1));
}

#[tokio::test]
async fn a_multipart_form_is_accepted_too() {
    let running = running(|_| {}).await;
    let part = |name: &str, value: &str| {
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = [part("apiKey", "k"), part("userId", "u"), part("action", "accountinfo"), "--B--\r\n".into()]
        .concat();
    let request = request("POST", API_PATH, &body)
        .replace("application/x-www-form-urlencoded", "multipart/form-data; boundary=B");
    let answer = asked(&running, &request).await;
    assert!(answer.contains("<ClientCredits>$ 1000.00 USD</ClientCredits>"), "{answer}");
}

#[tokio::test]
async fn drop_after_charges_and_closes_without_a_byte() {
    let running = running(with_faults("drop-after=1x")).await;
    assert_eq!(asked(&running, &place(1)).await, "");
    assert_eq!(running.ledger().charges, 1);
    assert_eq!(running.ledger().faults.get("drop-after"), Some(&1));
    assert!(asked(&running, &place(1)).await.contains("IMEI already exists!"));
}

#[tokio::test]
async fn drop_before_charges_nothing_and_closes_without_a_byte() {
    let running = running(with_faults("drop-before=1x")).await;
    assert_eq!(asked(&running, &place(1)).await, "");
    assert_eq!((running.ledger().place_calls, running.ledger().charges), (1, 0));
}

#[tokio::test]
async fn a_hang_ends_as_a_drop_when_its_time_is_over() {
    let running = running(|options| {
        options.faults = "hang-after=1x".parse().unwrap();
        options.hang_at_most = Duration::from_millis(30);
    })
    .await;
    assert_eq!(asked(&running, &place(1)).await, "");
    assert_eq!(running.ledger().charges, 1);
}

#[tokio::test]
async fn a_cut_answer_has_its_whole_head_and_half_of_its_body() {
    let running = running(with_faults("cut-after=1x")).await;
    let answer = asked(&running, &place(1)).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let told = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert_eq!(body.len(), told.parse::<usize>().unwrap() / 2);
    assert_eq!(running.ledger().charges, 1);
}

#[tokio::test]
async fn http_faults_have_their_status_page_and_headers() {
    let faults =
        "502-html-after=1x,429-retry-before=1x,503-before=1x,307-after=1x,empty-after=1x,odd-error-before=1x";
    let running = running(with_faults(faults)).await;
    let answer = asked(&running, &place(1)).await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("<!DOCTYPE html>"), "{answer}");
    let answer = asked(&running, &place(2)).await;
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("retry-after: 2\r\n"), "{answer}");
    let answer = asked(&running, &place(3)).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && !answer.contains("retry-after"), "{answer}");
    let answer = asked(&running, &place(4)).await;
    assert!(answer.starts_with("HTTP/1.1 307 ") && answer.contains("location: /gsmfusion_api"), "{answer}");
    let answer = asked(&running, &place(5)).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    let answer = asked(&running, &place(6)).await;
    assert!(answer.contains("<error>Something went wrong"), "{answer}");
    assert_eq!(running.ledger().charges, 3);
}

#[tokio::test]
async fn a_late_order_is_dropped_at_once_and_charged_all_the_same() {
    let running = running(|options| {
        options.faults = "late-after=1x".parse().unwrap();
        options.late_by = Duration::from_secs(3600);
    })
    .await;
    assert_eq!(asked(&running, &place(1)).await, "");
    assert_eq!(running.ledger().charges, 0);
    assert_eq!(running.stop().await.charges, 1);
}

#[tokio::test]
async fn a_client_that_goes_away_midway_is_charged_all_the_same() {
    let running = running(|options| options.latency = Delay::Fixed(Duration::from_secs(3600))).await;
    let stream = sent(&running, &place(1)).await;
    while running.ledger().place_calls == 0 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    assert_eq!(running.ledger().charges, 0, "it was to go away before the charge");
    assert_eq!(running.stop().await.charges, 1);
}

#[tokio::test]
async fn a_client_gone_for_good_is_charged_without_anyone_stopping_the_server() {
    let running = running(|options| options.latency = Delay::Fixed(Duration::from_millis(60))).await;
    drop(sent(&running, &place(1)).await);
    let charged = async {
        while running.ledger().charges == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), charged).await.unwrap();
}

#[tokio::test]
async fn the_books_and_orders_are_told_as_json() {
    let running = running(|_| {}).await;
    asked(&running, &place(1)).await;
    let told = asked(&running, &request("GET", "/sim/ledger", "")).await;
    let summary: LedgerSummary = serde_json::from_str(told.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(summary, running.ledger());
    assert!(told.contains("\"charged\":\"0.08\""), "{told}");
    let told = asked(&running, &request("GET", "/sim/orders", "")).await;
    assert!(told.contains(&imei(1)) && told.contains("\"network_id\":\"1739\""), "{told}");
    let told = asked(&running, &request("GET", "/sim/entries", "")).await;
    assert!(told.contains("\"kind\":\"credit\"") && told.contains("\"kind\":\"charge\""), "{told}");
}

#[tokio::test]
async fn switches_change_while_it_runs_and_wrong_ones_are_refused() {
    let running = running(|_| {}).await;
    let body = r#"{"faults": "any:503-html-before=1x", "phpxml": true}"#;
    assert!(asked(&running, &request("POST", "/sim/config", body)).await.contains("\"ok\":true"));
    assert!(asked(&running, &place(1)).await.starts_with("HTTP/1.1 503 "));
    assert!(asked(&running, &place(1)).await.contains("<?phpxml version"));
    let answer = asked(&running, &request("POST", "/sim/config", r#"{"fault": ""}"#)).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("unknown field `fault`"), "{answer}");
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused() {
    let error = start(Options::default(), "0.0.0.0:0".parse().unwrap()).await.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_stop_ends_hanging_requests_and_keeps_the_books() {
    let running = running(with_faults("hang-after=1x")).await;
    let stream = sent(&running, &place(1)).await;
    while running.ledger().charges == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.stop().await.charges, 1);
    assert_eq!(received(stream).await, "");
}

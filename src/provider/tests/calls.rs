//! What is sent, what never leaves the client, limits, and what is proven when nothing was sent.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use rstest::rstest;

use super::server::{Act, Seen, Server, http, ok};
use super::*;
use crate::provider::{ClientError, Provider};
use crate::types::{CallError, NotTaken};

/// The pairs of a form body, decoded.
fn pairs(request: &str) -> Vec<(String, String)> {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /gsmfusion_api/index.php HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-www-form-urlencoded\r\n"), "{head}");
    let url = reqwest::Url::parse(&format!("http://x/?{body}")).unwrap();
    url.query_pairs().into_owned().collect()
}

fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn an_order_sends_one_imei_and_the_parameters_of_its_service() {
    let server = Server::start(vec![Act::Answer(ok(&taken(1, ours())))]).await;
    let client = client(&ProviderConfig { user_id: "a&b=c ü".to_owned(), ..at(server.address) });
    let params = named(&[("serviceId", "5&imei=1"), ("other", "")]);
    client.place(&PlaceOrder { params, ..order() }).await;
    drop(client);
    let imei = ours().to_string();
    assert_eq!(
        pairs(&server.finish().await.requests[0]),
        named(&[
            ("apiKey", KEY),
            ("userId", "a&b=c ü"),
            ("action", "placeorder"),
            ("imei", &imei),
            ("networkId", "1739"),
            ("serviceId", "5&imei=1"),
            ("other", ""),
        ])
    );
}

#[rstest]
#[case("imei")]
#[case("IMEI")]
#[case("imei[]")]
#[case(" imei")]
#[case("imei\0")]
#[case("networkId")]
#[case("action")]
#[case("apikey")]
#[case("userId")]
#[case("")]
#[case("a.b")]
#[tokio::test]
async fn a_parameter_that_php_could_take_for_a_reserved_one_sends_nothing(#[case] name: &str) {
    let server = Server::start(vec![Act::Answer(ok(&taken(1, ours())))]).await;
    let client = client(&at(server.address));
    let reply = client.place(&PlaceOrder { params: named(&[(name, "x")]), ..order() }).await;
    drop(client);
    assert!(matches!(reply.outcome, Placed::NotTaken(NotTaken::NotSent(_))), "{reply:?}");
    assert_eq!(server.finish().await.connections, 0);
}

/// Asks a server that answers so, and tells what it saw.
async fn ask<T, F: AsyncFnOnce(&GsmFusion) -> T>(script: Vec<Act>, call: F) -> (T, Seen) {
    let server = Server::start(script).await;
    let client = client(&at(server.address));
    let told = call(&client).await;
    drop(client);
    (told, server.finish().await)
}

#[tokio::test]
async fn orders_are_asked_for_by_their_ids_in_one_call() {
    let body = ok("<result><imeis><id>7</id><statusId>2</statusId></imeis></result>");
    let (orders, seen) =
        ask(vec![Act::Answer(body)], async |client| client.orders(&[id(7), id(8)]).await).await;
    assert_eq!(orders.unwrap()[0].id, id(7));
    assert_eq!(pairs(&seen.requests[0])[2..], named(&[("action", "getimeis"), ("orderIds", "7,8")]));
    let (none, seen) = ask(Vec::new(), async |client| client.orders(&[]).await).await;
    assert_eq!((none, seen.connections), (Ok(Vec::new()), 0), "no ids would mean all orders");
}

#[tokio::test]
async fn recent_orders_are_asked_for_without_ids_and_then_with_zero() {
    let one = || Act::Answer(ok("<result><imeis><id>7</id></imeis></result>"));
    let none = || Act::Answer(ok("<result></result>"));
    let refused = || Act::Answer(ok("<error>Invalid Order ID</error>"));
    let broken = || Act::Answer(http("502 Bad Gateway", "", ""));
    for (script, expected, calls) in [
        (vec![one()], Ok(1), 1),
        (vec![broken()], Err(CallError::Http(502)), 1),
        (vec![none(), one()], Ok(1), 2),
        (vec![refused(), one()], Ok(1), 2),
        (vec![none(), refused()], Ok(0), 2),
        (vec![refused(), refused()], Err(CallError::InvalidOrderId), 2),
        (vec![none(), broken()], Err(CallError::Http(502)), 2),
    ] {
        let (recent, seen) = ask(script, async |client| client.recent().await).await;
        assert_eq!((recent.map(|orders| orders.len()), seen.requests.len()), (expected, calls));
        assert_eq!(pairs(&seen.requests[0])[2..], named(&[("action", "getimeis")]));
        if let Some(second) = seen.requests.get(1) {
            assert_eq!(pairs(second)[3..], named(&[("orderIds", "0")]));
        }
    }
}

#[tokio::test]
async fn the_account_and_the_services_are_asked_for() {
    let body = ok("<Client><ClientCredits>$ 150.00 USD</ClientCredits></Client>");
    let (account, seen) = ask(vec![Act::Answer(body)], async |client| client.account().await).await;
    assert_eq!(account.unwrap().balance, "150".parse().ok());
    assert_eq!(pairs(&seen.requests[0])[2..], named(&[("action", "accountinfo")]));
    let body = ok("<Packages></Packages>");
    let (services, seen) = ask(vec![Act::Answer(body)], async |client| client.services().await).await;
    assert_eq!(services, Ok(Vec::new()));
    assert_eq!(pairs(&seen.requests[0])[2..], named(&[("action", "imeiservices")]));
}

#[tokio::test]
async fn a_body_without_an_end_is_left_at_the_limit() {
    let head = || Act::Flood("HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\n\r\n".to_owned());
    let (reply, seen) = ask(vec![head()], async |client| client.place(&order()).await).await;
    assert_eq!(reply.body.len(), 1 << 20);
    assert_eq!(doubt(reply.outcome).what, "HTTP 200, but the body is larger than 1048576 bytes");
    assert_eq!(seen.requests.len(), 1);
    // What was sent but not read lies in the kernel's buffers, which are far below this.
    assert!(seen.flooded < 64 << 20, "{}", seen.flooded);
    let (account, _) = ask(vec![head()], async |client| client.account().await).await;
    assert!(matches!(account, Err(CallError::Unreadable(_))), "{account:?}");
}

#[tokio::test]
async fn the_key_is_in_no_answer_error_or_debug_text() {
    let encoded = "K3Y-A%26B%2Bsecret%2F0123456789";
    let in_xml = KEY.replace('&', "&amp;");
    for text in [KEY, encoded, &in_xml] {
        let echo = format!("<error>apiKey={text} is wrong, {text}</error>");
        for script in [
            Act::Answer(ok(&echo)),
            Act::Answer(http("500 x", "", &echo)),
            Act::Close(format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{echo}")),
            Act::Close(format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n<e>{}", &text[..12])),
            Act::Close(format!("{text}\r\n\r\n")),
        ] {
            let (reply, _) = ask(vec![script.clone()], async |client| client.place(&order()).await).await;
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            assert!(!body.contains(&text[..8]), "{body}");
            assert!(!format!("{:?}", reply.outcome).contains(&text[..8]), "{:?}", reply.outcome);
            let (account, _) = ask(vec![script], async |client| client.account().await).await;
            let words = format!("{account:?} {}", account.as_ref().unwrap_err());
            assert!(!words.contains(&text[..8]), "{words}");
        }
    }
    let (shown, _) = ask(Vec::new(), async |client| format!("{client:?} {client:#?}")).await;
    assert!(shown.contains("reseller") && !shown.contains("K3Y"), "{shown}");
}

#[rstest]
#[case("")]
#[case("  \n")]
#[case("two words")]
#[case("schlüssel")]
fn a_text_that_can_be_no_key_is_refused(#[case] key: &str) {
    let made = GsmFusion::new(&config("https://provider.test".into()), key.into(), clock());
    assert_eq!(made.err(), Some(ClientError::Key));
}

#[test]
fn what_can_not_be_used_of_the_config_is_told_without_the_secrets_in_it() {
    let base = || config("https://provider.test".into());
    let why = |config: &ProviderConfig| {
        let key = format!("{KEY}\n");
        GsmFusion::new(config, key.into(), clock())
            .map(|client| format!("{client:?}"))
            .map_err(|e| e.to_string())
    };
    for address in ["https://provider.test", "https://provider.test/", "http://127.0.0.1:8080/shop"] {
        let made = why(&ProviderConfig { base_url: address.into(), ..base() });
        assert!(made.is_ok(), "{made:?}");
    }
    for address in
        ["", "provider.test", "ftp://provider.test", "https://", "https://provider.test/?a=b", "data:x"]
    {
        let refused = why(&ProviderConfig { base_url: address.into(), ..base() });
        assert!(refused.as_ref().is_err_and(|why| why.starts_with("base_url")), "{refused:?}");
    }
    let proxy = why(&ProviderConfig { proxy: Some("http://u:hunter2@[::x".into()), ..base() }).unwrap_err();
    assert!(proxy.starts_with("proxy: ") && !proxy.contains("hunter2"), "{proxy}");
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let missing = why(&ProviderConfig { ca_file: Some(ca_file.clone()), ..base() }).unwrap_err();
    assert!(missing.starts_with("ca_file") && missing.contains("No such file"), "{missing}");
    for content in ["", "no certificate", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&ca_file, content).unwrap();
        let refused = why(&ProviderConfig { ca_file: Some(ca_file.clone()), ..base() }).unwrap_err();
        assert!(refused.starts_with("ca_file"), "{refused}");
    }
}

async fn not_sent(config: &ProviderConfig) -> String {
    let reply = client(config).place(&order()).await;
    assert_eq!((reply.http, reply.body.len()), (None, 0));
    match reply.outcome {
        Placed::NotTaken(NotTaken::NotSent(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_refused_connection_is_proof_that_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let why = not_sent(&at(address)).await;
    assert!(why.contains("refused") && !why.contains("gsmfusion"), "{why}");
    let account = client(&at(address)).account().await;
    assert!(matches!(account, Err(CallError::Unreachable(_))), "{account:?}");
}

#[tokio::test]
async fn a_host_that_no_one_knows_is_proof_that_nothing_was_sent() {
    not_sent(&config("http://nonexistent.invalid".into())).await;
}

/// A server that answers the first bytes of every connection with `answer`, and then waits until the client leaves.
fn below_tls(answer: &'static [u8]) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut hello = [0; 4096];
            let greeted = stream.read(&mut hello).is_ok() && stream.write_all(answer).is_ok();
            while greeted && stream.read(&mut hello).is_ok_and(|count| count > 0) {}
        }
    });
    address
}

#[tokio::test]
async fn garbage_in_the_tls_handshake_is_proof_that_nothing_was_sent() {
    let address = below_tls(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    not_sent(&config(format!("https://{address}"))).await;
}

#[tokio::test]
async fn a_tls_handshake_that_never_ends_is_proof_that_nothing_was_sent() {
    let connect_timeout = Duration::from_millis(300);
    let config = ProviderConfig { connect_timeout, ..config(format!("https://{}", below_tls(b""))) };
    assert_eq!(not_sent(&config).await, "no connection within 300ms");
}

#[tokio::test]
async fn the_configured_address_is_connected_from_and_the_proxy_asked() {
    let server = Server::start(vec![Act::Answer(ok(&taken(1, ours())))]).await;
    let proxy = format!("http://{}", server.address);
    let bind = Some("127.0.0.1".parse().unwrap());
    let config = ProviderConfig { proxy: Some(proxy), bind, ..config("http://provider.invalid".into()) };
    let client = client(&config);
    assert_eq!(client.place(&order()).await.outcome, Placed::Taken(id(1)));
    drop(client);
    let seen = server.finish().await;
    assert!(seen.requests[0].starts_with("POST http://provider.invalid/gsmfusion_api/index.php"), "{seen:?}");
}

#[test]
fn no_key_goes_to_an_address_that_stands_for_any() {
    let made = |url: &str| GsmFusion::new(&config(url.to_owned()), KEY.into(), clock()).map(drop);
    let examples = ["https://example.com", "https://www.Example.ORG./panel", "https://panel.example"];
    for url in examples {
        let error = made(url).unwrap_err();
        assert!(error.to_string().contains("write your provider's address"), "{error}");
    }
    for url in ["https://myexample.com", "https://example.com.de", "https://provider.test"] {
        assert_eq!(made(url), Ok(()));
    }
}

//! Tests of the client: what answers mean, and what is seen at the socket.

mod ahead;
mod answers;
mod calls;
mod kept;
mod leaves;
mod once;
mod properties;
mod refusals;
pub(crate) mod server;
mod shapes;

use std::net::SocketAddr;
use std::time::Duration;

use super::wire::{Answer, BodyEnd};
use super::{GsmFusion, PlaceOrder, place};
use crate::clock::Clock;
use crate::config::{ListRecent, ProviderConfig};
use crate::types::{Imei, NetworkId, Placed, ProviderOrderId, Timestamp, Unclear};

/// A key with characters that forms and XML write in another way.
const KEY: &str = "K3Y-A&B+secret/0123456789";

fn ours() -> Imei {
    Imei::from_parts(35_547_349, 605_456)
}

fn other() -> Imei {
    Imei::from_parts(35_547_349, 605_457)
}

fn id(number: u64) -> ProviderOrderId {
    ProviderOrderId(number)
}

fn config(base_url: String) -> ProviderConfig {
    ProviderConfig {
        base_url,
        user_id: "reseller".to_owned(),
        api_key_file: None,
        account: "reseller".to_owned(),
        account_is_set: false,
        timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(10),
        proxy: None,
        ca_file: None,
        bind: None,
        list_recent: ListRecent::Auto,
        allow_http: false,
        shared_account: false,
    }
}

pub(crate) fn at(address: SocketAddr) -> ProviderConfig {
    config(format!("http://{address}"))
}

/// 2026-11-24T00:00:00Z.
fn clock() -> Clock {
    Clock::from_fn(|| Timestamp::from_millis(1_795_478_400_000))
}

fn client(config: &ProviderConfig) -> GsmFusion {
    GsmFusion::new(config, KEY.into(), clock()).unwrap()
}

fn order() -> PlaceOrder {
    PlaceOrder { network_id: NetworkId("1739".to_owned()), imei: ours(), params: Vec::new(), apart: false }
}

/// PROVIDER's example of an order taken, for this IMEI.
pub(crate) fn taken(id: u64, imei: Imei) -> String {
    format!("<result><imeis><id>{id}</id><imei>{imei}</imei><status>Pending</status></imeis></result>")
}

/// An answer whose body came whole.
fn answer(http: u16, body: impl AsRef<[u8]>) -> Answer {
    Answer { http, retry_after: None, body: body.as_ref().to_vec(), end: BodyEnd::Whole }
}

/// What a whole body under HTTP 200 proves about the order for [`ours`].
fn sort(body: impl AsRef<[u8]>) -> Placed {
    place::sort(ours(), &answer(200, body))
}

#[track_caller]
fn doubt(placed: Placed) -> Unclear {
    match placed {
        Placed::Unclear(unclear) => unclear,
        other => panic!("not unclear: {other:?}"),
    }
}

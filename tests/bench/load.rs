//! A plain load generator: the daemon's own request, as fast as it goes over kept connections, and nothing beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::machine;
use crate::place::{CONNECTIONS, imei};

/// What its orders took.
pub(crate) struct Load {
    pub(crate) wall: Duration,
    /// Of its one thread.
    pub(crate) cpu: Duration,
}

/// Orders so many IMEIs from this number on.
pub(crate) fn run(url: &str, from: u32, orders: u32) -> Result<Load> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().http1_only().tcp_nodelay(true).build()?;
        let endpoint: reqwest::Url = format!("{url}/gsmfusion_api/index.php").parse()?;
        let next = Arc::new(AtomicU32::new(0));
        let (began, used) = (Instant::now(), machine::cpu_here()?);
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (client, endpoint, next) = (client.clone(), endpoint.clone(), Arc::clone(&next));
            calls.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= orders {
                        return anyhow::Ok(());
                    }
                    let imei = imei(from + n).to_string();
                    let form = [
                        ("apiKey", "a-key-of-no-account"),
                        ("userId", "bench"),
                        ("action", "placeorder"),
                        ("imei", &imei),
                        ("networkId", "1739"),
                    ];
                    let answer = client.post(endpoint.clone()).form(&form).send().await?.text().await?;
                    ensure!(answer.contains(&imei), "{answer}");
                }
            });
        }
        while let Some(ended) = calls.join_next().await {
            ended??;
        }
        Ok(Load { wall: began.elapsed(), cpu: machine::cpu_here()?.saturating_sub(used) })
    })
}

//! The simulator, as the daemon's process sees it: over HTTP.

use std::net::SocketAddr;

use imeid::simulator::{self, Change, LedgerSummary, Options, OrderLine, Running};

/// A provider on loopback, in a thread of its own.
pub(crate) struct Sim {
    running: Option<Running>,
    runtime: tokio::runtime::Runtime,
}

impl Sim {
    pub(crate) fn start(options: Options) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let running = runtime.block_on(simulator::start(options, any)).unwrap();
        Self { running: Some(running), runtime }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        self.running().url()
    }

    pub(crate) fn ledger(&self) -> LedgerSummary {
        self.running().ledger()
    }

    pub(crate) fn orders(&self) -> Vec<OrderLine> {
        self.running().orders()
    }

    pub(crate) fn in_work(&self) -> usize {
        self.running().in_work()
    }

    pub(crate) fn change(&self, change: &Change) {
        self.running().change(change);
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }
}

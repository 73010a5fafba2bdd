//! `imeid simulate`: the simulator alone.

use tokio_util::sync::CancellationToken;

use super::{Exit, complain, runtime, say};
use crate::daemon::stop_on_signals;
use crate::simulator::{self, LedgerSummary, SimulateArgs};

pub(super) fn run(args: SimulateArgs) -> Exit {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let listen = args.listen;
    let stop = CancellationToken::new();
    if let Err(error) = stop_on_signals(stop.clone()) {
        complain(&format!("imeid: signals can't be received: {error}"));
        return Exit::Failed;
    }
    let outcome = runtime.block_on(async {
        let mut running = simulator::start(args.into(), listen).await?;
        say(&format!("listening on {}", running.url()));
        tokio::select! {
            ended = running.wait() => return ended,
            () = stop.cancelled() => {}
        }
        say(&summary(&running.stop().await));
        Ok(())
    });
    match outcome {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&format!("imeid: the simulator can't start on {listen}: {error}"));
            Exit::Failed
        }
    }
}

/// Its books, in words as the log's: counts first, then money.
fn summary(ledger: &LedgerSummary) -> String {
    let LedgerSummary { place_calls, other_calls, orders, refunds, paid_twice, .. } = ledger;
    let LedgerSummary { charged, refunded, balance, faults, .. } = ledger;
    let faults: u64 = faults.values().sum();
    format!(
        "stopped place_calls={place_calls} other_calls={other_calls} orders={orders} refunds={refunds} \
         paid_twice={paid_twice} faults={faults} charged={charged} refunded={refunded} balance={balance}"
    )
}

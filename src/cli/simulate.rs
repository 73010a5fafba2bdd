//! `imeid simulate`: the simulator alone.

use super::{Exit, complain, runtime, say};
use crate::simulator::{self, SimulateArgs};

pub(super) fn run(args: SimulateArgs) -> Exit {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let listen = args.listen;
    let outcome = runtime.block_on(async {
        let mut running = simulator::start(args.into(), listen).await?;
        say(&format!("listening on {}", running.url()));
        running.wait().await
    });
    match outcome {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&format!("imeid: the simulator can't start on {listen}: {error}"));
            Exit::Failed
        }
    }
}

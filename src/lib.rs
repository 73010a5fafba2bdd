//! `imeid` orders a check for every IMEI in the CSV files dropped into a folder, once each, and puts the results back as CSV.
//!
//! # The map
//!
//! The journal is the only bus: a stage reads its work from it, does one unit, writes the next state, and rings a bell
//! without a payload for whoever may have work now. Stages never call each other. A bell that is lost costs time, never
//! correctness, and recovery is starting the stages.
//!
//! ```text
//!  inbox > intake > [journal] > submit > [journal] > poll > [journal] > outbox
//!                       ^   |
//!                       +- settle (in doubt)
//! ```
//!
//! What a module may import from the others stands in the last column, by name or by layer; `tests/house` compares the
//! table with the tree and with every `use`. `pure` means: no I/O, no clock, no runtime, no database, no HTTP.
//!
//! | layer | module | holds | may import |
//! |---|---|---|---|
//! | pure | [`types`] | the domain's words as types: IMEI, money, time, ids, what a call can say | nothing |
//! | | [`order`] | the life of an order: one function from state and event to state and effects | `types` |
//! | | [`gate`] | whether an order may go now, or which brake holds it | `types`, `order` |
//! | | [`schedule`] | when something is tried again | `types`, `order` |
//! | | [`pace`] | how many calls go at once, how many attempts are claimed ahead, what failures do to both | `types`, `order`, `schedule` |
//! | | [`balance`] | what the provider's balance tells against the books | `types` |
//! | | [`result`] | a check's answer as fields; the words of `imeid_status`; the columns that imeid adds | `types` |
//! | | [`meter`] | calls on the wire, their rate and how long they take, for people | `types` |
//! | | [`words`] | numbers as people read them | `types` |
//! | adapters | [`clock`] | the machine's clock | `types` |
//! | | [`pulse`] | proof that the stages come round, for the watchdog | nothing |
//! | | [`durable`] | renaming, syncing and locking files; whose they are | nothing |
//! | | [`config`] | the configuration file and the API key's file | `types` |
//! | | [`provider`] | what the stages ask of a provider, and the HTTP client behind it | `types`, `config`, `clock`, `pulse` |
//! | | [`journal`] | every row, order, attempt, cent and event, in one SQLite file with one writer | `types`, `order`, `gate`, `schedule`, `balance`, `durable`, `clock`, `pulse` |
//! | | [`settings`] | the configuration in force, with the journal's numbers for its services | `types`, `config`, `journal` |
//! | | [`attempt`] | record, send, record: the only caller of `Provider::place` | `types`, `order`, `durable`, `journal`, `provider` |
//! | stages | [`inbox`] | finds dropped files, waits until they are complete, takes them | pure, adapters |
//! | | [`intake`] | files become batches, rows and orders, or are refused with a reason | pure, adapters, `inbox` |
//! | | [`submit`] | keeps the workers full with what the gate lets go | pure, adapters |
//! | | [`settle`] | settles what is in doubt, by evidence | pure, adapters, `inbox` |
//! | | [`poll`] | asks after orders until each is completed or rejected | pure, adapters |
//! | | [`outbox`] | writes results, whole or under a name that says they aren't | pure, adapters |
//! | shell | [`daemon`] | opens, wires, watches and stops the stages; the log | pure, adapters, stages |
//! | | [`status`] | how things stand, for people and as JSON | pure, adapters, `inbox`, `outbox`, `daemon` |
//! | | [`check`] | what is wrong before it costs anything | pure, adapters, `inbox`, `daemon` |
//! | | [`cli`] | the commands, one file each | everything |
//! | beside | [`simulator`] | a provider of our own, for tests and trials; it shares no code with the client | `types`, `clock` |
pub mod attempt;
pub mod balance;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod durable;
pub mod gate;
pub mod inbox;
pub mod intake;
pub mod journal;
pub mod meter;
pub mod order;
pub mod outbox;
pub mod pace;
pub mod poll;
pub mod provider;
pub mod pulse;
pub mod result;
pub mod schedule;
pub mod settings;
pub mod settle;
pub mod simulator;
pub mod status;
pub mod submit;
pub mod types;
pub mod words;

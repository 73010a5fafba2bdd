//! `imeid` orders a check for every IMEI in the CSV files dropped into a folder, once each, and puts the results back as CSV.
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod durable;
pub mod inbox;
pub mod intake;
pub mod journal;
pub mod order;
pub mod outbox;
pub mod poll;
pub mod provider;
pub mod result;
pub mod settle;
pub mod simulator;
pub mod submit;
pub mod types;

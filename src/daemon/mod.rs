//! The shell around the stages: wiring, signals, systemd, status.

pub mod log;

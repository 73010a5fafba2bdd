//! The configuration: the model, reading it from TOML, and checking it.

mod model;

pub use model::{
    Budget, Config, DoubtPolicy, Folders, InDoubtConfig, JournalConfig, ListRecent, LogConfig, LogFormat,
    LogImei, OutboxConfig, PollConfig, ProviderConfig, Service, SubmitConfig,
};

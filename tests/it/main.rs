//! The real binary, the simulator over HTTP, real folders and real signals. One module a capability.
//!
//! `#[cfg(test)]` is always true here; it tells the lints that all of this is test code.

#[cfg(test)]
mod beside;
#[cfg(test)]
mod check;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod config;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod front;
#[cfg(test)]
mod help;
#[cfg(test)]
mod journal_first;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod load;
#[cfg(test)]
mod notify;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod over_tls;
#[cfg(test)]
mod paused;
#[cfg(test)]
mod price;
#[cfg(test)]
mod pruned;
#[cfg(test)]
mod pulse;
#[cfg(test)]
mod put_back;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod reuse;
#[cfg(test)]
mod secret;
#[cfg(test)]
mod starts;
#[cfg(test)]
mod status;
#[cfg(test)]
mod stopped;
#[cfg(test)]
mod story;
#[cfg(test)]
mod support;
#[cfg(test)]
mod told;
#[cfg(test)]
mod unread;
#[cfg(test)]
mod whole_way;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod words;
#[cfg(test)]
mod worst;

//! The house's rules as code: which way modules may depend, who may call what, and that the map in `src/lib.rs`, the
//! README, the unit and the example configuration say what the code does.
//!
//! Every rule is a function that returns what breaks it, so that a test can also show it a planted violation.
//!
//! `#[cfg(test)]` is always true here; it tells the lints that all of this is test code.

#[cfg(test)]
mod code;
#[cfg(test)]
mod outside;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod source;

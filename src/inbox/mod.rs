//! Files that people drop: finding them, waiting until they are complete, taking them.
//!
//! Events are hints ([`Watcher`]); a look through the folders decides ([`Scanner`]), and comes every `rescan` whatever
//! was heard. When a file is complete is a pure matter of what was seen and when ([`Candidates`]). Taking is one rename
//! into `inbox/.taken/` ([`take`]). [`Inbox`] is the loop around them.
//!
//! # A file's way, and what start-up does
//!
//! Every step is durable before the next begins, and each can be done again. *The journal says* is the state of the
//! batch that was made of the file (matched by its place in `.taken`).
//!
//! | the file lies in | the journal says | what happened | start-up does |
//! |---|---|---|---|
//! | the inbox | nothing | not complete, or not taken yet | the next look finds it as if new: it settles again |
//! | `.taken`, an empty folder | nothing | a crash between making the folder and the rename | [`list_taken`] removes the folder |
//! | `.taken` | nothing | taken; the intake hadn't begun, or refuses it | [`list_taken`] gives it to the intake, which reads it, or moves it to `rejected/` |
//! | `.taken` | taking | not every row is committed: nothing of it was sent | the intake goes on, or reads it again from the start |
//! | `.taken` | working or later | every row is committed; a crash before the move | it is moved to `archive/` |
//! | `.taken` and `archive/` | working or later | a crash between copy and unlink, across filesystems | it is moved again, as `NAME-2`: a copy too many, never one too few |
//! | `.taken` and `rejected/` | nothing | likewise, for a refused one | it is refused again |
//! | `archive/` | working or later | done | nothing |
//! | `rejected/` | nothing | done | nothing |
//! | nowhere | taking | someone removed it from `.taken` by hand | the intake says so: an alarm; the rows that are committed are not sent |
//! | nowhere | working or later | someone removed it from `archive/` by hand | nothing: the journal has every row |
//!
//! A note in `rejected/` about a file that isn't taken goes when the file is taken or gone; notes that a crash left are
//! swept by the first look.

mod candidates;
mod hash;
mod names;
mod notice;
mod scan;
mod settings;
mod stage;
mod survey;
mod take;
#[cfg(test)]
mod tests;
mod waiting;
mod watch;

pub use candidates::{Candidates, ContentHash, Next, Stamp};
pub use hash::hash_file;
pub use names::{ignored, is_control};
pub use scan::{Scan, Scanner};
pub use settings::Settings;
pub use stage::{Inbox, take, taken_folder};
pub use survey::survey;
pub use take::{Ready, TAKEN, TakeError, Taken, list_taken};
pub use waiting::{Waiting, Why};
pub use watch::Watcher;

//! Why a status can't be read, and by whom it can.

use std::fmt;
use std::io;

use crate::durable::LockError;
use crate::journal::JournalError;

/// Why a status could not be read. Whom it is for comes first, where that is why.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The journal is there and can't be read.
    #[error("{}", for_whom(matches!(.0, JournalError::Unreachable { .. }), .0))]
    Journal(#[from] JournalError),
    /// Whether a daemon runs can't be told.
    #[error("{}", of_lock(.0))]
    Lock(#[from] LockError),
    /// The folder of the journal can't be looked into.
    #[error("{}", for_whom(.why.kind() == io::ErrorKind::PermissionDenied, &format_args!("the journal {path}: {why}")))]
    Unreachable {
        /// The journal.
        path: String,
        /// What the system says.
        why: io::Error,
    },
    /// There is no journal that says what is in the inbox, and the inbox can't be looked into.
    #[error("{}", for_whom(true, &format_args!("the inbox {path}: {why}")))]
    Inbox {
        /// The inbox.
        path: String,
        /// What the system says.
        why: io::Error,
    },
}

fn of_lock(error: &LockError) -> String {
    match error {
        LockError::Io { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
            for_whom(true, &format_args!("{}: {source}", path.display()))
        }
        other => other.to_string(),
    }
}

fn for_whom(is_denied: bool, error: &dyn fmt::Display) -> String {
    if is_denied {
        format!("this is for root and the user that imeid runs as: try it with sudo ({error})")
    } else {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_look_is_told_so_first() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let path = std::path::PathBuf::from("/var/lib/imeid/journal.db");
        let for_whom = "this is for root and the user that imeid runs as: try it with sudo (";
        let lock = |source| StatusError::from(LockError::Io { path: path.clone(), source });
        let why = |why| StatusError::Unreachable { path: path.display().to_string(), why };
        let inbox = StatusError::Inbox { path: path.display().to_string(), why: denied() };
        for error in [lock(denied()), why(denied()), inbox] {
            let told = error.to_string();
            assert!(told.starts_with(for_whom) && told.contains("/var/lib/imeid/journal.db"), "{told}");
            assert!(!told.contains("writable"), "he has nothing to mend: {told}");
        }
        for error in [lock(io::Error::other("broken")), why(io::Error::other("broken"))] {
            let told = error.to_string();
            assert!(told.contains("broken") && !told.contains("sudo"), "{told}");
        }
    }
}

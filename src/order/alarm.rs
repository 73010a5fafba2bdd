//! Alarms by name: what a person must see, until its cause is gone or someone has seen it.

/// What a person must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alarm {
    /// Two orders at the provider for one of ours.
    DoubleCharge,
    /// The provider answered with what is another order's.
    WrongAnswer,
    /// A finished order changed its status.
    StatusChanged,
    /// An event that the table has no row for.
    IllegalEvent,
    /// The journal's own rules caught a mistake.
    Journal,
    /// The balance fell by more than the books explain.
    Balance,
    /// A provider that isn't proven to refuse duplicates took a first probe, or may have.
    Duplicates,
    /// A file that was taken is gone before it was read.
    FileGone,
    /// A file was written to after it was taken.
    FileChanged,
    /// A file can't be taken, or put into `archive/` or `rejected/`.
    Intake,
    /// Results can't be put into the outbox.
    Outbox,
    /// The stamp by which an older copy of the journal is known can't be written.
    Stamp,
    /// The journal is an older copy.
    OlderCopy,
    /// Another journal worked with these folders.
    OtherJournal,
    /// Doubts wait for the provider's listing, and it doesn't come.
    Listing,
    /// Doubts are held that no listing reaches back to any more.
    OutOfReach,
    /// Doubts wait of which the provider's list can't show that they were not taken.
    NoProof,
    /// A part of the daemon ended by a fault of its own.
    Stage,
    /// The inbox can't be looked through any more, by a fault of our own.
    Inbox,
    /// An export can't be taken or read, by a fault of our own.
    Reconcile,
}

impl Alarm {
    /// The alarm's name in logs and in `status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DoubleCharge => "double_charge",
            Self::WrongAnswer => "wrong_answer",
            Self::StatusChanged => "status_changed",
            Self::IllegalEvent => "illegal_event",
            Self::Journal => "journal",
            Self::Balance => "balance",
            Self::Duplicates => "duplicates",
            Self::FileGone => "file_gone",
            Self::FileChanged => "file_changed",
            Self::Intake => "intake",
            Self::Outbox => "outbox",
            Self::Stamp => "stamp",
            Self::OlderCopy => "older_copy",
            Self::OtherJournal => "other_journal",
            Self::Listing => "listing",
            Self::OutOfReach => "out_of_reach",
            Self::NoProof => "no_proof",
            Self::Stage => "stage",
            Self::Inbox => "inbox",
            Self::Reconcile => "reconcile",
        }
    }
}

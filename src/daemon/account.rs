//! What paid orders are remembered under: whether the journal knows the account, and for which provider.

use std::fmt;

use super::DaemonError;
use crate::config::Config;
use crate::journal::{Journal, JournalError, View};

/// What a journal remembers of a configuration's account. Prints as what a person should know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// The account at its address.
    Same,
    /// Nothing yet, and no other account either; or its address alone, under which nothing was ever sent.
    Nothing,
    /// Orders under these other accounts only: an IMEI of theirs is new under this one.
    Others {
        /// The configured account.
        account: String,
        /// The accounts that there are orders under.
        known: Vec<String>,
    },
    /// The account with another address, and the configuration says by an account of its own that it moved.
    Moves {
        /// The account.
        account: String,
        /// The address that it is remembered for.
        known: String,
        /// The address that the configuration names.
        now: String,
    },
    /// The account with another address: the daemon doesn't start.
    OtherProvider {
        /// The account.
        account: String,
        /// The address that it is remembered for.
        known: String,
        /// The address that the configuration names.
        now: String,
    },
}

impl fmt::Display for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("the journal remembers its orders"),
            Self::Nothing => f.write_str("the journal remembers no order yet"),
            Self::Others { account, known } => write!(
                f,
                "the journal remembers no order under \"{account}\", but some under {}: an IMEI that was paid for there is \
                 paid for again. If it is the same account at the provider, set [provider] account to that name",
                known.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
            ),
            Self::Moves { account, known, now } => write!(
                f,
                "the account \"{account}\" is remembered for {known}: once the daemon has started with this address its orders count as those of {now}"
            ),
            Self::OtherProvider { account, known, now } => write!(
                f,
                "the account \"{account}\" is remembered for {known}, and the config says {now}: orders of one provider \
                 would be taken for those of the other. If it is the same account at a new address, write account = \
                 \"{account}\" in [provider]. Only for another account write a new name there: nothing is known under it, so \
                 every IMEI is paid for anew. If the address is wrong, set base_url back"
            ),
        }
    }
}

/// What the journal remembers of the configured account.
///
/// # Errors
/// The journal can't be read.
pub fn remembered(view: &View, config: &Config) -> Result<Remembered, JournalError> {
    let account = config.provider.account.clone();
    let now = config.provider.base_url.clone();
    Ok(match view.known_url(&account)? {
        Some(known) if known == now => Remembered::Same,
        // A first start with a wrong address.
        Some(_) if !view.was_used(&account)? => Remembered::Nothing,
        Some(known) if config.provider.account_is_set => Remembered::Moves { account, known, now },
        Some(known) => Remembered::OtherProvider { account, known, now },
        None => match view.accounts_with_orders()? {
            known if known.is_empty() => Remembered::Nothing,
            known => Remembered::Others { account, known },
        },
    })
}

/// Another provider under a known account would make one's orders pass for the other's. What is worth a person's look
/// is logged.
pub(super) async fn check(journal: &Journal, config: &Config) -> Result<(), DaemonError> {
    let terms = config.clone();
    let found = journal.read(move |view| remembered(view, &terms)).await?;
    let is_free = found == Remembered::Nothing || config.provider.account_is_set;
    match found {
        Remembered::Same | Remembered::Nothing => {}
        found @ Remembered::OtherProvider { .. } => return Err(DaemonError::OtherProvider(found)),
        // This is the start that the text for a check speaks of.
        Remembered::Moves { account, known, now } => tracing::warn!(
            "the account \"{account}\" was remembered for {known}: from now on its orders count as those of {now}"
        ),
        found @ Remembered::Others { .. } => tracing::warn!("{found}"),
    }
    let provider = &config.provider;
    journal.account_url(provider.account.clone(), provider.base_url.clone(), is_free).await?;
    Ok(())
}

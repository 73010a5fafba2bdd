//! What each order in doubt waits for, and until when.

use serde::Serialize;

use crate::config::{Config, DoubtPolicy};
use crate::gate::Scope;
use crate::journal::{Doubt, JournalError, View};
use crate::order::PauseReason;
use crate::schedule;
use crate::settings;
use crate::types::Timestamp;

/// So many are told of one by one: the first.
pub(super) const TOLD: u32 = 20;

/// An order in doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DoubtLine {
    /// Its IMEI.
    pub imei: String,
    /// Its service, by our name.
    pub service: String,
    /// When its latest doubt began.
    pub since: Timestamp,
    /// What it waits for, in a word.
    pub waits_for: WaitsFor,
    /// Likewise, for people.
    pub text: String,
    /// `quiet_period`: when that is over. Else when the order is held, if nothing has settled it by then, or later where the
    /// daemon didn't run all the time. `None`: it isn't known.
    pub until: Option<Timestamp>,
}

/// What an order in doubt waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// That its quiet period is over.
    QuietPeriod,
    /// What the provider's list of orders shows.
    Listing,
    /// Newer orders of ours, without which that list doesn't show that this one wasn't taken.
    NewerOrders,
    /// More than that list shows.
    Proof,
    /// To be sent once more, which costs nothing where duplicates are refused.
    Probe,
    /// A person, who has an alarm to see before any is sent once more.
    Word,
    /// That it is held, for a person.
    Hold,
}

/// What the configuration and the journal say of doubts.
pub(super) struct Terms {
    can_list: Option<bool>,
    known: Option<(std::time::Duration, std::time::Duration, DoubtPolicy)>,
    /// What keeps everything from being sent.
    paused_by: Option<PauseReason>,
}

impl Terms {
    /// `config`: `None` where it has errors.
    pub(super) fn read(view: &View, config: Option<&Config>) -> Result<Self, JournalError> {
        let can_list =
            config.map(|config| settings::can_list_as_last_told(view, config)).transpose()?.flatten();
        let known = config.map(|config| {
            let doubt = &config.in_doubt;
            (doubt.quiet, doubt.probe_within, doubt.policy)
        });
        let all = view.pauses()?.into_iter().find(|pause| pause.scope == Scope::All);
        Ok(Self { can_list, known, paused_by: all.map(|pause| pause.reason) })
    }

    /// What a doubt waits for.
    pub(super) fn line(&self, doubt: &Doubt, service: String, now: Timestamp) -> DoubtLine {
        let waits_for = self.waits_for(doubt);
        let text = match waits_for {
            WaitsFor::QuietPeriod => "its quiet period".to_owned(),
            WaitsFor::Listing => "the provider's list of orders to show whether it was taken".to_owned(),
            WaitsFor::NewerOrders => {
                "newer orders of yours: a list that has one shows whether this one was taken".to_owned()
            }
            WaitsFor::Proof => format!(
                "the provider's export in reconcile/, or your imeid resolve: {}",
                doubt.lacks.as_deref().unwrap_or_default()
            ),
            WaitsFor::Probe => match self.paused_by {
                None => "its turn to be sent once more: nothing else settles it".to_owned(),
                Some(reason) => format!("the end of the pause {}, to be sent once more", reason.as_str()),
            },
            WaitsFor::Word => {
                "you: the alarm duplicates says why it isn't sent once more, and what to do".to_owned()
            }
            WaitsFor::Hold => "being held: then it is a person's".to_owned(),
        };
        let until = self.until(doubt, waits_for).filter(|at| *at > now);
        DoubtLine { imei: doubt.imei.to_string(), service, since: doubt.since, waits_for, text, until }
    }

    fn waits_for(&self, doubt: &Doubt) -> WaitsFor {
        let holds = self.known.is_some_and(|(.., policy)| policy == DoubtPolicy::Hold);
        match self.can_list {
            _ if !doubt.has_rested => WaitsFor::QuietPeriod,
            Some(false) if holds => WaitsFor::Hold,
            // Only where the provider doesn't list.
            _ if doubt.waits_for_word => WaitsFor::Word,
            Some(false) => WaitsFor::Probe,
            _ if doubt.waits_for_newer() => WaitsFor::NewerOrders,
            _ if doubt.lacks_proof() => WaitsFor::Proof,
            _ => WaitsFor::Listing,
        }
    }

    fn until(&self, doubt: &Doubt, waits_for: WaitsFor) -> Option<Timestamp> {
        let (quiet, probe_within, _) = self.known?;
        let may_list = self.can_list != Some(false) && waits_for != WaitsFor::Word;
        Some(match waits_for {
            WaitsFor::QuietPeriod => doubt.since.plus(quiet),
            _ => doubt.first.plus(schedule::doubt_patience(probe_within, may_list)),
        })
    }
}

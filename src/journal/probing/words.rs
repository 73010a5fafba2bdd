//! What the alarm `duplicates` says: what was seen, why the balance can't tell where it can't, and what to do.

use super::{CantTell, Weighed};

/// The alarm's text; `None`: there is nothing to be said.
pub(super) fn of(weighed: Weighed) -> Option<String> {
    let (seen, mend) = match weighed {
        Weighed::Nothing | Weighed::Later => return None,
        Weighed::CantTell(why) => {
            let (why, mend) = of_what_cant_be_told(why);
            (format!("{SENT_ONCE_MORE}: {why}"), mend)
        }
        Weighed::Unlikely => (NONE_REFUSED.to_owned(), ""),
    };
    Some(format!("{seen}. This provider may charge duplicates. {AND_NOW}{mend}"))
}

const SENT_ONCE_MORE: &str = "an order in doubt was sent once more and not refused as a duplicate, or its answer was lost, and \
     the balance doesn't show what that cost";

const NONE_REFUSED: &str = "orders in doubt were sent once more, one at a time, and none was refused as a duplicate, though \
     the balance shows that some of those in doubt were taken";

const AND_NOW: &str = "Nothing in doubt is sent again until a person has seen \
     this. Drop the provider's export into reconcile/, or look the IMEIs \
     up there and say what you found (imeid resolve). Where it charges duplicates set policy = \"hold\" in [in_doubt]; where it \
     refuses them free of charge, imeid ack of this alarm lets the next order in doubt be sent to find out, and once one was refused the others follow";

/// What a doubt waits for meanwhile.
pub const WAITS_FOR_WORD: &str = "the provider may charge duplicates, and sent again it could be paid twice: an alarm tells why \
     (imeid status), and imeid ack of it lets one be sent to find out";

/// What an order that was charged twice shows, behind the words that say so.
pub(super) const CHARGES_DUPLICATES: &str = "It was sent twice, as the first answer was lost, and not refused: this provider \
     charges duplicates. What is in doubt is held from now on, and nothing of it is sent again until a person has seen this. \
     Set policy = \"hold\" in [in_doubt] before imeid ack of this alarm";

/// Why, and what mends it before the next one is sent.
const fn of_what_cant_be_told(why: CantTell) -> (&'static str, &'static str) {
    match why {
        CantTell::NotTold => ("the provider tells no balance, or it can't be read", ""),
        CantTell::Shared => ("others order with this account too (shared_account = true)", ""),
        CantTell::NotKnownBefore => ("none is known from before what is in doubt", ""),
        CantTell::FellByLess => (
            "it fell by less than is known to be charged, as after a top-up, or where an order costs less than the price in \
             imeid.toml",
            ". First compare that price with what imeid services tells: with a wrong one no balance can tell",
        ),
        CantTell::GivenBack => (
            "orders have ended rejected, and what is given back for them hides what was taken, or hasn't come yet",
            "",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_words_of_its_own_and_says_what_to_do() {
        let reasons = [
            CantTell::NotTold,
            CantTell::Shared,
            CantTell::NotKnownBefore,
            CantTell::FellByLess,
            CantTell::GivenBack,
        ];
        let mut told: Vec<_> = reasons.into_iter().filter_map(|why| of(Weighed::CantTell(why))).collect();
        told.extend(of(Weighed::Unlikely));
        assert!(told.iter().all(|text| text.contains("reconcile/") && text.contains("imeid ack")));
        told.sort();
        told.dedup();
        assert_eq!(told.len(), 6);
        assert_eq!([of(Weighed::Nothing), of(Weighed::Later)], [None, None]);
    }
}

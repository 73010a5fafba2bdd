//! What the provider calls its services, and which of ours an order is of by that: it tells a title and no number.

use std::collections::{BTreeMap, BTreeSet};

use super::ServiceId;

type ByService = BTreeMap<ServiceId, BTreeSet<String>>;

/// The titles of an account's services: as the provider lists them, and as it told them of orders of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Titles {
    listed: ByService,
    seen: ByService,
}

/// Of which service a title is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TitleOf {
    /// Of none that is known.
    Nobody,
    /// Of this one.
    One(ServiceId),
    /// Of several: it can't be told which one is meant.
    Several,
}

/// A title in the form that is compared: capitals and blanks don't matter.
fn key(title: &str) -> String {
    let mut key = String::with_capacity(title.len());
    for word in title.split_whitespace() {
        if !key.is_empty() {
            key.push(' ');
        }
        key.push_str(word);
    }
    if key.is_ascii() {
        key.make_ascii_lowercase();
        key
    } else {
        key.to_lowercase()
    }
}

fn has(titles: &ByService, service: ServiceId, key: &str) -> bool {
    titles.get(&service).is_some_and(|titles| titles.contains(key))
}

impl Titles {
    /// The provider lists a service under this title.
    pub fn list(&mut self, service: ServiceId, title: &str) {
        self.listed.entry(service).or_default().insert(key(title));
    }

    /// An order of ours for this service was told of under this title.
    pub fn see(&mut self, service: ServiceId, title: &str) {
        self.seen.entry(service).or_default().insert(key(title));
    }

    /// Whether any title of the service is known.
    #[must_use]
    pub fn knows(&self, service: ServiceId) -> bool {
        self.listed.contains_key(&service) || self.seen.contains_key(&service)
    }

    /// Whether orders of this service were told of under this title before.
    #[must_use]
    pub fn has_seen(&self, service: ServiceId, title: &str) -> bool {
        has(&self.seen, service, &key(title))
    }

    /// The service whose title this is, where it isn't this one's: an order that is told of under it isn't of this service.
    /// `None` where it may be. Listed titles are held against listed ones, seen against seen: a provider can call a service
    /// otherwise at its orders than in its list.
    #[must_use]
    pub fn anothers(&self, service: ServiceId, title: &str) -> Option<ServiceId> {
        let title = key(title);
        if title.is_empty() || has(&self.listed, service, &title) || has(&self.seen, service, &title) {
            return None;
        }
        let among = |titles: &ByService| {
            let other = titles.iter().find(|(_, titles)| titles.contains(&title)).map(|(other, _)| *other);
            other.filter(|_| titles.contains_key(&service))
        };
        among(&self.listed).or_else(|| among(&self.seen))
    }

    /// Of which service a title is. What the provider lists counts more than what was told of one order: a service whose
    /// orders go by its listed title isn't meant by another one's.
    #[must_use]
    pub fn title_of(&self, title: &str) -> TitleOf {
        let title = key(title);
        let is_listed = self.listed.values().any(|titles| titles.contains(&title));
        let services: BTreeSet<ServiceId> = self.listed.keys().chain(self.seen.keys()).copied().collect();
        let mut meant = services.into_iter().filter(|service| {
            has(&self.listed, *service, &title)
                || (has(&self.seen, *service, &title) && !(is_listed && self.goes_by_its_list(*service)))
        });
        match (meant.next(), meant.next()) {
            (None, _) => TitleOf::Nobody,
            (Some(one), None) => TitleOf::One(one),
            (Some(_), Some(_)) => TitleOf::Several,
        }
    }

    fn goes_by_its_list(&self, service: ServiceId) -> bool {
        match (self.listed.get(&service), self.seen.get(&service)) {
            (Some(listed), Some(seen)) => !listed.is_disjoint(seen),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: ServiceId = ServiceId(1);
    const OTHER: ServiceId = ServiceId(2);

    fn titles(listed: &[(ServiceId, &str)], seen: &[(ServiceId, &str)]) -> Titles {
        let mut titles = Titles::default();
        listed.iter().for_each(|(service, title)| titles.list(*service, title));
        seen.iter().for_each(|(service, title)| titles.see(*service, title));
        titles
    }

    #[test]
    fn capitals_and_blanks_do_not_matter() {
        let titles = titles(&[(CHECK, "iPhone  Check "), (OTHER, "TÉLÉ\u{a0} ΣΑΣ")], &[]);
        assert_eq!(titles.title_of(" iphone check"), TitleOf::One(CHECK));
        assert_eq!(titles.title_of("iphone"), TitleOf::Nobody);
        assert_eq!(titles.title_of("télé σας"), TitleOf::One(OTHER));
    }

    #[test]
    fn one_wrong_answer_does_not_outvote_the_providers_list() {
        let listed = [(CHECK, "Check"), (OTHER, "Other")];
        let both = titles(&listed, &[(CHECK, "Check"), (OTHER, "Other"), (OTHER, "Check")]);
        assert_eq!(both.title_of("Check"), TitleOf::One(CHECK));
        assert_eq!(both.title_of("Other"), TitleOf::One(OTHER));
        // Without a list nobody knows which of them is wrong.
        let unlisted = titles(&[], &[(CHECK, "Check"), (OTHER, "Other"), (OTHER, "Check")]);
        assert_eq!(unlisted.title_of("Check"), TitleOf::Several);
        assert_eq!(unlisted.title_of("Other"), TitleOf::One(OTHER));
    }

    #[test]
    fn a_title_that_is_all_that_a_services_orders_are_called_names_neither() {
        let listed = [(CHECK, "Check"), (OTHER, "Other, express")];
        assert_eq!(titles(&listed, &[(OTHER, "Check")]).title_of("Check"), TitleOf::Several);
        assert_eq!(titles(&[(CHECK, "Check"), (OTHER, "Check")], &[]).title_of("Check"), TitleOf::Several);
    }

    #[test]
    fn an_order_told_of_under_another_services_title_is_not_of_its_own() {
        let listed = [(CHECK, "Check"), (OTHER, "Other")];
        assert_eq!(titles(&listed, &[]).anothers(OTHER, "check"), Some(CHECK));
        let seen = [(CHECK, "Check"), (OTHER, "Other")];
        assert_eq!(titles(&[], &seen).anothers(OTHER, "check"), Some(CHECK));
        for (listed, seen, why) in [
            (&listed[..], &[][..], "a new name of its own"),
            (&[][..], &[(CHECK, "Check")][..], "nothing is known of its own"),
            (&[(CHECK, "Check"), (OTHER, "Check")][..], &[][..], "both are called so"),
            (&listed[..], &[(OTHER, "Check")][..], "its own were called so before"),
            (
                &[(OTHER, "Other")][..],
                &[(CHECK, "Check")][..],
                "orders may be called otherwise than in the list",
            ),
        ] {
            let title = if why.starts_with("a new") { "Other, express" } else { "Check" };
            assert_eq!(titles(listed, seen).anothers(OTHER, title), None, "{why}");
        }
        assert_eq!(titles(&listed, &[]).anothers(OTHER, " "), None, "no title is told");
    }
}

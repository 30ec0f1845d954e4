//! When it is looked for what no policy covers, and what people are told of it.
//!
//! In: looks at the cluster · Out: `News` · Touches: nothing

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::event::{News, Tone};
use super::resource::Key;
use crate::domain::coverage::{Coverage, What};
use crate::engine::retry::after;

/// How often it is looked.
const PACE: Duration = Duration::from_mins(15);
/// How long after a change of policy, because changes often come together.
const SOON: Duration = Duration::from_secs(5);
/// How long after a look that failed.
const AGAIN: Duration = Duration::from_mins(1);

/// What is known of what policies cover.
#[derive(Default)]
pub struct Cover {
    /// When it is looked next; `None` before policy is in force.
    at: Option<Timestamp>,
    /// Whether somebody looks.
    busy: bool,
    /// What the last look has found.
    found: Option<Coverage>,
    /// What was uncovered when people were told last.
    told: BTreeSet<(What, String)>,
}

impl Cover {
    /// Policy has changed.
    pub fn soon(&mut self, now: Timestamp) {
        self.at = Some(after(now, SOON));
    }

    /// Whether it is time for a look; it is begun then.
    pub fn begins(&mut self, now: Timestamp) -> bool {
        let due = !self.busy && self.at.is_some_and(|moment| moment <= now);
        if due {
            self.at = None;
            self.busy = true;
        }
        due
    }

    /// What the last look has found.
    pub fn found(&self) -> Option<&Coverage> {
        self.found.as_ref()
    }

    /// Takes in a look. People are told when other names are uncovered than before.
    pub fn ends(
        &mut self,
        found: Result<Coverage, String>,
        about: Option<Key>,
        now: Timestamp,
    ) -> Option<News> {
        self.busy = false;
        let pace = if found.is_ok() { PACE } else { AGAIN };
        // Policy that has changed meanwhile has a look of its own.
        self.at = self.at.or(Some(after(now, pace)));
        let first = self.found.is_none();
        let found = match found {
            Ok(found) => self.found.insert(found),
            Err(reason) => {
                tracing::warn!("cannot look for what no policy covers: {reason}");
                return None;
            }
        };
        let names: BTreeSet<_> = found.uncovered.iter().map(|gap| (gap.what, gap.name.clone())).collect();
        let message = found.to_string();
        if names == self.told {
            // The replica that led before may have told that something was not.
            let quiet = |about| News { about, tone: Tone::Quiet, reason: "Covered", message };
            return about.filter(|_| first && names.is_empty()).map(quiet);
        }
        self.told = names;
        let (tone, reason) = if found.uncovered.is_empty() {
            tracing::info!("{message}");
            (Tone::Normal, "Covered")
        } else {
            tracing::warn!("{message}");
            (Tone::Warning, "NotCovered")
        };
        about.map(|about| News { about, tone, reason, message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::coverage::{Gap, Reason};

    fn at(text: &str) -> Timestamp {
        format!("2026-11-27T{text}Z").parse().unwrap()
    }

    fn found(names: &[&str]) -> Coverage {
        let gap =
            |name: &&str| Gap { what: What::Namespace, name: (*name).to_owned(), reason: Reason::NoPolicy };
        Coverage { uncovered: names.iter().map(gap).collect(), ..Coverage::default() }
    }

    fn told(cover: &mut Cover, found: impl Into<Option<Coverage>>, now: &str) -> Option<&'static str> {
        let found = found.into().ok_or_else(|| "forbidden".to_owned());
        let news = cover.ends(found, Some(Key::new("PolicyRepository", "policy")), at(now));
        news.filter(|news| news.tone != Tone::Quiet).map(|news| news.reason)
    }

    #[test]
    fn people_are_told_only_when_other_names_are_uncovered() {
        let mut cover = Cover::default();
        assert_eq!(told(&mut cover, found(&[]), "10:00:00"), None, "all is covered: as it should be");
        assert_eq!(told(&mut cover, found(&["shop"]), "10:15:00"), Some("NotCovered"));
        assert_eq!(told(&mut cover, found(&["shop"]), "10:30:00"), None);
        assert_eq!(told(&mut cover, None, "10:45:00"), None);
        assert_eq!(told(&mut cover, found(&["shop", "till"]), "10:46:00"), Some("NotCovered"));
        assert_eq!(told(&mut cover, found(&[]), "11:00:00"), Some("Covered"));
    }

    #[test]
    fn a_process_that_finds_all_covered_at_first_ends_what_another_has_told() {
        let mut cover = Cover::default();
        let mut end = |now| cover.ends(Ok(found(&[])), Some(Key::new("PolicyRepository", "policy")), at(now));
        let news = end("10:00:00").expect("it may end something");
        assert_eq!((news.tone, news.reason), (Tone::Quiet, "Covered"));
        assert_eq!(end("10:15:00"), None);
    }

    #[test]
    fn a_change_of_policy_during_a_look_has_a_look_of_its_own() {
        let mut cover = Cover::default();
        assert!(!cover.begins(at("10:00:00")), "nothing is in force yet");
        cover.soon(at("10:00:00"));
        assert!(!cover.begins(at("10:00:04")) && cover.begins(at("10:00:05")));
        cover.soon(at("10:00:06"));
        assert!(!cover.begins(at("10:00:20")), "one at a time");
        told(&mut cover, found(&[]), "10:00:21");
        assert!(cover.begins(at("10:00:21")));
        told(&mut cover, found(&[]), "10:00:22");
        assert!(!cover.begins(at("10:15:21")) && cover.begins(at("10:15:22")));
    }
}

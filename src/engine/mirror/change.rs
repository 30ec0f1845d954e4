//! Decides what a commit does to a mirror: which files are written, which are deleted, which stay.
//!
//! In: what a run wants, the tip of the branch · Out: `Changes` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::blobs::Wanted;
use super::path::Place;
use super::state::{LastRun, MirrorState, STATE_FILE, Written, by_folder};
use super::tip::Tip;
use crate::domain::report::{BackupReport, KindResult};
use crate::ports::git::Edits;

/// What a run found out.
pub struct Facts {
    /// The policy.
    pub policy: String,
    /// Public keys the files are encrypted to, sorted.
    pub recipients: Vec<String>,
    /// Every object's file, by path below the cluster's folder.
    pub wanted: BTreeMap<String, Wanted>,
    /// Paths of objects that exist but cannot be stored: what stands there stays.
    pub refused: BTreeSet<String>,
    /// What was collected.
    pub report: BackupReport,
}

/// What a commit does; paths are below the cluster's folder.
#[derive(Debug)]
pub struct Changes {
    /// Files to write and to delete.
    pub edits: Edits,
    /// The state afterwards.
    pub state: MirrorState,
    /// How many of what.
    pub count: Count,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// Files by what happens to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Files that are new.
    pub added: usize,
    /// Files that are different.
    pub changed: usize,
    /// Files that are gone.
    pub removed: usize,
    /// Files that are as they were.
    pub unchanged: usize,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, changed, removed, unchanged: _ } = self;
        write!(f, "{added} added, {changed} changed, {removed} removed")
    }
}

/// Compares what a run wants with the tip. Never fails.
pub fn changes(facts: &Facts, tip: &Tip) -> Changes {
    let mut all =
        Changes { edits: Edits::new(), state: tip.state.clone(), count: Count::default(), notes: Vec::new() };
    let mut mine: BTreeSet<&str> = BTreeSet::new();
    for (path, wanted) in &facts.wanted {
        mine.insert(path);
        all.write(facts, tip, path, wanted);
    }
    let before: Vec<String> =
        tip.state.policies.get(&facts.policy).map(|w| w.paths().collect()).unwrap_or_default();
    let listed = Listed::new(&facts.report);
    let mut kept = 0;
    for path in before.iter().filter(|path| !facts.wanted.contains_key(*path)) {
        let gone = Place::parse(path).is_some_and(|place| listed.tells_that_it_is_gone(&place));
        if facts.refused.contains(path) || !gone {
            mine.insert(path);
            kept += usize::from(!facts.refused.contains(path));
        } else if !tip.state.others_own(&facts.policy, path) {
            all.remove(tip, path);
        }
    }
    if kept > 0 {
        all.notes.push(format!("{kept} files were kept because their kinds were not listed completely"));
    }
    all.sign(facts, &mine);
    all
}

impl Changes {
    fn write(&mut self, facts: &Facts, tip: &Tip, path: &str, wanted: &Wanted) {
        let before = tip.files.get(path);
        let theirs = wanted.digest.is_none() && tip.state.encrypted.contains_key(path);
        if theirs && before.is_some() && tip.state.others_own(&facts.policy, path) {
            self.count.unchanged += 1;
            let left = format!("{path} was left as another policy encrypts it");
            self.notes.push(format!(
                "{left}; if that policy is gone, delete its entry in {STATE_FILE} of this cluster"
            ));
            return;
        }
        match &wanted.digest {
            Some(digest) => drop(self.state.encrypted.insert(path.to_owned(), digest.clone())),
            None => drop(self.state.encrypted.remove(path)),
        }
        if before == Some(&wanted.blob) {
            self.count.unchanged += 1;
            return;
        }
        self.edits.insert(path.to_owned(), Some(wanted.blob.clone()));
        if before.is_some() { self.count.changed += 1 } else { self.count.added += 1 }
    }

    fn remove(&mut self, tip: &Tip, path: &str) {
        self.state.encrypted.remove(path);
        if tip.files.contains_key(path) {
            self.edits.insert(path.to_owned(), None);
            self.count.removed += 1;
        }
    }

    /// Notes what the policy wrote, in which run.
    fn sign(&mut self, facts: &Facts, mine: &BTreeSet<&str>) {
        let report = &facts.report;
        let before = std::mem::replace(&mut self.state.cluster_uid, report.cluster.uid.clone());
        if !before.is_empty() && before != report.cluster.uid {
            self.notes
                .push(format!("the folder was written from another cluster before, with the uid {before}"));
        }
        let last = LastRun {
            snapshot: report.snapshot.clone(),
            outcome: report.outcome,
            finished: report.finished,
            revision: report.policy.revision.clone(),
        };
        let files = by_folder(mine.iter().copied());
        let written = Written { last, recipients: facts.recipients.clone(), files };
        self.state.policies.insert(facts.policy.clone(), written);
    }
}

/// Which kinds a run knows everything about.
struct Listed<'a> {
    /// Whether every kind that was asked for was listed to the end.
    whole: bool,
    results: BTreeMap<&'a str, bool>,
    unknown_groups: BTreeSet<&'a str>,
}

impl<'a> Listed<'a> {
    fn new(report: &'a BackupReport) -> Self {
        let mut results = BTreeMap::new();
        let mut whole = report.undiscovered.is_empty();
        for kind in &report.kinds {
            let complete = matches!(kind.result, KindResult::Collected { .. });
            whole &= !matches!(kind.result, KindResult::Failed { .. });
            *results.entry(kind.resource.as_str()).or_insert(true) &= complete;
        }
        let group = |version: &'a String| version.split_once('/').map_or("", |(group, _)| group);
        Self { whole, results, unknown_groups: report.undiscovered.keys().map(group).collect() }
    }

    /// Whether an object that was not seen does not exist any more.
    ///
    /// A kind the report does not name is not served any more. Which objects without a namespace a policy takes may depend
    /// on others that could not be listed, so of those nothing is told while anything failed.
    fn tells_that_it_is_gone(&self, place: &Place) -> bool {
        let known = match self.results.get(place.resource().as_str()) {
            Some(complete) => *complete,
            None => !self.unknown_groups.contains(place.group.as_str()),
        };
        known && (self.whole || place.namespace.is_some())
    }
}

#[cfg(test)]
mod tests;

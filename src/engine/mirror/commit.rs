//! Builds the commit of a backup on the newest commit of a mirror.
//!
//! In: `Facts`, `Tip` · Out: a commit nobody sees yet · Touches: Git

use super::change::{Changes, Count, Facts, changes};
use super::state::{self, MirrorState, SOPS_FILE, STATE_FILE, sops_settings};
use super::tip::{Tip, top};
use crate::domain::location::{Author, MirrorTarget};
use crate::ports::git::{self, CommitDraft, Edits, Oid};

/// Why there is no commit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state cannot be written.
    #[error("cannot write the mirror's own state")]
    State(#[from] state::Error),
    /// The repository failed.
    #[error("cannot commit to the mirror")]
    Git(#[from] git::Error),
}

/// A commit that is not pushed yet.
#[derive(Debug)]
pub struct Built {
    /// Its id; absent where nothing is different.
    pub commit: Option<Oid>,
    /// What it does.
    pub count: Count,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// What a commit needs, however often it is built.
pub struct Writing {
    facts: Facts,
    top: String,
    cluster: String,
    author: Author,
    signing_key: Option<String>,
}

impl Writing {
    /// Puts together what is written and where.
    pub fn new(facts: Facts, target: &MirrorTarget, cluster: &str) -> Self {
        let nobody = || Author { name: "Backstay".into(), email: "backstay@localhost".into() };
        Self {
            facts,
            top: top(&target.path),
            cluster: cluster.to_owned(),
            author: target.author.clone().unwrap_or_else(nobody),
            signing_key: target.signing_key.clone(),
        }
    }

    /// Commits on a tip what differs there.
    pub fn commit(&self, tip: &Tip) -> Result<Built, Error> {
        let Facts { report, policy, .. } = &self.facts;
        let last = tip.state.policies.get(policy).map(|written| &written.last);
        if last.is_some_and(|last| last.snapshot == report.snapshot && last.finished != report.finished) {
            let notes = vec!["another process has committed this very run".to_owned()];
            return Ok(Built { commit: None, count: Count::default(), notes });
        }
        if let Some(newer) =
            last.filter(|last| last.finished > report.started && last.snapshot != report.snapshot)
        {
            let text = format!(
                "{} began after this run and is committed already: it is the newer one",
                newer.snapshot
            );
            return Ok(Built { commit: None, count: Count::default(), notes: vec![text] });
        }
        let Changes { edits, state, count, mut notes } = changes(&self.facts, tip);
        let mut edits: Edits =
            edits.into_iter().map(|(path, blob)| (tip.folder.clone() + &path, blob)).collect();
        notes.extend(self.settings(tip, &state, &mut edits)?);
        if edits.is_empty() && state.same_files(&tip.state) {
            return Ok(Built { commit: None, count, notes });
        }
        let state = tip.tree.write(&state.to_bytes()?)?;
        edits.insert(format!("{}{STATE_FILE}", tip.folder), Some(state));
        let draft = CommitDraft {
            message: self.message(count),
            author: self.author.clone(),
            time: self.facts.report.finished,
            signing_key: self.signing_key.clone(),
        };
        Ok(Built { commit: Some(tip.tree.commit(&edits, &draft)?), count, notes })
    }

    /// Brings `.sops.yaml` up to date; a note where it is somebody else's.
    fn settings(&self, tip: &Tip, state: &MirrorState, edits: &mut Edits) -> Result<Option<String>, Error> {
        let path = format!("{}{SOPS_FILE}", self.top);
        let blob = tip.settings.as_deref();
        let before = blob.map(|blob| tip.tree.read(blob)).transpose()?;
        match sops_settings(before.as_deref(), &self.cluster, state) {
            None => return Ok(Some(format!("{path} is not Backstay's and was left alone"))),
            Some(after) if before.as_deref() == Some(after.as_slice()) => {}
            Some(after) => drop(edits.insert(path, Some(tip.tree.write(&after)?))),
        }
        Ok(None)
    }

    fn message(&self, count: Count) -> String {
        let Facts { report, policy, .. } = &self.facts;
        format!(
            "backup {}: {count}\n\n\
             Backstay-Snapshot: {}\nBackstay-Policy: {policy}\nBackstay-Cluster: {}\nBackstay-Outcome: {:?}\n",
            self.cluster, report.snapshot, self.cluster, report.outcome
        )
    }
}

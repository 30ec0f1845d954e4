//! What Backstay writes about itself into a mirror: who wrote which file, and whom `sops` encrypts to.
//!
//! In: the files of before, what a run wrote · Out: `backstay.yaml` and `.sops.yaml` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::path::cluster_folder;
use crate::domain::identity::SnapshotId;
use crate::domain::object::Json;
use crate::domain::report::Outcome;
use crate::engine::yaml;

/// The state's file in the folder of a cluster.
pub const STATE_FILE: &str = "backstay.yaml";

/// The settings of `sops` at the top of a mirror.
pub const SOPS_FILE: &str = ".sops.yaml";

const FORMAT: u32 = 1;
const STATE_HEAD: &str = "# Written by Backstay: which run wrote what in this folder. Edit nothing here.\n";
const SOPS_HEAD: &str =
    "# Written by Backstay, rules of other folders are kept. Without this line it leaves the file alone.\n";

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no YAML.
    #[error(transparent)]
    Yaml(#[from] yaml::Error),
    /// It is something else.
    #[error("it is no state of a mirror: {0}")]
    Shape(String),
    /// A newer Backstay wrote it.
    #[error("its format is {0}, this Backstay knows {FORMAT}")]
    Newer(u32),
}

/// What is known about one cluster's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MirrorState {
    format: u32,
    /// Uid of the cluster that was saved last.
    #[serde(default)]
    pub cluster_uid: String,
    /// What each policy wrote, by its name.
    #[serde(default)]
    pub policies: BTreeMap<String, Written>,
    /// Keyed digests of encrypted files, by path below the cluster's folder.
    #[serde(default)]
    pub encrypted: BTreeMap<String, String>,
}

/// What one policy wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    /// The run of the last commit.
    pub last: LastRun,
    /// Public keys its files are encrypted to, sorted.
    pub recipients: Vec<String>,
    /// Names of its files by folder, below the cluster's folder.
    pub files: BTreeMap<String, BTreeSet<String>>,
}

/// The run of the last commit. A run that changed nothing else does not change this either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// Snapshot.
    pub snapshot: SnapshotId,
    /// How it went.
    pub outcome: Outcome,
    /// When it ended.
    pub finished: Timestamp,
    /// Commit of the policy repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

impl MirrorState {
    /// Reads a state file.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::Shape("it is no text".into()))?;
        let tree = yaml::parse(text)?;
        let format = tree.get("format").and_then(Json::as_u64).and_then(|n| u32::try_from(n).ok());
        match format {
            Some(FORMAT) => serde_json::from_value(tree).map_err(|error| Error::Shape(error.to_string())),
            Some(newer) => Err(Error::Newer(newer)),
            None => Err(Error::Shape("it has no format".into())),
        }
    }

    /// The state file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let current = Self { format: FORMAT, ..self.clone() };
        let tree = serde_json::to_value(&current).map_err(|error| Error::Shape(error.to_string()))?;
        Ok((STATE_HEAD.to_owned() + &yaml::emit(&tree)?).into_bytes())
    }

    /// Whether it says the same but for the last runs.
    pub fn same_files(&self, other: &Self) -> bool {
        let facts = |state: &Self| -> Vec<_> {
            let written =
                |(name, w): (&String, &Written)| (name.clone(), w.recipients.clone(), w.files.clone());
            state.policies.iter().map(written).collect()
        };
        self.cluster_uid == other.cluster_uid
            && self.encrypted == other.encrypted
            && facts(self) == facts(other)
    }

    /// Whether a policy other than this one wrote a file.
    pub fn others_own(&self, policy: &str, path: &str) -> bool {
        self.policies.iter().any(|(name, written)| name != policy && written.owns(path))
    }

    /// Public keys of all policies.
    pub fn recipients(&self) -> BTreeSet<&str> {
        self.policies.values().flat_map(|written| written.recipients.iter().map(String::as_str)).collect()
    }
}

impl Written {
    /// Whether this policy wrote a file.
    pub fn owns(&self, path: &str) -> bool {
        let (folder, name) = split(path);
        self.files.get(folder).is_some_and(|names| names.contains(name))
    }

    /// Every file, by path below the cluster's folder.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.files.iter().flat_map(|(folder, names)| names.iter().map(move |name| format!("{folder}/{name}")))
    }
}

/// Groups paths by folder.
pub fn by_folder<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeMap<String, BTreeSet<String>> {
    let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in paths {
        let (folder, name) = split(path);
        if let Some(names) = folders.get_mut(folder) {
            names.insert(name.to_owned());
        } else {
            folders.insert(folder.to_owned(), BTreeSet::from([name.to_owned()]));
        }
    }
    folders
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The file `.sops.yaml` with the rule of one cluster; `None` where somebody else's file is there.
///
/// Rules of other folders stay. They are sorted, because `sops` takes the first that fits.
pub fn sops_settings(before: Option<&[u8]>, cluster: &str, state: &MirrorState) -> Option<Vec<u8>> {
    let fits = format!("^{}", regex::escape(&cluster_folder(cluster)));
    let mut rules: Vec<Json> = match before {
        None => Vec::new(),
        Some(bytes) => {
            let text = std::str::from_utf8(bytes).ok().filter(|text| text.starts_with(SOPS_HEAD))?;
            yaml::parse(text).ok()?.get("creation_rules")?.as_array()?.clone()
        }
    };
    let path = |rule: &Json| rule.get("path_regex").and_then(Json::as_str).unwrap_or_default().to_owned();
    rules.retain(|rule| path(rule) != fits);
    rules.push(json!({
        "path_regex": fits,
        "encrypted_regex": "^(data|stringData)$",
        "mac_only_encrypted": true,
        "age": state.recipients().into_iter().collect::<Vec<_>>().join(","),
    }));
    rules.sort_by_key(path);
    let text = yaml::emit(&json!({ "creation_rules": rules })).ok()?;
    Some((SOPS_HEAD.to_owned() + &text).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> MirrorState {
        let last = LastRun {
            snapshot: SnapshotId::parse("nightly-20261121t063000z-kwpa").unwrap(),
            outcome: Outcome::Complete,
            finished: "2026-11-21T06:30:07Z".parse().unwrap(),
            revision: Some("3f2a".into()),
        };
        let files =
            by_folder(["namespaces/shop/core/secrets/db.yaml", "cluster/core/nodes/n.yaml"].into_iter());
        let written = Written { last, recipients: vec!["age1b".into()], files };
        MirrorState {
            format: FORMAT,
            cluster_uid: "u-1".into(),
            policies: BTreeMap::from([("nightly".into(), written)]),
            encrypted: BTreeMap::from([("namespaces/shop/core/secrets/db.yaml".into(), "d1".into())]),
        }
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let text = String::from_utf8(state().to_bytes().unwrap()).unwrap();
        insta::assert_snapshot!(text, @r#"
        # Written by Backstay: which run wrote what in this folder. Edit nothing here.
        format: 1
        clusterUid: u-1
        policies:
          nightly:
            last:
              snapshot: nightly-20261121t063000z-kwpa
              outcome: Complete
              finished: "2026-11-21T06:30:07Z"
              revision: 3f2a
            recipients:
            - age1b
            files:
              cluster/core/nodes:
              - n.yaml
              namespaces/shop/core/secrets:
              - db.yaml
        encrypted:
          namespaces/shop/core/secrets/db.yaml: d1
        "#);
        assert_eq!(MirrorState::parse(text.as_bytes()).unwrap(), state());
    }

    #[test]
    fn a_state_that_cannot_be_used_is_an_error() {
        let said = |text: &str| MirrorState::parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(said("format: 2\n"), "its format is 2, this Backstay knows 1");
        assert_eq!(said("a: 1\n"), "it is no state of a mirror: it has no format");
        assert!(said("<<<<<<< HEAD\nformat: 1\n").starts_with("cannot read YAML"));
        assert!(said("format: 1\npolicies: 3\n").starts_with("it is no state of a mirror"));
    }

    #[test]
    fn only_the_last_run_may_differ_without_a_commit() {
        let mut later = state();
        later.policies.get_mut("nightly").unwrap().last.outcome = Outcome::Partial;
        assert!(state().same_files(&later));
        later.encrypted.clear();
        assert!(!state().same_files(&later));
        assert!(state().others_own("weekly", "cluster/core/nodes/n.yaml"));
        assert!(!state().others_own("nightly", "cluster/core/nodes/n.yaml"));
    }

    #[test]
    fn settings_of_sops_keep_the_rules_of_other_clusters_and_foreign_files() {
        let first = sops_settings(None, "prod.eu", &state()).unwrap();
        let both = sops_settings(Some(&first), "dev", &state()).unwrap();
        insta::assert_snapshot!(String::from_utf8(both.clone()).unwrap(), @r"
        # Written by Backstay, rules of other folders are kept. Without this line it leaves the file alone.
        creation_rules:
        - path_regex: ^clusters/dev/
          encrypted_regex: ^(data|stringData)$
          mac_only_encrypted: true
          age: age1b
        - path_regex: ^clusters/prod\.eu/
          encrypted_regex: ^(data|stringData)$
          mac_only_encrypted: true
          age: age1b
        ");
        assert_eq!(sops_settings(Some(&both), "dev", &state()).unwrap(), both);
        assert_eq!(sops_settings(Some(b"creation_rules: []\n"), "dev", &state()), None);
        assert_eq!(sops_settings(Some(format!("{SOPS_HEAD}x: [").as_bytes()), "dev", &state()), None);
    }
}

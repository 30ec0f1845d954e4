//! Names of runs: which snapshot, policy and cluster.
//!
//! In: names, times, letters · Out: `SnapshotId`, `PolicyRef`, `ClusterRef` · Touches: nothing

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Name of a snapshot: `<policy>-<UTC time>-<4 random letters>`, such as `shop-20261121t063000z-kwpa`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SnapshotId(String);

impl SnapshotId {
    /// Names a snapshot; `letters` are the four random ones.
    pub fn new(policy: &str, started: Timestamp, letters: &str) -> Self {
        let time = started.to_zoned(TimeZone::UTC).strftime("%Y%m%dt%H%M%Sz").to_string();
        Self(format!("{policy}-{time}-{letters}"))
    }

    /// Names the snapshot of a due time: always the same in one cluster, so that two runs cannot both make one.
    pub fn due(policy: &str, due: Timestamp, cluster_uid: &str) -> Self {
        let hash = Sha256::digest(format!("{cluster_uid}/{policy}/{}", due.as_second()).as_bytes());
        let letters: String = hash.iter().take(4).map(|byte| char::from(b'a' + byte % 26)).collect();
        Self::new(policy, due, &letters)
    }

    /// Accepts a name of lower-case letters, digits, `-` and `.`; nothing that could leave a folder.
    pub fn parse(text: &str) -> Option<Self> {
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (!text.is_empty() && text.len() <= 128 && text.chars().all(fine)).then(|| Self(text.to_owned()))
    }

    /// When its run started or was due, as the name tells; `None` where the name was not made by [`SnapshotId::new`].
    pub fn started(&self) -> Option<Timestamp> {
        let (rest, letters) = self.0.rsplit_once('-')?;
        let (policy, time) = rest.rsplit_once('-')?;
        let plain =
            letters.len() == 4 && letters.chars().all(|c| c.is_ascii_lowercase()) && !policy.is_empty();
        let time = jiff::civil::DateTime::strptime("%Y%m%dt%H%M%Sz", time).ok().filter(|_| plain)?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text can name a cluster in mirrors and archives: up to 253 letters, digits, `.`, `_` and `-`, not only dots.
pub fn is_cluster_name(text: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=253).contains(&text.len()) && text.chars().all(fine) && text != "." && text != ".."
}

/// A name for a cluster that is called by something longer, such as `prod` for `arn:aws:eks:eu-west-1:1:cluster/prod`.
pub fn short_cluster_name(text: &str) -> Option<&str> {
    text.rsplit(['/', ':']).next().filter(|name| is_cluster_name(name))
}

/// Which policy, in which revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRef {
    /// Name.
    pub name: String,
    /// SHA-256 of the policy's canonical JSON, lower-case hex.
    pub digest: String,
    /// Commit of the policy repository, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// Which cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRef {
    /// The name it was given, `--cluster-name`.
    pub name: String,
    /// Uid of namespace kube-system.
    pub uid: String,
    /// Version of the API server, such as `v1.36.1`.
    pub version: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_of_a_cluster_has_a_short_one_in_it() {
        let arn = "arn:aws:eks:eu-west-1:1234:cluster/prod";
        assert!(!is_cluster_name(arn));
        assert_eq!(short_cluster_name(arn), Some("prod"));
        for bad in ["", ".", "..", "a/b", "ä", &"x".repeat(254)] {
            assert!(!is_cluster_name(bad), "{bad}");
        }
        assert!(is_cluster_name("gke_project_europe-west1_prod.1"));
    }

    #[test]
    fn a_snapshot_is_named_by_policy_time_and_letters() {
        let id = SnapshotId::new("shop", "2026-11-21T06:30:00Z".parse().unwrap(), "kwpa");
        assert_eq!(id.as_str(), "shop-20261121t063000z-kwpa");
        assert_eq!(SnapshotId::parse(id.as_str()), Some(id));
        assert_eq!(SnapshotId::parse("../x"), None);
    }

    #[test]
    fn a_due_time_has_one_snapshot_in_one_cluster() {
        let due: Timestamp = "2026-11-21T06:30:00Z".parse().unwrap();
        let id = SnapshotId::due("shop", due, "u-1");
        assert_eq!(id, SnapshotId::due("shop", due, "u-1"));
        assert_ne!(id, SnapshotId::due("shop", due, "u-2"));
        assert_eq!(id.started(), Some(due));
    }

    #[test]
    fn a_name_tells_when_its_run_started() {
        let started = |name: &str| SnapshotId::parse(name).unwrap().started();
        assert_eq!(started("my-shop-20261121t063000z-kwpa"), Some("2026-11-21T06:30:00Z".parse().unwrap()));
        for name in
            ["shop", "20261121t063000z-kwpa", "shop-20261121t063000z-kw", "shop-20269921t063000z-kwpa"]
        {
            assert_eq!(started(name), None, "{name}");
        }
    }
}

//! Finds what a person means: a policy, a location or a state by name, or the only one there is.
//!
//! In: names, `PolicySet` · Out: references into the policy set · Touches: nothing

use std::collections::BTreeMap;

use crate::domain::document::PolicySet;
use crate::domain::field::closest;
use crate::domain::location::LocationSpec;
use crate::domain::policy::PolicySpec;
use crate::domain::restore_request::RestoreSpec;

use super::failure::Failure;

/// A state as a person names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateName {
    /// The live cluster.
    Cluster,
    /// A folder of manifests.
    Folder(String),
    /// A snapshot or commit at a location.
    At {
        /// Name of the location.
        location: String,
        /// Snapshot, `latest`, commit, tag or branch.
        state: String,
    },
}

impl StateName {
    /// Reads `cluster`, `LOCATION@STATE`, or the path of a folder.
    pub fn parse(text: &str, folder_exists: impl Fn(&str) -> bool) -> Result<Self, Failure> {
        if text == "cluster" {
            return Ok(Self::Cluster);
        }
        if folder_exists(text) {
            return Ok(Self::Folder(text.to_owned()));
        }
        match text.split_once('@') {
            Some((location, state)) if !location.is_empty() && !state.is_empty() => {
                Ok(Self::At { location: location.to_owned(), state: state.to_owned() })
            }
            _ => Err(Failure::usage(format!("{text:?} names no state")).hint(format!(
                "write `cluster`, a folder, or LOCATION@STATE such as {text}@latest or mirror@main"
            ))),
        }
    }
}

/// The policy of this name, or the only one.
pub fn policy<'a>(set: &'a PolicySet, name: Option<&str>) -> Result<(&'a str, &'a PolicySpec), Failure> {
    one(&set.policies, name, "policy", "policies", |_| true)
}

/// The location of this name, or the only archive.
pub fn archive<'a>(set: &'a PolicySet, name: Option<&str>) -> Result<(&'a str, &'a LocationSpec), Failure> {
    let (name, spec) = one(&set.locations, name, "archive", "archives", |spec| spec.archive.is_some())?;
    match spec.archive {
        Some(_) => Ok((name, spec)),
        None => Err(Failure::usage(format!("location {name} is a mirror; this command needs an archive"))),
    }
}

/// The location of this name, of either kind.
pub fn location<'a>(set: &'a PolicySet, name: &str) -> Result<(&'a str, &'a LocationSpec), Failure> {
    one(&set.locations, Some(name), "location", "locations", |_| true)
}

/// The restore request of this name.
pub fn restore<'a>(set: &'a PolicySet, name: &str) -> Result<(&'a str, &'a RestoreSpec), Failure> {
    one(&set.restores, Some(name), "restore request", "restore requests", |_| true)
}

fn one<'a, T>(
    all: &'a BTreeMap<String, T>,
    name: Option<&str>,
    noun: &str,
    nouns: &str,
    fits: impl Fn(&T) -> bool,
) -> Result<(&'a str, &'a T), Failure> {
    let names = || all.iter().filter(|(_, spec)| fits(spec)).map(|(name, _)| name.as_str());
    let known = names().collect::<Vec<_>>().join(", ");
    if let Some(wanted) = name {
        return all.get_key_value(wanted).map(|(name, spec)| (name.as_str(), spec)).ok_or_else(|| {
            let failure = Failure::usage(format!("there is no {noun} {wanted:?} in the policy repository"));
            match closest(wanted, names()) {
                Some(near) => failure.hint(format!("did you mean {near:?}?")),
                None if known.is_empty() => failure,
                None => failure.hint(format!("there are: {known}")),
            }
        });
    }
    let mut fitting = all.iter().filter(|(_, spec)| fits(spec));
    match (fitting.next(), fitting.next()) {
        (Some((name, spec)), None) => Ok((name, spec)),
        (None, _) => Err(Failure::usage(format!("there is no {noun} in the policy repository"))
            .hint("point --policy-repo at the right folder or URL, or write one: backstay init")),
        (Some(_), Some(_)) => {
            Err(Failure::usage(format!("there are several {nouns}: {known}")).hint("name one of them"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<StateName> {
        StateName::parse(text, |path| path == "dir").ok()
    }

    #[test]
    fn a_state_is_the_cluster_a_folder_or_at_a_location() {
        let at = |l: &str, s: &str| Some(StateName::At { location: l.into(), state: s.into() });
        assert_eq!(parsed("cluster"), Some(StateName::Cluster));
        assert_eq!(parsed("dir"), Some(StateName::Folder("dir".into())));
        assert_eq!(parsed("archive@latest"), at("archive", "latest"));
        assert_eq!(parsed("mirror@v1@2"), at("mirror", "v1@2"));
        for bad in ["archive", "archive@", "@latest", ""] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_name_that_is_nearly_right_gets_a_suggestion() {
        let set = PolicySet { policies: BTreeMap::new(), ..PolicySet::default() };
        assert!(policy(&set, None).unwrap_err().to_string().contains("backstay init"));
    }
}

//! Patterns for kinds and names: plain text or the globs `*`, `?` and `[abc]`.
//!
//! In: texts of a document · Out: `KindMatcher`, `NameMatcher` · Touches: nothing

use globset::{GlobBuilder, GlobMatcher};

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is not a pattern: {reason}")]
pub struct BadPattern {
    /// The text.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Groups of Kubernetes itself, whose resources may be named without their group.
const OWN_GROUPS: [&str; 17] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "extensions",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Whether a group is one of Kubernetes itself, whose resources may be named without it.
pub fn is_own_group(group: &str) -> bool {
    OWN_GROUPS.contains(&group)
}

/// One pattern, compiled.
#[derive(Clone, Debug)]
enum Glob {
    All,
    Exact(String),
    Wild(String, GlobMatcher),
}

impl Glob {
    fn new(pattern: &str) -> Result<Self, BadPattern> {
        let bad = |reason: String| BadPattern { pattern: pattern.to_owned(), reason };
        if pattern.is_empty() {
            return Err(bad("it is empty".into()));
        }
        if pattern == "*" {
            return Ok(Self::All);
        }
        if pattern.contains("**") {
            return Err(bad("`**` has no meaning here, write `*`".into()));
        }
        if let Some(c) = pattern.chars().find(|c| "{}()|!,^\\/ \t".contains(*c)) {
            return Err(bad(format!("{c:?} cannot stand in a pattern; only `*`, `?` and `[abc]` are wild")));
        }
        if !pattern.contains(['*', '?', '[', ']']) {
            return Ok(Self::Exact(pattern.to_owned()));
        }
        if pattern.matches('[').count() != pattern.matches(']').count() {
            return Err(bad("`[` and `]` do not match up".into()));
        }
        let glob = GlobBuilder::new(pattern).build().map_err(|e| bad(e.kind().to_string()))?;
        Ok(Self::Wild(pattern.to_owned(), glob.compile_matcher()))
    }

    fn text(&self) -> &str {
        match self {
            Self::All => "*",
            Self::Exact(text) | Self::Wild(text, _) => text,
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::All => true,
            Self::Exact(exact) => exact == text,
            Self::Wild(_, glob) => glob.is_match(text),
        }
    }
}

/// Patterns for names of namespaces or objects.
#[derive(Clone, Debug, Default)]
pub struct NameMatcher(Vec<Glob>);

impl NameMatcher {
    /// Reads patterns of lower-case letters, digits, `-`, `.` and globs.
    ///
    /// # Errors
    /// Names the first pattern that cannot be read.
    pub fn new(patterns: &[String]) -> Result<Self, BadPattern> {
        patterns.iter().map(|pattern| name_glob(pattern)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any pattern matches; never for an empty list.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|glob| glob.matches(name))
    }

    /// The patterns that match none of these names, as they were written.
    pub fn unmatched<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut left: Vec<&Glob> = self.0.iter().collect();
        names.for_each(|name| left.retain(|glob| !glob.matches(name)));
        left.into_iter().map(|glob| glob.text().to_owned()).collect()
    }

    /// Whether one of the patterns is `*`.
    pub fn takes_all(&self) -> bool {
        self.0.iter().any(|glob| matches!(glob, Glob::All))
    }

    /// The names, sorted and each once, when no pattern is wild.
    pub fn plain(&self) -> Option<Vec<String>> {
        let exact = |glob: &Glob| match glob {
            Glob::Exact(name) => Some(name.clone()),
            Glob::All | Glob::Wild(..) => None,
        };
        let mut names = self.0.iter().map(exact).collect::<Option<Vec<_>>>()?;
        names.sort();
        names.dedup();
        Some(names)
    }
}

fn name_glob(pattern: &str) -> Result<Glob, BadPattern> {
    let glob = Glob::new(pattern)?;
    match pattern.chars().find(|c| !c.is_ascii_lowercase() && !c.is_ascii_digit() && !"-.*?[]".contains(*c)) {
        None => Ok(glob),
        Some(c) => Err(BadPattern {
            pattern: pattern.to_owned(),
            reason: format!("{c:?} is in no name; names have lower-case letters, digits, `-` and `.`"),
        }),
    }
}

/// Why a text is no name of a namespace, if so: a DNS label.
pub fn wrong_name(name: &str) -> Option<String> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fine = (1..=63).contains(&name.len())
        && name.chars().all(inside)
        && !name.starts_with('-')
        && !name.ends_with('-');
    (!fine)
        .then(|| format!("{name:?} is no name of a namespace: at most 63 lower-case letters, digits and `-`"))
}

/// Patterns for kinds.
///
/// A pattern is compared, all of it, with `resource.group` (`deployments.apps`; core: `pods`) and with the Kind
/// (`Deployment`, of any group; `Certificate.cert-manager.io` of one). A resource of Kubernetes' own groups may be
/// named without its group: `deployments`, `ingresses`.
#[derive(Clone, Debug, Default)]
pub struct KindMatcher(Vec<Glob>);

impl KindMatcher {
    /// Reads patterns of letters, digits, `-`, `.` and globs.
    ///
    /// # Errors
    /// Names the first pattern that cannot be read.
    pub fn new(patterns: &[String]) -> Result<Self, BadPattern> {
        patterns.iter().map(|pattern| kind_glob(pattern)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any pattern matches; never for an empty list.
    pub fn matches(&self, group: &str, kind: &str, plural: &str) -> bool {
        self.0.iter().any(|glob| matches_kind(glob, (group, kind, plural)))
    }

    /// Whether this very pattern is among them.
    pub fn has(&self, pattern: &str) -> bool {
        self.0.iter().any(|glob| glob.text() == pattern)
    }

    /// The patterns that match none of these kinds (group, Kind, plural), as they were written.
    pub fn unmatched<'a>(&self, kinds: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> Vec<String> {
        let mut left: Vec<&Glob> = self.0.iter().collect();
        kinds.for_each(|kind| left.retain(|glob| !matches_kind(glob, kind)));
        left.into_iter().map(|glob| glob.text().to_owned()).collect()
    }
}

fn matches_kind(glob: &Glob, (group, kind, plural): (&str, &str, &str)) -> bool {
    glob.matches(kind)
        || is_own_group(group) && glob.matches(plural)
        || !group.is_empty()
            && (glob.matches(&format!("{plural}.{group}")) || glob.matches(&format!("{kind}.{group}")))
}

fn kind_glob(pattern: &str) -> Result<Glob, BadPattern> {
    let bad = |reason: &str| BadPattern { pattern: pattern.to_owned(), reason: reason.to_owned() };
    if pattern.contains('/') {
        return Err(bad(
            "write a Kind (`Deployment`) or `resource.group` (`deployments.apps`), without a version",
        ));
    }
    let glob = Glob::new(pattern)?;
    if pattern.contains(|c: char| !c.is_ascii_alphanumeric() && !"-.*?[]".contains(c)) {
        return Err(bad("kinds and groups have letters, digits, `-` and `.`"));
    }
    Ok(glob)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(pattern: &str, group: &str, kind: &str, plural: &str) -> bool {
        KindMatcher::new(&[pattern.to_owned()]).unwrap().matches(group, kind, plural)
    }

    fn names(pattern: &str, name: &str) -> bool {
        NameMatcher::new(&[pattern.to_owned()]).unwrap().matches(name)
    }

    #[test]
    fn a_kind_is_named_by_kind_or_by_resource_and_group() {
        for pattern in
            ["Deployment", "deployments.apps", "deployments", "Deploy*", "*.apps", "*", "Deployment.apps"]
        {
            assert!(kinds(pattern, "apps", "Deployment", "deployments"), "{pattern}");
        }
        for pattern in ["deployment", "Deployments", "deployments.extensions", "apps", "*.batch", "deploy?"] {
            assert!(!kinds(pattern, "apps", "Deployment", "deployments"), "{pattern}");
        }
    }

    #[test]
    fn a_plural_without_group_never_means_a_custom_resource() {
        assert!(kinds("services", "", "Service", "services"));
        assert!(!kinds("services", "serving.knative.dev", "Service", "services"));
        assert!(kinds("services.serving.knative.dev", "serving.knative.dev", "Service", "services"));
        assert!(kinds("*.serving.knative.dev", "serving.knative.dev", "Service", "services"));
        assert!(!kinds("pods", "metrics.k8s.io", "PodMetrics", "pods"));
    }

    #[test]
    fn names_match_as_a_whole() {
        assert!(names("shop-*", "shop-eu") && names("shop", "shop") && names("sho?", "shop"));
        assert!(names("shop-[ab]", "shop-a") && !names("shop-[ab]", "shop-c") && names("[a-c]1", "b1"));
        assert!(!names("shop", "shop-eu") && !names("shop-*", "my-shop-eu"));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        let refused = [
            "", "**", "a**b", "{a,b}", "a|b", "(a)", "!a", "[!a]", "[^a]", "a\\*", "[a", "a]", "a b", "a,b",
            "Shop", "shop_1",
        ];
        for pattern in refused {
            assert!(NameMatcher::new(&[pattern.to_owned()]).is_err(), "{pattern}");
        }
        let version = KindMatcher::new(&["apps/v1".to_owned()]).unwrap_err();
        assert!(version.to_string().contains("without a version"), "{version}");
    }

    #[test]
    fn plain_names_are_known_without_asking_the_cluster() {
        let list = |patterns: &[&str]| {
            NameMatcher::new(&patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()).unwrap().plain()
        };
        assert_eq!(list(&["b", "a", "b"]), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(list(&["a", "b*"]), None);
    }
}

//! Which kinds a `groupResource` of Velero means: `pods`, `deployments.apps`, `*.apps`.
//!
//! In: text · Out: `Kinds` · Touches: nothing
//!
//! Velero compares it, as a glob in which `*` and `?` stand for no dots, with `resource.group`, and with `resource` alone
//! for the core group.

use regex::Regex;

use super::cel_text::{any, quoted};
use super::glob::{Dots, alternatives, is_wild, regex};
use crate::domain::field::{FieldError, closest};
use crate::domain::pattern::is_own_group;

/// The resources of the core group that can be restored. The group takes no new ones.
const CORE: [&str; 15] = [
    "configmaps",
    "endpoints",
    "events",
    "limitranges",
    "namespaces",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "podtemplates",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "serviceaccounts",
    "services",
];

/// Velero modifies no namespaces.
const NO_NAMESPACE: &str = "!(object.apiVersion == 'v1' && object.kind == 'Namespace')";

/// Kinds as a transform names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Patterns; none for every kind.
    pub patterns: Vec<String>,
    /// What the patterns alone do not say.
    pub when: Option<String>,
    /// Whether Velero carries a rule for them out on anything.
    pub reach: Reach,
}

/// Whether a rule ever has an effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// It may.
    #[default]
    Objects,
    /// Never: Velero modifies no namespaces.
    Nothing,
}

/// One glob without braces.
struct One {
    patterns: Vec<String>,
    /// The group, and whether the patterns need that said.
    group: String,
    wide: bool,
}

/// Reads a `groupResource`.
///
/// # Errors
/// What is wrong, without a pointer: names under which Velero finds nothing, and globs that no pattern can say.
pub fn kinds(text: &str) -> Result<Kinds, FieldError> {
    let wrong = |message: String| FieldError::new("", message);
    if text == "namespaces" {
        return Ok(Kinds { reach: Reach::Nothing, ..Kinds::default() });
    }
    if let Some(c) =
        text.chars().find(|c| !c.is_ascii_lowercase() && !c.is_ascii_digit() && !"-.*?[]{},!".contains(*c))
    {
        let help = "write the plural in lower case and the group: `pods`, `deployments.apps`";
        return Err(wrong(format!("{text:?} is no resource: {c:?} cannot stand in one")).help(help));
    }
    let globs = alternatives(text).map_err(|reason| wrong(format!("{text:?} {reason}")))?;
    let ones = globs.iter().map(|glob| one(glob)).collect::<Result<Vec<_>, _>>()?;
    if ones.len() > 1 && ones.iter().any(|one| one.patterns.is_empty()) {
        let help = "write a rule for each of them";
        return Err(wrong(format!("{text:?} names all kinds beside some")).help(help));
    }
    let mut groups: Vec<String> = ones.iter().map(|one| one.group.clone()).collect();
    groups.dedup();
    let when = ones.iter().any(|one| one.wide).then(|| any(&groups));
    let mut patterns: Vec<String> = ones.into_iter().flat_map(|one| one.patterns).collect();
    patterns.dedup();
    Ok(Kinds { patterns, when, reach: Reach::Objects })
}

fn one(glob: &str) -> Result<One, FieldError> {
    let narrow = |patterns: Vec<String>, group: String| One { patterns, group, wide: false };
    let wide = |patterns: Vec<String>, group: String| One { patterns, group, wide: true };
    if glob == "**" {
        return Ok(wide(Vec::new(), NO_NAMESPACE.into()));
    }
    let unclear = || {
        let help = "name the kinds one by one, as in `{pods,services}` or in a rule each";
        FieldError::new("", format!("{glob:?} cannot be said as a pattern for kinds")).help(help)
    };
    let Some((resource, group)) = glob.split_once('.') else {
        if glob.contains("**") {
            return Err(unclear());
        }
        let core = "object.apiVersion == 'v1'".to_owned();
        return if glob == "*" {
            Ok(wide(Vec::new(), format!("{core} && object.kind != 'Namespace'")))
        } else {
            Ok(narrow(core_resources(glob)?, core))
        };
    };
    if resource == "**" {
        let (pattern, inside) = (format!("*.{}", ours(group)), regex_of(group)?);
        return Ok(wide(
            vec![pattern],
            format!("object.apiVersion.matches({})", quoted(&format!("^(?:.*\\.)?{inside}/"))),
        ));
    }
    let begins = resource.starts_with(|c: char| c.is_ascii_lowercase());
    if resource.contains('!') || resource.contains("**") || is_wild(resource) && resource != "*" && !begins {
        return Err(unclear());
    }
    let pattern = format!("{resource}.{}", ours(group));
    if !is_wild(group) {
        let said = format!("object.apiVersion.startsWith({})", quoted(&format!("{group}/")));
        not_core(resource, group)?;
        return Ok(if is_wild(resource) { wide(vec![pattern], said) } else { narrow(vec![pattern], said) });
    }
    let said = format!("object.apiVersion.matches({})", quoted(&format!("^{}/", regex_of(group)?)));
    Ok(wide(vec![pattern], said))
}

fn regex_of(group: &str) -> Result<String, FieldError> {
    regex(group, Dots::Separate).map_err(|reason| FieldError::new("", format!("{group:?} {reason}")))
}

/// A glob for groups in our own words; it may match more, which the condition on the group takes back.
fn ours(group: &str) -> String {
    let mut out = String::new();
    let mut chars = group.chars();
    while let Some(c) = chars.next() {
        match c {
            '[' => {
                chars.by_ref().find(|c| *c == ']');
                out.push('?');
            }
            '*' if out.ends_with('*') => {}
            other => out.push(other),
        }
    }
    out
}

/// The resources of the core group that a glob without a dot means.
fn core_resources(glob: &str) -> Result<Vec<String>, FieldError> {
    if !is_wild(glob) {
        if CORE.contains(&glob) {
            return Ok(vec![glob.to_owned()]);
        }
        let error = FieldError::new(
            "",
            format!(
                "Velero finds nothing under {glob:?}: a resource without a group is one of the core group"
            ),
        );
        let help = match closest(glob, CORE) {
            Some(near) => format!("did you mean `{near}`? Other groups are named, as in `deployments.apps`"),
            None => format!(
                "write the plural and the group, as in `deployments.apps`; of the core group there are: {}",
                CORE.join(", ")
            ),
        };
        return Err(error.help(help));
    }
    let wrong = |reason: String| FieldError::new("", format!("{glob:?} {reason}"));
    let pattern = Regex::new(&format!("^{}$", regex(glob, Dots::Separate).map_err(wrong)?));
    let pattern = pattern.map_err(|_| wrong("is no glob".into()))?;
    let meant = CORE.iter().filter(|name| **name != "namespaces" && pattern.is_match(name));
    let found: Vec<String> = meant.map(|name| (*name).to_owned()).collect();
    if found.is_empty() {
        let help = format!("a resource without a group is one of the core group: {}", CORE.join(", "));
        return Err(wrong("matches no resource".into()).help(help));
    }
    Ok(found)
}

/// Velero's documentation names claims `persistentvolumeclaims.storage.k8s.io` in places, under which Velero finds nothing.
fn not_core(resource: &str, group: &str) -> Result<(), FieldError> {
    if !CORE.contains(&resource) || !is_own_group(group) {
        return Ok(());
    }
    let message =
        format!("Velero finds nothing under `{resource}.{group}`: `{resource}` are of the core group");
    Err(FieldError::new("", message).help(format!("write `{resource}`")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::cel::Expression;
    use crate::domain::object::Manifest;
    use crate::domain::pattern::KindMatcher;

    /// Kinds of a cluster: apiVersion, Kind and plural.
    const SERVED: [(&str, &str, &str); 14] = [
        ("v1", "Pod", "pods"),
        ("v1", "PersistentVolume", "persistentvolumes"),
        ("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
        ("v1", "Service", "services"),
        ("v1", "Namespace", "namespaces"),
        ("serving.knative.dev/v1", "Service", "services"),
        ("apps/v1", "Deployment", "deployments"),
        ("apps/v1", "DaemonSet", "daemonsets"),
        ("apps/v1", "StatefulSet", "statefulsets"),
        ("batch/v1", "Job", "jobs"),
        ("networking.k8s.io/v1", "Ingress", "ingresses"),
        ("management.cattle.io/v3", "User", "users"),
        ("cattle.io/v1", "Herd", "herds"),
        ("deep.apps/v1", "Dive", "dives"),
    ];

    /// What of the cluster a `groupResource` means for us.
    fn meant(text: &str) -> String {
        let kinds = match kinds(text) {
            Err(error) => return format!("refused: {error}"),
            Ok(kinds) if kinds.reach == Reach::Nothing => return "nothing".into(),
            Ok(kinds) => kinds,
        };
        let matcher = KindMatcher::new(&kinds.patterns).unwrap();
        let when = kinds.when.as_deref().map(|text| Expression::parse(text).unwrap());
        let fits = |(version, kind, plural): &&(&str, &str, &str)| {
            let group = version.split_once('/').map_or("", |(group, _)| group);
            let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}});
            (kinds.patterns.is_empty() || matcher.matches(group, kind, plural))
                && when.as_ref().is_none_or(|when| when.test(&Manifest::parse(object).unwrap()).unwrap())
        };
        let names = SERVED.iter().filter(fits).map(|(version, kind, _)| match version.split_once('/') {
            Some((group, _)) => format!("{kind}.{group}"),
            None => (*kind).to_owned(),
        });
        names.collect::<Vec<_>>().join(" ")
    }

    fn table(texts: &[&str]) -> String {
        texts.iter().map(|text| format!("{text}  ->  {}", meant(text))).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_resource_means_what_velero_finds_under_it() {
        insta::assert_snapshot!(table(&[
            "pods", "services", "services.serving.knative.dev", "deployments.apps", "*", "*.*", "*.*.*", "**", "*.apps", "d*.apps",
            "*.cattle.io", "**.cattle.io", "*.management.*.*", "persistent*", "pod?", "{pods,deployments.apps}", "{d*,jobs}.{apps,batch}",
            "*.[a-b]*", "namespaces",
        ]), @"
        pods  ->  Pod
        services  ->  Service
        services.serving.knative.dev  ->  Service.serving.knative.dev
        deployments.apps  ->  Deployment.apps
        *  ->  Pod PersistentVolume PersistentVolumeClaim Service
        *.*  ->  Deployment.apps DaemonSet.apps StatefulSet.apps Job.batch
        *.*.*  ->  Herd.cattle.io Dive.deep.apps
        **  ->  Pod PersistentVolume PersistentVolumeClaim Service Service.serving.knative.dev Deployment.apps DaemonSet.apps StatefulSet.apps Job.batch Ingress.networking.k8s.io User.management.cattle.io Herd.cattle.io Dive.deep.apps
        *.apps  ->  Deployment.apps DaemonSet.apps StatefulSet.apps
        d*.apps  ->  Deployment.apps DaemonSet.apps
        *.cattle.io  ->  Herd.cattle.io
        **.cattle.io  ->  User.management.cattle.io Herd.cattle.io
        *.management.*.*  ->  User.management.cattle.io
        persistent*  ->  PersistentVolume PersistentVolumeClaim
        pod?  ->  Pod
        {pods,deployments.apps}  ->  Pod Deployment.apps
        {d*,jobs}.{apps,batch}  ->  Deployment.apps DaemonSet.apps Job.batch
        *.[a-b]*  ->  Deployment.apps DaemonSet.apps StatefulSet.apps Job.batch
        namespaces  ->  nothing
        ");
    }

    #[test]
    fn what_velero_never_finds_is_refused_with_the_right_name() {
        insta::assert_snapshot!(table(&[
            "pod", "deployments", "Deployment", "apps/v1", "persistentvolumeclaims.storage.k8s.io", "x*", "[dp]*.apps", "{a,{b}}",
            "{*,jobs.batch}", "a.[b",
        ]), @r#"
        pod  ->  refused: Velero finds nothing under "pod": a resource without a group is one of the core group (did you mean `pods`? Other groups are named, as in `deployments.apps`)
        deployments  ->  refused: Velero finds nothing under "deployments": a resource without a group is one of the core group (write the plural and the group, as in `deployments.apps`; of the core group there are: configmaps, endpoints, events, limitranges, namespaces, nodes, persistentvolumeclaims, persistentvolumes, pods, podtemplates, replicationcontrollers, resourcequotas, secrets, serviceaccounts, services)
        Deployment  ->  refused: "Deployment" is no resource: 'D' cannot stand in one (write the plural in lower case and the group: `pods`, `deployments.apps`)
        apps/v1  ->  refused: "apps/v1" is no resource: '/' cannot stand in one (write the plural in lower case and the group: `pods`, `deployments.apps`)
        persistentvolumeclaims.storage.k8s.io  ->  refused: Velero finds nothing under `persistentvolumeclaims.storage.k8s.io`: `persistentvolumeclaims` are of the core group (write `persistentvolumeclaims`)
        x*  ->  refused: "x*" matches no resource (a resource without a group is one of the core group: configmaps, endpoints, events, limitranges, namespaces, nodes, persistentvolumeclaims, persistentvolumes, pods, podtemplates, replicationcontrollers, resourcequotas, secrets, serviceaccounts, services)
        [dp]*.apps  ->  refused: "[dp]*.apps" cannot be said as a pattern for kinds (name the kinds one by one, as in `{pods,services}` or in a rule each)
        {a,{b}}  ->  refused: "{a,{b}}" has braces in braces
        {*,jobs.batch}  ->  refused: "{*,jobs.batch}" names all kinds beside some (write a rule for each of them)
        a.[b  ->  refused: "[b" has a `[` without letters and `]`
        "#);
    }
}

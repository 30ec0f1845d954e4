//! Reads discovery documents: what one API server says it serves, in the aggregated form and in the older ones.
//!
//! In: JSON of `/api`, `/apis` and `/apis/<group>/<version>` · Out: `Group`s, `Resource`s · Touches: nothing

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroupList, APIResourceList, APIVersions};
use kube::core::discovery::v2::{APIGroupDiscovery, APIGroupDiscoveryList, APIResourceDiscovery};
use serde::Deserialize;

use crate::domain::object::{Gvk, Resource};

/// One version of a group and what is known of its types.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// `apps/v1`; `v1` for the core group.
    pub name: String,
    /// Its types; absent where they have to be asked for separately.
    pub types: Option<Vec<Type>>,
}

/// One group, its preferred version first.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its versions in the server's order of preference.
    pub versions: Vec<Version>,
}

/// One type of object in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// Plural name.
    pub plural: String,
    /// Kind.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Verbs.
    pub verbs: Vec<String>,
}

#[derive(Deserialize)]
struct Any {
    kind: String,
}

/// Groups from the answer of `/api` or `/apis`, whichever form it has.
///
/// Versions whose types are not in it, and stale ones, come without types.
///
/// # Errors
/// Says that the document is not understood.
pub fn groups(body: &[u8]) -> Result<Vec<Group>, serde_json::Error> {
    match serde_json::from_slice::<Any>(body)?.kind.as_str() {
        "APIGroupDiscoveryList" => {
            let list: APIGroupDiscoveryList = serde_json::from_slice(body)?;
            Ok(list.items.into_iter().map(aggregated).collect())
        }
        "APIVersions" => {
            let core: APIVersions = serde_json::from_slice(body)?;
            let versions = core.versions.into_iter().map(|name| Version { name, types: None });
            Ok(vec![Group { versions: versions.collect() }])
        }
        _ => {
            let list: APIGroupList = serde_json::from_slice(body)?;
            Ok(list.groups.into_iter().map(legacy).collect())
        }
    }
}

fn aggregated(group: APIGroupDiscovery) -> Group {
    let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
    let version = |version: kube::core::discovery::v2::APIVersionDiscovery| {
        let stale = version.freshness.as_deref().is_some_and(|freshness| freshness != "Current");
        let types = version.resources.into_iter().filter_map(aggregated_type).collect();
        let gvk =
            Gvk { group: name.clone(), version: version.version.unwrap_or_default(), kind: String::new() };
        Version { name: gvk.api_version(), types: (!stale).then_some(types) }
    };
    Group { versions: group.versions.into_iter().map(version).collect() }
}

/// A resource without a kind only carries subresources.
fn aggregated_type(resource: APIResourceDiscovery) -> Option<Type> {
    Some(Type {
        plural: resource.resource?,
        kind: resource.response_kind?.kind.filter(|kind| !kind.is_empty())?,
        namespaced: resource.scope.as_deref() == Some("Namespaced"),
        verbs: resource.verbs,
    })
}

fn legacy(group: k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup) -> Group {
    let preferred = group.preferred_version.map(|version| version.group_version).unwrap_or_default();
    let mut names: Vec<String> = group.versions.into_iter().map(|version| version.group_version).collect();
    names.sort_by_key(|name| *name != preferred);
    Group { versions: names.into_iter().map(|name| Version { name, types: None }).collect() }
}

/// Types from the answer of `/api/<version>` or `/apis/<group>/<version>`; subresources are left out.
///
/// # Errors
/// Says that the document is not understood.
pub fn types(body: &[u8]) -> Result<Vec<Type>, serde_json::Error> {
    let list: APIResourceList = serde_json::from_slice(body)?;
    let whole = list.resources.into_iter().filter(|resource| !resource.name.contains('/'));
    let known = |r: k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource| Type {
        plural: r.name,
        kind: r.kind,
        namespaced: r.namespaced,
        verbs: r.verbs,
    };
    Ok(whole.map(known).collect())
}

/// Every type once, in the version that its group prefers among those that serve it, sorted by full name.
pub fn resources(groups: Vec<Group>) -> Vec<Resource> {
    let mut found: BTreeMap<String, Resource> = BTreeMap::new();
    for version in groups.into_iter().flat_map(|group| group.versions) {
        for known in version.types.into_iter().flatten() {
            let mut resource = Resource {
                gvk: Gvk::new(&version.name, &known.kind),
                plural: known.plural,
                namespaced: known.namespaced,
                verbs: known.verbs,
                served: Vec::new(),
            };
            resource.verbs.sort();
            let served = resource.gvk.version.clone();
            found.entry(resource.full_name()).or_insert(resource).served.push(served);
        }
    }
    for resource in found.values_mut() {
        resource.served.sort();
        resource.served.dedup();
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::object::Json;

    fn shown(document: &Json) -> Vec<String> {
        let groups = groups(document.to_string().as_bytes()).unwrap();
        resources(groups)
            .iter()
            .map(|r| format!("{} {} {:?} {}", r.full_name(), r.gvk, r.served, r.verbs.join(",")))
            .collect()
    }

    fn kind(plural: &str, kind: &str) -> Json {
        json!({"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced", "verbs": ["list", "get"],
            "subresources": [{"subresource": "status"}]})
    }

    #[test]
    fn a_type_counts_in_the_first_version_that_serves_it() {
        let document = json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "batch"}, "versions": [
            {"version": "v1", "freshness": "Current", "resources": [kind("jobs", "Job")]},
            {"version": "v1beta1", "resources": [kind("jobs", "Job"), kind("cronjobs", "CronJob")]}]}]});
        assert_eq!(
            shown(&document),
            [
                "cronjobs.batch batch/v1beta1 CronJob [\"v1beta1\"] get,list",
                "jobs.batch batch/v1 Job [\"v1\", \"v1beta1\"] get,list"
            ]
        );
    }

    #[test]
    fn what_only_carries_subresources_is_no_type() {
        let document = json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "x.io"}, "versions": [
            {"version": "v1", "resources": [{"resource": "things", "verbs": [], "responseKind": {"kind": ""}},
                {"resource": "others", "verbs": []}]}]}]});
        assert_eq!(shown(&document), [""; 0]);
    }

    #[test]
    fn a_stale_version_has_to_be_asked_for() {
        let document = json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "m.io"}, "versions": [
            {"version": "v1", "freshness": "Stale", "resources": [kind("nodes", "Node")]}]}]});
        let found = groups(document.to_string().as_bytes()).unwrap();
        assert_eq!(found, [Group { versions: vec![Version { name: "m.io/v1".into(), types: None }] }]);
    }

    #[test]
    fn the_older_form_puts_the_preferred_version_first() {
        let version = |v: &str| json!({"groupVersion": format!("a.io/{v}"), "version": v});
        let document = json!({"kind": "APIGroupList", "groups": [{"name": "a.io",
            "versions": [version("v1beta1"), version("v1")], "preferredVersion": version("v1")}]});
        let found = groups(document.to_string().as_bytes()).unwrap();
        let names: Vec<&str> = found[0].versions.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["a.io/v1", "a.io/v1beta1"]);
        let list = json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": [
            {"name": "pods", "kind": "Pod", "namespaced": true, "singularName": "", "verbs": ["list"]},
            {"name": "pods/exec", "kind": "PodExecOptions", "namespaced": true, "singularName": "", "verbs": ["get"]}]});
        assert_eq!(types(list.to_string().as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_discovery_document_is_an_error() {
        for bad in ["", "{}", "[]", "<html>", r#"{"kind":"APIGroupList","groups":7}"#] {
            assert!(groups(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}

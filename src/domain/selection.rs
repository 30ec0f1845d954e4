//! Which objects a policy or a restore means.
//!
//! In: `SelectSpec` · Out: `Selection` and its decisions · Touches: nothing

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cel::{EvalError, Expression};
use super::field::FieldError;
use super::labels::LabelSelector;
use super::object::{Json, Manifest, ObjectKey, Resource};
use super::pattern::{BadPattern, KindMatcher, NameMatcher};

/// Which objects are meant. Everything is optional; an absent list means all, and an exclude always wins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelectSpec {
    /// Namespaces by name or glob. With an include list, only related cluster-scoped objects come along.
    #[serde(default)]
    pub namespaces: Patterns,
    /// Namespaced kinds, by Kind or `resource.group`, globs allowed.
    #[serde(default)]
    pub namespaced_resources: Patterns,
    /// Cluster-scoped kinds, by Kind or `resource.group`, globs allowed.
    #[serde(default)]
    pub cluster_resources: Patterns,
    /// Labels every object must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Label selectors of which at least one must match. Not together with `labelSelector`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub or_label_selectors: Vec<LabelSelector>,
    /// CEL expression over `object` that must be true, such as `object.metadata.name.startsWith('shop-')`.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// What is taken in and left out, by name or glob (`*`, `?`, `[abc]`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Patterns {
    /// Taken in. Absent or empty: all. A pattern that matches nothing selects nothing and is reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Left out, whatever is taken in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// Labels with the value `true` that leave an object out, or with its Namespace everything in it.
pub const EXCLUDE_LABELS: [&str; 2] = ["backstay.dev/exclude", "velero.io/exclude-from-backup"];

/// What is done with a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KindChoice {
    /// Its objects are looked at one by one.
    Take,
    /// Only those of its objects come along that taken ones need.
    OnlyRelated,
    /// It is left out, for this reason.
    Skip(String),
}

/// What is done with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectChoice {
    /// It is taken.
    Take,
    /// It comes along if a taken object needs it; else it is left out, for this reason.
    OnlyRelated(String),
    /// It is left out, for this reason.
    Skip(String),
}

/// Includes and excludes, compiled.
#[derive(Clone, Debug)]
struct Filter<M> {
    include: M,
    exclude: M,
}

/// Which objects are meant, compiled: answers for kinds, namespaces and objects.
#[derive(Clone, Debug)]
pub struct Selection {
    namespaces: Filter<NameMatcher>,
    namespaced: Filter<KindMatcher>,
    cluster: Filter<KindMatcher>,
    labels: Vec<LabelSelector>,
    filter: Option<Expression>,
}

impl Selection {
    /// Compiles a selection.
    ///
    /// # Errors
    /// Everything that is wrong, with pointers relative to the selection.
    pub fn compile(spec: &SelectSpec) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut kinds = |at, patterns: &Patterns| filter(at, patterns, KindMatcher::new, &mut errors);
        let inside = kinds("/namespacedResources", &spec.namespaced_resources);
        let cluster = kinds("/clusterResources", &spec.cluster_resources);
        let namespaces = filter("/namespaces", &spec.namespaces, NameMatcher::new, &mut errors);
        if spec.label_selector.is_some() && !spec.or_label_selectors.is_empty() {
            let message = "`orLabelSelectors` cannot stand beside `labelSelector`";
            errors.push(
                FieldError::new("/orLabelSelectors", message).help("put `labelSelector` into the list"),
            );
        }
        errors.extend(label_errors(spec));
        let labels = spec.label_selector.iter().chain(&spec.or_label_selectors).cloned().collect();
        let filter = spec.filter.as_deref().map(Expression::parse).transpose();
        errors.extend(filter.as_ref().err().map(|e| FieldError::new("/where", e)));
        match filter {
            Ok(filter) if errors.is_empty() => {
                Ok(Self { namespaces, namespaced: inside, cluster, labels, filter })
            }
            _ => Err(errors),
        }
    }

    /// What is done with a kind.
    ///
    /// Namespaces are always looked at unless they are excluded, so that what is in them can come back.
    pub fn kind(&self, resource: &Resource) -> KindChoice {
        let filter = if resource.namespaced { &self.namespaced } else { &self.cluster };
        let matches = |patterns: &KindMatcher| {
            patterns.matches(&resource.gvk.group, &resource.gvk.kind, &resource.plural)
        };
        if matches(&filter.exclude) {
            return KindChoice::Skip("the selection excludes this kind".into());
        }
        if is_namespace(resource) || matches(&filter.include) {
            return KindChoice::Take;
        }
        match (resource.namespaced, self.by_namespace(), filter.include.is_empty()) {
            (true, _, true) | (false, false, true) => KindChoice::Take,
            (false, true, _) => KindChoice::OnlyRelated,
            (_, _, false) => KindChoice::Skip("the selection does not include this kind".into()),
        }
    }

    /// Whether objects in this namespace are meant.
    pub fn namespace(&self, name: &str) -> bool {
        let Filter { include, exclude } = &self.namespaces;
        !exclude.matches(name) && (include.is_empty() || include.matches(name))
    }

    /// The namespaces that are meant, when they are known without asking the cluster: included by plain name.
    pub fn namespace_list(&self) -> Option<Vec<String>> {
        let names = self.namespaces.include.plain().filter(|names| !names.is_empty())?;
        Some(names.into_iter().filter(|name| self.namespace(name)).collect())
    }

    /// Whether this namespace is left out by name or glob, whatever is taken in.
    pub fn excludes_namespace(&self, name: &str) -> bool {
        self.namespaces.exclude.matches(name)
    }

    /// Whether this namespace is taken in because somebody wrote down its name or glob, not because all are.
    pub fn names_namespace(&self, name: &str) -> bool {
        self.by_namespace() && self.namespace(name)
    }

    /// Whether a kind is left out by name or glob, whatever is taken in.
    pub fn excludes_kind(&self, resource: &Resource) -> bool {
        let filter = if resource.namespaced { &self.namespaced } else { &self.cluster };
        filter.exclude.matches(&resource.gvk.group, &resource.gvk.kind, &resource.plural)
    }

    /// Whether a kind is taken in because somebody wrote down its name or glob, not because all are.
    pub fn names_kind(&self, resource: &Resource) -> bool {
        let include = if resource.namespaced { &self.namespaced.include } else { &self.cluster.include };
        !include.has("*") && include.matches(&resource.gvk.group, &resource.gvk.kind, &resource.plural)
    }

    /// Whether neither labels nor `where` choose among the objects of what is taken.
    pub fn takes_every_object(&self) -> bool {
        self.labels.is_empty() && self.filter.is_none()
    }

    /// A label selector that the API server can apply to a list of this kind, if there is one.
    ///
    /// Never for cluster-scoped kinds, because those without the labels may still come along.
    pub fn server_labels(&self, resource: &Resource) -> Option<String> {
        match self.labels.as_slice() {
            [only] if resource.namespaced => Some(only.query()),
            _ => None,
        }
    }

    /// What is done with an object.
    ///
    /// Asked in this order: deletion, exclude labels of the object itself, kind, namespace, labels, `where`.
    /// Whether its Namespace carries an exclude label, [`excluded_by_label`] tells. Labels and `where` never keep out a
    /// cluster-scoped object that a taken one needs.
    ///
    /// # Errors
    /// `where` has no answer for this object.
    pub fn object(&self, resource: &Resource, object: &Manifest) -> Result<ObjectChoice, EvalError> {
        if object.is_deleting() {
            return Ok(ObjectChoice::Skip("it is being deleted".into()));
        }
        if let Some(label) = excluded_by_label(object) {
            return Ok(ObjectChoice::Skip(format!("it has the label {label}=true")));
        }
        let label = |key: &str| object.labels().and_then(|l| l.get(key)).and_then(Json::as_str);
        let choice = self.place_and_labels(resource, object.namespace(), object.name(), label);
        match &self.filter {
            Some(filter) if choice == ObjectChoice::Take && !filter.test(object)? => {
                Ok(unless_related(resource, "`where` is not true for it"))
            }
            _ => Ok(choice),
        }
    }

    /// What is done with an object of which only key and labels are known; `where` is not asked.
    pub fn entry(
        &self,
        resource: &Resource,
        key: &ObjectKey,
        labels: &BTreeMap<String, String>,
    ) -> ObjectChoice {
        let label = |name: &str| labels.get(name).map(String::as_str);
        self.place_and_labels(resource, key.namespace.as_deref(), &key.name, label)
    }

    /// The include and exclude patterns that match nothing the server has, as notes for the report.
    pub fn unmatched(&self, resources: &[Resource], namespaces: &[String]) -> Vec<String> {
        let names = |matcher: &NameMatcher| {
            let all = namespaces.iter().map(String::as_str);
            matcher.unmatched(all)
        };
        let kinds = |matcher: &KindMatcher, namespaced: bool| {
            let scope = resources.iter().filter(|r| r.namespaced == namespaced);
            matcher.unmatched(scope.map(|r| (r.gvk.group.as_str(), r.gvk.kind.as_str(), r.plural.as_str())))
        };
        let lists = [
            ("namespaces.include", names(&self.namespaces.include)),
            ("namespaces.exclude", names(&self.namespaces.exclude)),
            ("namespacedResources.include", kinds(&self.namespaced.include, true)),
            ("namespacedResources.exclude", kinds(&self.namespaced.exclude, true)),
            ("clusterResources.include", kinds(&self.cluster.include, false)),
            ("clusterResources.exclude", kinds(&self.cluster.exclude, false)),
        ];
        // A pattern that stands in the lists of both scopes is meant for one of them.
        let both = |list: &str, pattern: &String| match list {
            "namespacedResources.include" => Self::matched(&self.cluster.include, pattern, resources, false),
            "clusterResources.include" => Self::matched(&self.namespaced.include, pattern, resources, true),
            _ => false,
        };
        let lists = lists.map(|(list, left)| {
            (list, left.into_iter().filter(|pattern| !both(list, pattern)).collect::<Vec<_>>())
        });
        let note = |list: &str, pattern: String| format!("{list}: {pattern:?} matches nothing");
        lists.into_iter().flat_map(|(list, left)| left.into_iter().map(move |p| note(list, p))).collect()
    }

    /// Whether a list has a pattern and it matches a kind.
    fn matched(list: &KindMatcher, pattern: &String, resources: &[Resource], namespaced: bool) -> bool {
        let scope = resources.iter().filter(|r| r.namespaced == namespaced);
        let kinds = scope.map(|r| (r.gvk.group.as_str(), r.gvk.kind.as_str(), r.plural.as_str()));
        list.has(pattern) && !list.unmatched(kinds).contains(pattern)
    }

    /// Whether cluster-scoped objects may come along only because taken ones need them.
    pub fn may_need_related(&self) -> bool {
        self.by_namespace() || !self.labels.is_empty() || self.filter.is_some()
    }

    fn by_namespace(&self) -> bool {
        !self.namespaces.include.is_empty() && !self.namespaces.include.takes_all()
    }

    fn place_and_labels<'a>(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        label: impl Fn(&str) -> Option<&'a str>,
    ) -> ObjectChoice {
        let not_needed = "nothing that was selected needs it";
        match self.kind(resource) {
            KindChoice::Skip(reason) => return ObjectChoice::Skip(reason),
            KindChoice::OnlyRelated => return ObjectChoice::OnlyRelated(not_needed.into()),
            KindChoice::Take => {}
        }
        let place = if is_namespace(resource) { Some(name) } else { namespace };
        if place.is_some_and(|ns| !self.namespace(ns)) {
            return ObjectChoice::Skip("its namespace is not selected".into());
        }
        if self.labels.is_empty() || self.labels.iter().any(|selector| selector.matches(&label)) {
            return ObjectChoice::Take;
        }
        unless_related(resource, "it does not have the selected labels")
    }
}

/// The label that leaves an object out; on a Namespace, everything in it too.
pub fn excluded_by_label(object: &Manifest) -> Option<&'static str> {
    EXCLUDE_LABELS.into_iter().find(|label| object.label(label) == Some("true"))
}

fn unless_related(resource: &Resource, reason: &str) -> ObjectChoice {
    let choice = if resource.namespaced { ObjectChoice::Skip } else { ObjectChoice::OnlyRelated };
    choice(reason.to_owned())
}

fn is_namespace(resource: &Resource) -> bool {
    resource.gvk.group.is_empty() && resource.gvk.kind == "Namespace"
}

/// Compiles both lists of patterns one by one, so that every bad pattern is found.
fn filter<M: Default>(
    pointer: &str,
    patterns: &Patterns,
    compile: impl Fn(&[String]) -> Result<M, BadPattern>,
    errors: &mut Vec<FieldError>,
) -> Filter<M> {
    let mut list = |name: &str, texts: &[String]| {
        for (index, text) in texts.iter().enumerate() {
            if let Err(error) = compile(std::slice::from_ref(text)) {
                errors.push(FieldError::new(format!("{pointer}/{name}/{index}"), error));
            }
        }
        compile(texts).unwrap_or_default()
    };
    Filter { include: list("include", &patterns.include), exclude: list("exclude", &patterns.exclude) }
}

fn label_errors(spec: &SelectSpec) -> Vec<FieldError> {
    let single = spec.label_selector.iter().map(|s| ("/labelSelector".to_owned(), s));
    let list = spec.or_label_selectors.iter().enumerate();
    let list = list.map(|(index, selector)| (format!("/orLabelSelectors/{index}"), selector));
    single.chain(list).flat_map(|(at, s)| s.check().into_iter().map(move |e| e.under(&at))).collect()
}

#[cfg(test)]
mod tests;

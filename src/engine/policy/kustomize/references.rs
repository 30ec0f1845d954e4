//! Lets fields that name objects follow when those are renamed.
//!
//! In: `Pile` · Out: the changed `Pile` · Touches: nothing

use std::collections::HashMap;

use crate::domain::object::Gvk;
use crate::engine::policy::node::{Content, Fault, Node};

use super::facts::{Named, Referrer, fields, is_cluster_scoped};
use super::fields::{Make, Way, visit};
use super::object::{Id, Object, Pile};

/// Follows all names.
///
/// # Errors
/// A name that may mean several objects.
pub fn follow(pile: &mut Pile) -> Result<(), Fault> {
    let candidates: Vec<Candidate> = pile.objects.iter().filter_map(Candidate::of).collect();
    let mut by_name: HashMap<&str, Vec<&Candidate>> = HashMap::new();
    for candidate in &candidates {
        for name in &candidate.names {
            by_name.entry(name).or_default().push(candidate);
        }
    }
    if by_name.is_empty() {
        return Ok(());
    }
    for object in &mut pile.objects {
        let origin = object.origin().gvk;
        let referrer = Looking::of(object);
        for references in &fields().references {
            for from in references.from.iter().filter(|from| selects(from, &origin)) {
                for path in &from.paths {
                    let way = Way { path, make: Make::Nothing, place: object.node.place };
                    let seek = Seek { referrer: &referrer, to: &references.to, path, by_name: &by_name };
                    visit(&mut object.node, way, &mut |node| seek.set(node))?;
                }
            }
        }
    }
    Ok(())
}

fn selects(from: &Referrer, gvk: &Gvk) -> bool {
    from.kinds.contains(&gvk.kind)
        && (from.group.is_empty() || from.group == gvk.group)
        && (from.version.is_empty() || from.version == gvk.version)
}

/// An object that was called otherwise before.
#[derive(Debug)]
struct Candidate {
    now: Id,
    /// Its namespace as written.
    namespace: String,
    first: Id,
    past: Vec<Id>,
    names: Vec<String>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

impl Candidate {
    fn of(object: &Object) -> Option<Self> {
        let past = object.past();
        let mut names: Vec<String> = past.iter().map(|id| id.name.clone()).collect();
        names.sort();
        names.dedup();
        Some(Self {
            first: past.first()?.clone(),
            now: object.id(),
            namespace: object.namespace(),
            past,
            names,
            prefixes: object.prefixes.clone(),
            suffixes: object.suffixes.clone(),
        })
    }
}

/// The object whose field is looked at.
struct Looking {
    now: Id,
    cluster: bool,
    kind: String,
    role: Option<(String, String)>,
    /// Namespaces of service accounts that a role binding names.
    accounts: Vec<String>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

impl Looking {
    fn of(object: &Object) -> Self {
        let role = |field| object.node.find(&["roleRef", field]).and_then(Node::plain);
        let subjects = object.node.get("subjects").map_or(&[][..], Node::items);
        let account = |subject: &&Node| subject.text("kind") == Some("ServiceAccount");
        Self {
            now: object.id(),
            cluster: is_cluster_scoped(&object.gvk()),
            kind: object.kind().to_owned(),
            role: role("apiGroup").zip(role("kind")),
            accounts: subjects
                .iter()
                .filter(account)
                .filter_map(|s| s.text("namespace"))
                .map(str::to_owned)
                .collect(),
            prefixes: object.prefixes.clone(),
            suffixes: object.suffixes.clone(),
        }
    }

    /// Whether a field of it can mean an object of that namespace at all.
    fn reaches(&self, candidate: &Candidate) -> bool {
        self.cluster
            || is_cluster_scoped(&candidate.now.gvk)
            || candidate.now.namespace == self.now.namespace
            || self.kind == "RoleBinding" && self.accounts.contains(&candidate.namespace)
    }

    fn same_namespace(&self, candidate: &Candidate) -> bool {
        self.cluster
            || is_cluster_scoped(&candidate.now.gvk)
            || candidate.now.gvk.kind == "ServiceAccount"
            || candidate.now.namespace == self.now.namespace
    }
}

/// One field's search.
struct Seek<'a> {
    referrer: &'a Looking,
    to: &'a Named,
    path: &'a str,
    by_name: &'a HashMap<&'a str, Vec<&'a Candidate>>,
}

impl Seek<'_> {
    fn set(&self, node: &mut Node) -> Result<(), Fault> {
        if node.is_null() {
            return Ok(());
        }
        match &mut node.content {
            Content::List(items) => {
                items.iter_mut().filter(|item| !item.is_null()).try_for_each(|item| match item.content {
                    Content::List(_) => {
                        Err(Fault::new(item.place, "a name or a mapping with a name is wanted here"))
                    }
                    _ => self.set(item),
                })
            }
            Content::Map(_) => self.set_mapping(node),
            Content::Scalar(_) | Content::Empty => {
                let old = node.plain().unwrap_or_default();
                let same = |all: &[&Candidate]| all.iter().all(|c| c.now.name == all[0].now.name);
                if let Some(found) = self.find(&old, node, &same)?.filter(|found| found.now.name != old) {
                    node.content = Content::Scalar(found.now.name.clone().into());
                }
                Ok(())
            }
        }
    }

    fn set_mapping(&self, node: &mut Node) -> Result<(), Fault> {
        let unnamed = || Fault::new(node.place, "the field `name` is missing here");
        let old = node.get("name").and_then(Node::plain).ok_or_else(unnamed)?;
        let same = |all: &[&Candidate]| {
            all.iter().all(|c| c.now.name == all[0].now.name && c.namespace == all[0].namespace)
        };
        let Some(found) = self.find(&old, node, &same)? else { return Ok(()) };
        let place = node.value_at("/name");
        if found.now.name != old {
            node.set("name", Node::scalar(found.now.name.clone(), place));
        }
        if !found.namespace.is_empty() {
            node.set("namespace", Node::scalar(found.namespace.clone(), place));
        }
        Ok(())
    }

    /// The only object that is meant.
    fn find(
        &self,
        old: &str,
        node: &Node,
        same: &dyn Fn(&[&Candidate]) -> bool,
    ) -> Result<Option<&Candidate>, Fault> {
        let named = self.by_name.get(old).map_or(&[][..], Vec::as_slice);
        let mut left: Vec<&Candidate> = named.iter().copied().filter(|c| self.referrer.reaches(c)).collect();
        if let Some(namespace) = node.get("namespace").and_then(Node::plain) {
            let first = |c: &&Candidate| c.first.namespace == namespace;
            let any_first = self.by_name.values().flatten().any(|c| self.referrer.reaches(c) && first(c));
            left.retain(|c| if any_first { first(c) } else { c.now.namespace == namespace });
        }
        left.retain(|c| c.past.iter().any(|id| self.is_wanted(&id.gvk)));
        left.retain(|c| self.is_role(c) && self.referrer.same_namespace(c));
        if left.len() > 1 {
            left.retain(|c| self.alike(c, true));
        }
        if left.len() > 1 {
            left.retain(|c| self.alike(c, false));
        }
        match left.as_slice() {
            [] => Ok(None),
            [first, ..] if same(&left) => Ok(Some(first)),
            _ => {
                let meant: Vec<String> = left.iter().map(|c| c.now.shown()).collect();
                let message = format!("`{old}` may mean any of {}", meant.join(", "));
                Err(Fault::new(node.place, message))
            }
        }
    }

    fn is_wanted(&self, gvk: &Gvk) -> bool {
        self.to.kind == gvk.kind
            && (self.to.group.is_empty() || self.to.group == gvk.group)
            && (self.to.version.is_empty() || self.to.version == gvk.version)
    }

    /// A role reference says itself whether it means a Role or a `ClusterRole`.
    fn is_role(&self, candidate: &Candidate) -> bool {
        let Some((group, kind)) = self.referrer.role.as_ref().filter(|_| self.path.ends_with("roleRef/name"))
        else {
            return true;
        };
        candidate.past.iter().any(|id| id.gvk.group == *group && id.gvk.kind == *kind)
    }

    /// Whether both were renamed by the same kustomizations.
    fn alike(&self, candidate: &Candidate, or_not_at_all: bool) -> bool {
        let ends = |a: &[String], b: &[String]| {
            if or_not_at_all && (a.is_empty() || b.is_empty()) {
                return true;
            }
            let length = a.len().min(b.len());
            length > 0 && a[a.len() - length..] == b[b.len() - length..] || a.len() == b.len() && length == 0
        };
        ends(&candidate.prefixes, &self.referrer.prefixes)
            && ends(&candidate.suffixes, &self.referrer.suffixes)
    }
}

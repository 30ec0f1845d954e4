//! Decides what no policy covers, and says why: namespaces, kinds and claims that would not come back.
//!
//! A policy covers what it selects while it runs by itself and may write somewhere. A claim is covered as an object: the
//! data of its volume is not saved.
//!
//! In: `PolicySet`, catalog, what the server serves, namespaces, claims · Out: `Coverage` · Touches: nothing

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::coverage::{Coverage, Gap, Reason, What};
use crate::domain::document::PolicySet;
use crate::domain::location::AccessMode;
use crate::domain::object::{Manifest, Resource};
use crate::domain::policy::PolicySpec;
use crate::domain::rules::Catalog;
use crate::domain::selection::{KindChoice, ObjectChoice, SelectSpec, Selection, excluded_by_label};
use crate::engine::gather::plan::{BackupPlan, plan};
use crate::ports::cluster::Discovery;

/// Looks at a cluster piece by piece: all namespaces first, then the claims.
pub struct Watch<'a> {
    policies: Vec<Standing<'a>>,
    kinds: Vec<Resource>,
    catalog: Arc<Catalog>,
    namespaces: BTreeMap<String, Option<&'static str>>,
    coverage: Coverage,
}

/// A policy, and what it does with each kind.
struct Standing<'a> {
    name: &'a str,
    selection: Selection,
    idle: Option<Idle>,
    kinds: Vec<KindChoice>,
}

/// Why a policy covers nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Idle {
    Suspended,
    OnRequest,
    ReadOnly,
}

enum Verdict {
    Covered,
    Uncovered(Reason),
    LeftOut(Reason),
}

/// What is asked of each policy about one thing.
struct Questions<'q> {
    /// Whether it takes it.
    takes: &'q dyn Fn(&Standing<'_>) -> bool,
    /// Whether somebody wrote its name into the policy.
    names: &'q dyn Fn(&Standing<'_>) -> bool,
    /// Whether somebody wrote that it stays out.
    excludes: &'q dyn Fn(&Standing<'_>) -> bool,
}

impl<'a> Watch<'a> {
    /// Knows policies and kinds: those count that a policy without `select` would collect.
    ///
    /// A policy whose selection cannot be read selects nothing; such a policy is not in force.
    pub fn new(set: &'a PolicySet, catalog: Arc<Catalog>, served: &Discovery) -> Self {
        let everything = Selection::compile(&SelectSpec::default()).ok();
        let planned = everything.map(|everything| plan(everything, Arc::clone(&catalog), served));
        let planned = planned.iter().flat_map(BackupPlan::kinds);
        let mut kinds: Vec<Resource> = planned.map(|kind| kind.resource.as_ref().clone()).collect();
        kinds.sort_by_cached_key(Resource::full_name);
        let standing = |(name, spec): (&'a String, &PolicySpec)| {
            let selection = Selection::compile(&spec.select).ok()?;
            let choices = kinds.iter().map(|kind| selection.kind(kind)).collect();
            Some(Standing { name, selection, idle: idle(set, spec), kinds: choices })
        };
        let policies = set.policies.iter().filter_map(standing).collect();
        let coverage = Coverage { unknown: served.broken.clone(), ..Coverage::default() };
        Self { policies, kinds, catalog, namespaces: BTreeMap::new(), coverage }
    }

    /// The kind of claims, if the server has any.
    pub fn claims(&self) -> Option<&Resource> {
        self.kinds.iter().find(|kind| kind.gvk.group.is_empty() && kind.gvk.kind == "PersistentVolumeClaim")
    }

    /// Takes in a namespace. One that is being deleted does not count.
    pub fn namespace(&mut self, namespace: &Manifest) {
        if !namespace.is_deleting() {
            self.namespaces.insert(namespace.name().to_owned(), excluded_by_label(namespace));
        }
    }

    /// Takes in a claim. One that is being deleted, or is in no namespace that counts, does not count.
    pub fn claim(&mut self, claim: &Manifest) {
        let Some(kind) = self.claims() else { return };
        let home = claim.namespace().unwrap_or_default();
        let Some(label) = self.namespaces.get(home) else { return };
        if claim.is_deleting() || self.catalog.kind(kind).never(claim).is_some() {
            return;
        }
        let verdict = match (label, excluded_by_label(claim)) {
            (Some(label), _) => Verdict::LeftOut(Reason::NamespaceLabelled { label: (*label).to_owned() }),
            (None, Some(label)) => Verdict::LeftOut(Reason::Labelled { label: label.to_owned() }),
            (None, None) => self.about_claim(kind, home, claim),
        };
        put(&mut self.coverage, What::Claim, format!("{home}/{}", claim.name()), verdict);
    }

    /// What came of it.
    pub fn finish(mut self) -> Coverage {
        let taken: Vec<bool> = (0..self.kinds.len()).map(|at| self.finish_kind(at)).collect();
        for (name, label) in std::mem::take(&mut self.namespaces) {
            let verdict = match label {
                Some(label) => Verdict::LeftOut(Reason::Labelled { label: label.to_owned() }),
                None => self.about_namespace(&name),
            };
            if matches!(verdict, Verdict::Covered) {
                let kinds = self.missing(&name, &taken);
                if !kinds.is_empty() {
                    let reason = Reason::InPart { kinds };
                    self.coverage.in_part.push(Gap { what: What::Namespace, name: name.clone(), reason });
                }
            }
            put(&mut self.coverage, What::Namespace, name, verdict);
        }
        let Coverage { uncovered, left_out, .. } = &mut self.coverage;
        for gaps in [uncovered, left_out] {
            gaps.sort_by(|a, b| (a.what, &a.name).cmp(&(b.what, &b.name)));
        }
        self.coverage
    }

    /// Decides about a kind; whether it is covered.
    fn finish_kind(&mut self, at: usize) -> bool {
        let verdict = self.about_kind(at);
        let covered = matches!(verdict, Verdict::Covered);
        put(&mut self.coverage, What::Kind, self.kinds[at].full_name(), verdict);
        covered
    }

    fn about_kind(&self, at: usize) -> Verdict {
        let kind = &self.kinds[at];
        let reaches = |policy: &Standing<'_>| {
            let mut open = self.namespaces.iter().filter(|(_, label)| label.is_none());
            !kind.namespaced || open.any(|(name, _)| policy.selection.namespace(name))
        };
        let verdict = self.decide(&Questions {
            takes: &|policy| policy.kinds[at] == KindChoice::Take && reaches(policy),
            names: &|policy| policy.selection.names_kind(kind),
            excludes: &|policy| policy.selection.excludes_kind(kind),
        });
        let needing = || self.active().find(|policy| policy.kinds[at] == KindChoice::OnlyRelated);
        match (&verdict, needing()) {
            (Verdict::Uncovered(Reason::NoPolicy), Some(policy)) => {
                Verdict::Uncovered(Reason::OnlyNeeded { policy: policy.name.to_owned() })
            }
            _ => verdict,
        }
    }

    fn about_namespace(&self, name: &str) -> Verdict {
        self.decide(&Questions {
            takes: &|policy| policy.selection.namespace(name) && policy.takes_inside(&self.kinds),
            names: &|policy| policy.selection.names_namespace(name),
            excludes: &|policy| policy.selection.excludes_namespace(name),
        })
    }

    /// Where a policy saves other things of the namespace, only who excludes the kind there leaves claims out on purpose.
    fn about_claim(&self, kind: &Resource, home: &str, claim: &Manifest) -> Verdict {
        let choice = |policy: &Standing<'_>| policy.selection.object(kind, claim);
        let near = self.active().find(|policy| policy.selection.namespace(home));
        let verdict = self.decide(&Questions {
            takes: &|policy| choice(policy) == Ok(ObjectChoice::Take),
            names: &|policy| policy.selection.names_namespace(home),
            excludes: &|policy| {
                let selection = &policy.selection;
                selection.namespace(home) && selection.excludes_kind(kind)
                    || near.is_none() && selection.excludes_namespace(home)
            },
        });
        match (&verdict, near) {
            (Verdict::Uncovered(Reason::NoPolicy), Some(policy)) => {
                let why = match choice(policy) {
                    Ok(ObjectChoice::Take) => return Verdict::Covered,
                    Ok(ObjectChoice::OnlyRelated(why) | ObjectChoice::Skip(why)) => why,
                    Err(_) => "`where` has no answer for it".to_owned(),
                };
                Verdict::Uncovered(Reason::NotTaken { policy: policy.name.to_owned(), why })
            }
            _ => verdict,
        }
    }

    /// Decides. Who wrote a name down wants it saved, also where another policy excludes it.
    fn decide(&self, ask: &Questions<'_>) -> Verdict {
        if self.active().any(|policy| (ask.takes)(policy)) {
            return Verdict::Covered;
        }
        let idle = || self.policies.iter().filter(|policy| policy.idle.is_some() && (ask.takes)(policy));
        let named = idle().find(|policy| (ask.names)(policy));
        let excluding = self.policies.iter().find(|policy| (ask.excludes)(policy));
        match (named, excluding, idle().next()) {
            (Some(policy), _, _) | (None, None, Some(policy)) => Verdict::Uncovered(policy.why()),
            (None, Some(policy), _) => Verdict::LeftOut(Reason::Excluded { policy: policy.name.to_owned() }),
            (None, None, None) => Verdict::Uncovered(Reason::NoPolicy),
        }
    }

    /// Kinds that are covered elsewhere, and of which not every object in this namespace is.
    fn missing(&self, namespace: &str, taken: &[bool]) -> Vec<String> {
        let here = || self.policies.iter().filter(|policy| policy.selection.namespace(namespace));
        let whole = |at: usize| {
            here().any(|policy| {
                policy.idle.is_none()
                    && policy.selection.takes_every_object()
                    && policy.kinds[at] == KindChoice::Take
            })
        };
        let excluded = |kind: &Resource| here().any(|policy| policy.selection.excludes_kind(kind));
        let kinds = self.kinds.iter().enumerate().filter(|(at, kind)| kind.namespaced && taken[*at]);
        kinds.filter(|(at, kind)| !whole(*at) && !excluded(kind)).map(|(_, kind)| kind.full_name()).collect()
    }

    fn active(&self) -> impl Iterator<Item = &Standing<'a>> {
        self.policies.iter().filter(|policy| policy.idle.is_none())
    }
}

fn idle(set: &PolicySet, spec: &PolicySpec) -> Option<Idle> {
    let writable = |name: &String| {
        set.locations.get(name).is_some_and(|location| location.access_mode == AccessMode::ReadWrite)
    };
    if spec.suspend {
        Some(Idle::Suspended)
    } else if spec.schedule.is_none() {
        Some(Idle::OnRequest)
    } else if !spec.locations.iter().any(writable) {
        Some(Idle::ReadOnly)
    } else {
        None
    }
}

impl Standing<'_> {
    /// Whether it takes anything that is in a namespace.
    fn takes_inside(&self, kinds: &[Resource]) -> bool {
        kinds.iter().zip(&self.kinds).any(|(kind, choice)| kind.namespaced && *choice == KindChoice::Take)
    }

    /// Why it covers nothing.
    fn why(&self) -> Reason {
        let policy = self.name.to_owned();
        match self.idle {
            Some(Idle::Suspended) => Reason::Suspended { policy },
            Some(Idle::OnRequest) => Reason::OnRequest { policy },
            Some(Idle::ReadOnly) => Reason::ReadOnly { policy },
            None => Reason::NoPolicy,
        }
    }
}

fn put(coverage: &mut Coverage, what: What, name: String, verdict: Verdict) {
    *coverage.seen.entry(what).or_default() += 1;
    match verdict {
        Verdict::Covered => {}
        Verdict::Uncovered(reason) => coverage.uncovered.push(Gap { what, name, reason }),
        Verdict::LeftOut(reason) => coverage.left_out.push(Gap { what, name, reason }),
    }
}

#[cfg(test)]
mod tests;

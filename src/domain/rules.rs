//! The catalog, compiled: what is known about a kind, and which of it counts for one object.
//!
//! In: `policies/catalog/*.yaml` (embedded), `CatalogSpec` of a policy repository · Out: `Catalog`, `KindRules` · Touches: nothing

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::catalog::{CatalogSpec, WaveSpec};
use super::field::{FieldError, closest};
use super::names::Reference;
use super::object::{Manifest, Resource};
use super::owners::OwnerSpec;
use super::pattern::NameMatcher;
use super::rule::{Edit, Ready, Rule, Unclear, Way};
use super::tool::Tool;

/// The built-in catalog, in the order in which its rules count.
pub const FILES: [(&str, &str); 10] = [
    ("order.yaml", include_str!("../../policies/catalog/order.yaml")),
    ("every-kind.yaml", include_str!("../../policies/catalog/every-kind.yaml")),
    ("never.yaml", include_str!("../../policies/catalog/never.yaml")),
    ("kubernetes.yaml", include_str!("../../policies/catalog/kubernetes.yaml")),
    ("mappings.yaml", include_str!("../../policies/catalog/mappings.yaml")),
    ("versions.yaml", include_str!("../../policies/catalog/versions.yaml")),
    ("references.yaml", include_str!("../../policies/catalog/references.yaml")),
    ("extensions.yaml", include_str!("../../policies/catalog/extensions.yaml")),
    ("owners.yaml", include_str!("../../policies/catalog/owners.yaml")),
    ("sidecars.yaml", include_str!("../../policies/catalog/sidecars.yaml")),
];

/// Objects per page where the catalog says nothing.
pub const PAGE_SIZE: u32 = 500;

/// Everything that is known about kinds: the built-in rules and those of a policy repository.
#[derive(Clone, Debug)]
pub struct Catalog {
    waves: Vec<WaveSpec>,
    rules: Vec<Rule>,
    tools: Vec<Tool>,
    sidecars: Vec<NameMatcher>,
}

/// A built-in file: a document as a policy repository would hold it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[cfg_attr(not(test), expect(dead_code, reason = "a test reads it"))]
    api_version: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "a test reads it"))]
    kind: String,
    #[expect(dead_code, reason = "only there to be allowed")]
    metadata: BTreeMap<String, String>,
    spec: CatalogSpec,
}

static BUILTIN: LazyLock<Catalog> = LazyLock::new(|| {
    let mut catalog =
        Catalog { waves: Vec::new(), rules: Vec::new(), tools: Vec::new(), sidecars: Vec::new() };
    for (name, text) in FILES {
        let file: File = serde_saphyr::from_str(text).unwrap_or_else(|e| unreadable(name, &e.to_string()));
        let errors = catalog.add(&file.spec, Origin::Builtin);
        if let Some(error) = errors.first() {
            unreadable(name, &error.to_string())
        }
    }
    catalog
});

#[expect(clippy::panic, reason = "the files are part of the program, and a test reads them")]
fn unreadable(name: &str, error: &str) -> ! {
    panic!("the built-in catalog {name} is broken: {error}")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Builtin,
    PolicyRepository,
}

impl Catalog {
    /// The catalog that comes with the program.
    pub fn builtin() -> Self {
        BUILTIN.clone()
    }

    /// The built-in catalog and those of a policy repository, in the order of their names.
    ///
    /// # Errors
    /// Every field that is wrong; its pointer starts with the name of the document, such as `shop/rules/0/when`.
    pub fn with(user: &BTreeMap<String, CatalogSpec>) -> Result<Self, Vec<FieldError>> {
        let mut catalog = Self::builtin();
        let mut errors = Vec::new();
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        let mut tools: BTreeMap<&str, &str> = BTreeMap::new();
        for (document, spec) in user {
            for (index, rule) in spec.rules.iter().enumerate() {
                if let Some(other) = seen.insert(&rule.name, document) {
                    let message = format!("rule {:?} stands in catalog {other} already", rule.name);
                    errors.push(FieldError::new(format!("{document}/rules/{index}/name"), message));
                }
            }
            for (index, owner) in spec.owners.iter().enumerate() {
                if let Some(other) = tools.insert(&owner.name, document) {
                    let message = format!("{:?} stands in catalog {other} already", owner.name);
                    errors.push(FieldError::new(format!("{document}/owners/{index}/name"), message));
                }
            }
            let found = catalog.add(spec, Origin::PolicyRepository);
            errors.extend(found.into_iter().map(|error| error.under(document)));
        }
        if errors.is_empty() { Ok(catalog) } else { Err(errors) }
    }

    /// Waves in the order of restore.
    pub fn waves(&self) -> &[WaveSpec] {
        &self.waves
    }

    /// Tools that manage objects.
    pub fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// Whether a container of this name belongs to a tool, and not to the application of its pod.
    pub fn is_sidecar(&self, container: &str) -> bool {
        self.sidecars.iter().any(|names| names.matches(container))
    }

    /// What is known about a kind. Costs a few microseconds: ask once for many objects.
    pub fn kind(&self, resource: &Resource) -> KindRules<'_> {
        let gvk = &resource.gvk;
        let mine = |rule: &&Rule| rule.kinds.matches(&gvk.group, &gvk.kind, &resource.plural);
        KindRules {
            resource: resource.clone(),
            catalog: self,
            rules: self.rules.iter().filter(mine).collect(),
            tool: self.tools.iter().find(|tool| tool.owns_as(resource)),
        }
    }

    fn add(&mut self, spec: &CatalogSpec, origin: Origin) -> Vec<FieldError> {
        let mut errors = self.add_waves(&spec.waves, origin);
        errors.extend(self.add_tools(&spec.owners, origin));
        for (index, sidecar) in spec.sidecars.iter().enumerate() {
            match NameMatcher::new(std::slice::from_ref(&sidecar.name)) {
                Ok(names) => self.sidecars.push(names),
                Err(error) => errors.push(FieldError::new(format!("/sidecars/{index}/name"), error)),
            }
        }
        for (index, rule) in spec.rules.iter().enumerate() {
            let pointer = format!("/rules/{index}");
            if let Some(wave) = rule.wave.as_ref().filter(|w| self.place(w).is_none()) {
                errors.push(self.unknown_wave(&format!("{pointer}/wave"), wave));
            }
            let compiled = match Rule::compile(rule) {
                Ok(compiled) => compiled,
                Err(found) => {
                    errors.extend(found.into_iter().map(|error| error.under(&pointer)));
                    continue;
                }
            };
            match (self.rules.iter_mut().find(|r| r.name == rule.name), origin) {
                (Some(_), Origin::Builtin) => {
                    errors.push(FieldError::new(format!("{pointer}/name"), "stands there twice"));
                }
                (Some(old), Origin::PolicyRepository) => *old = compiled,
                (None, _) => self.rules.push(compiled),
            }
        }
        errors
    }

    fn add_tools(&mut self, owners: &[OwnerSpec], origin: Origin) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (index, spec) in owners.iter().enumerate() {
            let pointer = format!("/owners/{index}");
            match (Tool::compile(spec), self.tools.iter_mut().find(|t| t.name == spec.name), origin) {
                (Err(found), _, _) => errors.extend(found.into_iter().map(|error| error.under(&pointer))),
                (Ok(_), Some(_), Origin::Builtin) => {
                    errors.push(FieldError::new(format!("{pointer}/name"), "stands there twice"));
                }
                (Ok(tool), Some(old), Origin::PolicyRepository) => *old = tool,
                (Ok(tool), None, _) => self.tools.push(tool),
            }
        }
        errors
    }

    fn place(&self, wave: &str) -> Option<usize> {
        self.waves.iter().position(|w| w.name == wave)
    }

    fn add_waves(&mut self, waves: &[WaveSpec], origin: Origin) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut at = (origin == Origin::Builtin).then_some(self.waves.len());
        for (index, wave) in waves.iter().enumerate() {
            let pointer = format!("/waves/{index}");
            if self.place(&wave.name).is_some() {
                let error =
                    FieldError::new(format!("{pointer}/name"), "there is a wave of this name already");
                errors.push(error.help("rules can use it as it is"));
                continue;
            }
            if let Some(after) = &wave.after {
                at = self.place(after).map(|found| found + 1);
                if at.is_none() {
                    errors.push(self.unknown_wave(&format!("{pointer}/after"), after));
                    continue;
                }
            }
            let Some(place) = at else {
                let error = FieldError::new(pointer, "needs `after`: the name of the wave it follows");
                errors.push(error);
                continue;
            };
            self.waves.insert(place, wave.clone());
            at = Some(place + 1);
        }
        errors
    }

    fn unknown_wave(&self, pointer: &str, name: &str) -> FieldError {
        let error = FieldError::new(pointer, format!("there is no wave {name:?}"));
        match closest(name, self.waves.iter().map(|w| w.name.as_str())) {
            Some(near) => error.help(format!("did you mean {near:?}?")),
            None => error,
        }
    }
}

/// What is known about one kind.
#[derive(Clone, Debug)]
pub struct KindRules<'c> {
    resource: Resource,
    catalog: &'c Catalog,
    rules: Vec<&'c Rule>,
    tool: Option<&'c Tool>,
}

impl<'c> KindRules<'c> {
    /// The kind.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The tool whose owners are of this kind.
    pub fn tool(&self) -> Option<&'c Tool> {
        self.tool
    }

    /// All tools, for objects that one of them manages.
    pub fn tools(&self) -> &'c [Tool] {
        &self.catalog.tools
    }

    /// Why objects of the kind are not even listed.
    pub fn never_listed(&self) -> Option<&'c str> {
        self.rules.iter().filter(|rule| rule.when.is_none()).find_map(|rule| rule.never.as_deref())
    }

    /// Why this object, as the API server gave it, is not collected. A rule without an answer does not count.
    pub fn never(&self, object: &Manifest) -> Option<&'c str> {
        let mine = self.rules.iter().filter(|rule| rule.never.is_some());
        mine.filter(|rule| rule.counts(object).unwrap_or_default()).find_map(|rule| rule.never.as_deref())
    }

    /// Objects per page when listed.
    pub fn page_size(&self) -> u32 {
        self.rules.iter().rev().find_map(|rule| rule.page_size).unwrap_or(PAGE_SIZE)
    }

    /// Whether the archive keeps `managedFields` whole.
    pub fn keep_managed_fields(&self) -> bool {
        self.rules.iter().any(|rule| rule.keep_managed_fields)
    }

    /// What happens to this object, as the API server gave it, on its way into the mirror.
    ///
    /// Rules whose condition has no answer do not count; they are named beside the result.
    pub fn mirror(&self, object: &Manifest) -> (Vec<&'c Edit>, Vec<Unclear>) {
        let (mut edits, mut unclear) = (Vec::new(), Vec::new());
        for rule in &self.rules {
            let Some(edit) = &rule.mirror else { continue };
            match rule.counts(object) {
                Ok(true) => edits.push(edit),
                Ok(false) => {}
                Err(error) => unclear.push(error),
            }
        }
        (edits, unclear)
    }

    /// What happens to this object, as it was saved, on its way back into a cluster.
    ///
    /// # Errors
    /// A rule whose condition has no answer: an object that was not changed as it should must not be restored.
    pub fn restore(&self, object: &Manifest) -> Result<Vec<&'c Edit>, Unclear> {
        let mut edits = Vec::new();
        for rule in &self.rules {
            if let Some(edit) = &rule.restore
                && rule.counts(object)?
            {
                edits.push(edit);
            }
        }
        Ok(edits)
    }

    /// Ways from this version of the kind to others; of those between the same versions the last one counts.
    pub fn ways(&self, from: &str) -> Vec<&'c Way> {
        let mut ways: BTreeMap<&str, &Way> = BTreeMap::new();
        let mine = self.rules.iter().flat_map(|rule| &rule.ways);
        ways.extend(
            mine.filter(|way| way.from.iter().any(|one| one == from)).map(|way| (way.to.as_str(), way)),
        );
        ways.into_values().collect()
    }

    /// Position of the object's wave in [`Catalog::waves`]. Needs its outline only: see [`Manifest::outline`].
    pub fn wave(&self, outline: &Manifest) -> usize {
        let last = self.last(outline, |rule| rule.wave.as_ref());
        last.and_then(|wave| self.catalog.place(wave)).unwrap_or_default()
    }

    /// What the next wave waits for.
    pub fn ready(&self, outline: &Manifest) -> Option<&'c Ready> {
        self.last(outline, |rule| rule.ready.as_ref())
    }

    /// Whether the object is restored although its controller is.
    pub fn even_if_owned(&self, outline: &Manifest) -> bool {
        self.last(outline, |rule| rule.restore.as_ref()?.even_if_owned.as_ref()).copied().unwrap_or_default()
    }

    /// Fields in which this object, as it was saved, names others. A rule without an answer does not count.
    pub fn references(&self, object: &Manifest) -> Vec<&'c Reference> {
        let mine = self.rules.iter().filter(|rule| !rule.references.is_empty());
        mine.filter(|rule| rule.counts(object).unwrap_or_default())
            .flat_map(|rule| &rule.references)
            .collect()
    }

    /// Why nobody misses this object in a snapshot: every cluster has it by itself, or no restore would bring it back.
    pub fn not_missed(&self, outline: &Manifest) -> Option<&'c str> {
        let everywhere = |rule: &'c Rule| {
            let skipped = rule.restore.as_ref().and_then(|edit| edit.skip.as_deref());
            rule.never.as_deref().or(rule.in_every_cluster.as_deref()).or(skipped)
        };
        let reasons = self.rules.iter().filter_map(|rule| Some((*rule, everywhere(rule)?)));
        reasons.filter(|(rule, _)| rule.counts(outline).unwrap_or_default()).map(|(_, why)| why).next()
    }

    /// Whether every API server serves the kind by itself.
    pub fn built_in(&self) -> bool {
        self.resource.gvk.group.is_empty() || self.rules.iter().any(|rule| rule.built_in)
    }

    /// The value that the last rule has that counts.
    fn last<T>(&self, object: &Manifest, value: impl Fn(&'c Rule) -> Option<&'c T>) -> Option<&'c T> {
        let counts = |rule: &Rule| rule.counts(object).unwrap_or_default();
        self.rules.iter().rev().find_map(|rule| value(rule).filter(|_| counts(rule)))
    }
}

#[cfg(test)]
mod tests;

//! One rule of the catalog, compiled.
//!
//! In: `RuleSpec` · Out: `Rule`, or every field that is wrong · Touches: nothing

use super::catalog::{MirrorRule, ReadyRule, RestoreRule, Rewriter, RuleSpec, VersionSpec};
use super::cel::{EvalError, Expression};
use super::duration::Duration;
use super::field::FieldError;
use super::names::{Reference, ReferenceSpec};
use super::object::{Json, Manifest};
use super::path::FieldPath;
use super::pattern::KindMatcher;

/// How long a restore waits for a wave where a `ready` rule says nothing.
pub const READY_TIMEOUT: Duration = Duration::seconds(60);

/// A rule whose patterns, paths and conditions are read.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name.
    pub name: String,
    /// Kinds it is for.
    pub kinds: KindMatcher,
    /// Objects of those kinds it is for; absent: all.
    pub when: Option<Expression>,
    /// Why the objects are never collected.
    pub never: Option<String>,
    /// What happens to them on the way into the mirror.
    pub mirror: Option<Edit>,
    /// What happens to them on the way back into a cluster.
    pub restore: Option<Edit>,
    /// Ways to other versions of the kinds.
    pub ways: Vec<Way>,
    /// Name of their wave.
    pub wave: Option<String>,
    /// What the next wave waits for.
    pub ready: Option<Ready>,
    /// Objects per page.
    pub page_size: Option<u32>,
    /// Whether the archive keeps `managedFields` whole.
    pub keep_managed_fields: bool,
    /// Fields that name other objects.
    pub references: Vec<Reference>,
    /// Why every cluster has the objects by itself.
    pub in_every_cluster: Option<String>,
    /// Whether every API server serves the kinds by itself.
    pub built_in: bool,
}

/// What one rule does to an object on its way into the mirror or back into a cluster.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// Why the object stays out.
    pub skip: Option<String>,
    /// Fields left out.
    pub drop: Vec<FieldPath>,
    /// Fields left out unless the object returns to its own cluster and namespace.
    pub home_only: Vec<FieldPath>,
    /// Marks of who manages the object.
    pub marks: Vec<FieldPath>,
    /// Fields that hold the name of a namespace.
    pub namespaces: Vec<FieldPath>,
    /// Fields that hold the names of a namespace and of an object in it.
    pub namespaced_names: Vec<FieldPath>,
    /// Fields that hold the name of a storage class.
    pub storage_classes: Vec<FieldPath>,
    /// Fields that hold an image.
    pub images: Vec<FieldPath>,
    /// Fields set to a value.
    pub set: Vec<(FieldPath, Json)>,
    /// Changes by name.
    pub rewrite: Vec<Rewriter>,
    /// Whether it is restored although its controller is.
    pub even_if_owned: Option<bool>,
    /// Whether it is merged into an object that exists.
    pub merge_existing: Option<bool>,
    /// Why one that exists is never deleted to make way for it.
    pub never_recreate: Option<String>,
}

/// A way from one version of a kind to another: renamed first, then rewritten, dropped, filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// `apiVersion`s that were saved.
    pub from: Vec<String>,
    /// `apiVersion` that is sent.
    pub to: String,
    /// Fields and their new names.
    pub rename: Vec<(FieldPath, String)>,
    /// Changes by name.
    pub rewrite: Vec<Rewriter>,
    /// Fields that the new version does not have.
    pub drop: Vec<FieldPath>,
    /// Values of fields that are absent.
    pub defaults: Vec<(FieldPath, Json)>,
}

impl Way {
    /// Whether anything but `apiVersion` may change.
    pub fn edits(&self) -> bool {
        let Self { from: _, to: _, rename, rewrite, drop, defaults } = self;
        !(rename.is_empty() && rewrite.is_empty() && drop.is_empty() && defaults.is_empty())
    }
}

/// What the next wave waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    /// The condition; absent: ready by the rules of kstatus.
    pub condition: Option<Expression>,
    /// How long to wait.
    pub timeout: Duration,
}

/// A rule whose condition has no answer for an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot evaluate catalog rule {rule:?}")]
pub struct Unclear {
    /// Name of the rule.
    pub rule: String,
    /// What is wrong.
    #[source]
    pub source: EvalError,
}

impl Rule {
    /// Reads patterns, paths and conditions.
    ///
    /// # Errors
    /// Every field that is wrong, with its pointer below the rule.
    pub fn compile(spec: &RuleSpec) -> Result<Self, Vec<FieldError>> {
        let mut reader = FieldReader { errors: Vec::new() };
        let kinds = reader.take("/kinds", KindMatcher::new(&spec.kinds));
        if spec.kinds.is_empty() {
            reader.wrong("/kinds", "needs at least one kind; `*` stands for all");
        }
        let when = spec.when.as_ref().and_then(|text| reader.take("/when", Expression::parse(text)));
        if spec.when.is_some() && (spec.page_size.is_some() || spec.keep_managed_fields || spec.built_in) {
            reader.wrong(
                "/when",
                "cannot stand together with pageSize, keepManagedFields or builtIn: they count for whole kinds",
            );
        }
        if spec.page_size == Some(0) {
            reader.wrong("/pageSize", "must be at least 1");
        }
        let rule = Self {
            name: spec.name.clone(),
            kinds: kinds.unwrap_or_default(),
            when,
            never: spec.never.clone(),
            mirror: spec.mirror.as_ref().map(|m| reader.mirror(m)),
            restore: spec.restore.as_ref().map(|r| reader.restore(r)),
            ways: spec.versions.iter().enumerate().map(|(index, way)| reader.way(index, way)).collect(),
            wave: spec.wave.clone(),
            ready: spec.ready.as_ref().map(|r| reader.ready(r)),
            page_size: spec.page_size,
            keep_managed_fields: spec.keep_managed_fields,
            references: reader.references(&spec.references),
            in_every_cluster: spec.in_every_cluster.clone(),
            built_in: spec.built_in,
        };
        if reader.errors.is_empty() { Ok(rule) } else { Err(reader.errors) }
    }

    /// Whether the rule counts for the object. One that asks for a field the object does not have does not.
    ///
    /// # Errors
    /// [`Unclear`] when the condition has no answer for another reason.
    pub fn counts(&self, object: &Manifest) -> Result<bool, Unclear> {
        let Some(when) = &self.when else { return Ok(true) };
        match when.test(object) {
            Ok(answer) => Ok(answer),
            Err(EvalError::MissingField(_)) => Ok(false),
            Err(source) => Err(Unclear { rule: self.name.clone(), source }),
        }
    }
}

/// Reads fields and remembers what is wrong.
struct FieldReader {
    errors: Vec<FieldError>,
}

impl FieldReader {
    fn wrong(&mut self, pointer: &str, message: &str) {
        self.errors.push(FieldError::new(pointer, message));
    }

    fn take<T, E: std::fmt::Display>(&mut self, pointer: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.errors.push(FieldError::new(pointer, error))).ok()
    }

    fn paths(&mut self, pointer: &str, texts: &[String]) -> Vec<FieldPath> {
        let numbered = texts.iter().enumerate();
        numbered
            .filter_map(|(i, text)| self.take(&format!("{pointer}/{i}"), FieldPath::parse(text)))
            .collect()
    }

    fn way(&mut self, index: usize, spec: &VersionSpec) -> Way {
        let VersionSpec { from, to, rename, rewrite, drop, defaults } = spec;
        let at = |field: &str| format!("/versions/{index}/{field}");
        if from.is_empty() {
            self.wrong(&at("from"), "needs at least one apiVersion");
        }
        for (field, text) in from.iter().map(|text| ("from", text)).chain([("to", to)]) {
            if text.is_empty() || text.split('/').count() > 2 || text.contains(char::is_whitespace) {
                self.wrong(&at(field), "must be an apiVersion such as `policy/v1`");
            }
        }
        let renamed = rename.iter().enumerate().filter_map(|(number, field)| {
            let path = self.named(&format!("{}/{number}/path", at("rename")), &field.path)?;
            Some((path, field.to.clone()))
        });
        let rename = renamed.collect();
        let filled = defaults.iter().enumerate().filter_map(|(number, field)| {
            let path = self.named(&format!("{}/{number}/path", at("defaults")), &field.path)?;
            Some((path, field.value.clone()))
        });
        let defaults = filled.collect();
        let drop = self.paths(&at("drop"), drop);
        Way { from: from.clone(), to: to.clone(), rename, rewrite: rewrite.clone(), drop, defaults }
    }

    /// A path to a field that may not be there yet, so that its name must be plain.
    fn named(&mut self, pointer: &str, text: &str) -> Option<FieldPath> {
        if text.rsplit('/').next().is_some_and(|last| last.contains('*')) {
            self.wrong(pointer, "must end in the plain name of a field");
            return None;
        }
        self.take(pointer, FieldPath::parse(text))
    }

    fn mirror(&mut self, spec: &MirrorRule) -> Edit {
        let MirrorRule { skip, drop, rewrite } = spec;
        let drop = self.paths("/mirror/drop", drop);
        Edit { skip: skip.clone(), drop, rewrite: rewrite.clone(), ..Edit::default() }
    }

    fn restore(&mut self, spec: &RestoreRule) -> Edit {
        let RestoreRule {
            skip,
            drop,
            home_only,
            marks,
            namespaces,
            namespaced_names,
            storage_classes,
            images,
            set,
            rewrite,
            even_if_owned,
            merge_existing,
            never_recreate,
        } = spec;
        let set = set.iter().enumerate().filter_map(|(index, field)| {
            let path = self.take(&format!("/restore/set/{index}/path"), FieldPath::parse(&field.path))?;
            Some((path, field.value.clone()))
        });
        Edit {
            set: set.collect(),
            skip: skip.clone(),
            drop: self.paths("/restore/drop", drop),
            home_only: self.paths("/restore/homeOnly", home_only),
            marks: self.paths("/restore/marks", marks),
            namespaces: self.paths("/restore/namespaces", namespaces),
            namespaced_names: self.paths("/restore/namespacedNames", namespaced_names),
            storage_classes: self.paths("/restore/storageClasses", storage_classes),
            images: self.paths("/restore/images", images),
            rewrite: rewrite.clone(),
            even_if_owned: *even_if_owned,
            merge_existing: *merge_existing,
            never_recreate: never_recreate.clone(),
        }
    }

    fn references(&mut self, specs: &[ReferenceSpec]) -> Vec<Reference> {
        let mut read = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            match Reference::compile(spec) {
                Ok(reference) => read.push(reference),
                Err(errors) => {
                    let place = format!("/references/{index}");
                    self.errors.extend(errors.into_iter().map(|error| error.under(&place)));
                }
            }
        }
        read
    }

    fn ready(&mut self, spec: &ReadyRule) -> Ready {
        let ReadyRule { cel, timeout } = spec;
        let condition = cel.as_ref().and_then(|text| self.take("/ready/cel", Expression::parse(text)));
        Ready { condition, timeout: timeout.unwrap_or(READY_TIMEOUT) }
    }
}

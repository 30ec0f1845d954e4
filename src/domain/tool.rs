//! A tool that manages objects, compiled: who claims an object, what suspends an owner, what an owner knows.
//!
//! In: `OwnerSpec` · Out: `Tool` and its answers · Touches: nothing

use std::collections::BTreeSet;

use super::cel::Expression;
use super::field::FieldError;
use super::object::{Json, Manifest, ObjectKey, Owner, Resource};
use super::owners::{InventoryForm, InventorySpec, MarkForm, MarkSpec, OwnerSpec, SuspendSpec};
use super::path::FieldPath;
use super::pattern::KindMatcher;

/// A tool whose patterns, paths and conditions are read.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Name of the entry.
    pub name: String,
    /// What suspends an owner; absent: nothing does.
    pub suspend: Option<SuspendSpec>,
    /// Where an owner lists what it manages.
    pub inventory: Option<InventorySpec>,
    kinds: KindMatcher,
    when: Option<Expression>,
    marks: Vec<MarkSpec>,
    owner_references: bool,
    strip: Vec<FieldPath>,
    prunes_unknown: Option<Expression>,
}

/// The owner that an object names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerName {
    /// Namespace of the owner, where the mark tells.
    pub namespace: Option<String>,
    /// Name of the owner.
    pub name: String,
}

/// An object says that a tool manages it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// Position of the tool in the catalog.
    pub tool: usize,
    /// The owner.
    pub owner: OwnerName,
}

/// Who claims an object, in the order of the tools.
pub fn claims(tools: &[Tool], object: &Manifest) -> Vec<Claim> {
    let tools = tools.iter().enumerate();
    let named = |(at, tool): (usize, &Tool)| {
        let owners = tool.named_by(object).into_iter();
        owners.map(move |owner| Claim { tool: at, owner }).collect::<Vec<_>>()
    };
    tools.flat_map(named).collect()
}

/// Fields that can be set to suspend an owner, and put back.
const SETTABLE: [&str; 3] = ["/spec/", "/metadata/annotations/", "/metadata/labels/"];

impl Tool {
    /// Reads patterns, paths and conditions.
    ///
    /// # Errors
    /// Every field that is wrong, with its pointer below the entry.
    pub fn compile(spec: &OwnerSpec) -> Result<Self, Vec<FieldError>> {
        let mut reader = Reader { errors: Vec::new() };
        let tool = Self {
            name: spec.name.clone(),
            suspend: spec.suspend.clone(),
            inventory: spec.inventory.clone(),
            kinds: reader.take("/kinds", KindMatcher::new(&spec.kinds)).unwrap_or_default(),
            when: reader.expression("/when", spec.when.as_deref()),
            marks: spec.marks.clone(),
            owner_references: spec.owner_references,
            strip: reader.stripped(spec),
            prunes_unknown: reader.expression("/prunesUnknown", spec.prunes_unknown.as_deref()),
        };
        reader.check(spec);
        if reader.errors.is_empty() { Ok(tool) } else { Err(reader.errors) }
    }

    /// Whether objects of this kind are its owners.
    pub fn owns_as(&self, resource: &Resource) -> bool {
        self.kinds.matches(&resource.gvk.group, &resource.gvk.kind, &resource.plural)
    }

    /// Whether its owners are objects of a cluster.
    pub fn has_owners(&self) -> bool {
        !self.kinds.is_empty()
    }

    /// The owners that an object names: by its first mark that is there, and by owner references.
    pub fn named_by(&self, object: &Manifest) -> Vec<OwnerName> {
        let marked = self.marks.iter().find_map(|mark| read(mark, object));
        let mut named: Vec<OwnerName> = marked.filter(|_| self.counts(object)).into_iter().collect();
        if self.owner_references {
            let owners = object.owners().into_iter().map(|reference| reference.owner().clone());
            let mine = owners.filter(|owner| self.kinds.matches(&owner.group, &owner.kind, &plural(owner)));
            let namespace = object.namespace().map(str::to_owned);
            named.extend(mine.map(|owner| OwnerName { namespace: namespace.clone(), name: owner.name }));
        }
        named
    }

    /// Fields that make the object one of the tool's.
    pub fn marks_of(&self, object: &Manifest) -> &[FieldPath] {
        if self.counts(object) { &self.strip } else { &[] }
    }

    /// What an owner lists as its own.
    pub fn known_to(&self, owner: &Manifest) -> BTreeSet<ObjectKey> {
        let list = self.inventory.as_ref().and_then(|inventory| owner.at(&inventory.path));
        list.map(|list| self.listed(list)).unwrap_or_default()
    }

    /// The objects of an inventory.
    pub fn listed(&self, list: &Json) -> BTreeSet<ObjectKey> {
        let Some(inventory) = &self.inventory else { return BTreeSet::new() };
        let entries = list.as_array().into_iter().flatten();
        entries.filter_map(|entry| listed(inventory.form, entry)).collect()
    }

    /// Whether an owner prunes what its inventory names, and nothing else.
    pub fn prunes_by_inventory(&self) -> bool {
        self.inventory.as_ref().is_some_and(|inventory| inventory.restore)
    }

    /// Whether an owner deletes objects that carry its mark and that it does not know.
    pub fn prunes_unknown(&self, owner: &Manifest) -> bool {
        self.prunes_unknown.as_ref().is_some_and(|when| when.test(owner).unwrap_or_default())
    }

    fn counts(&self, object: &Manifest) -> bool {
        self.when.as_ref().is_none_or(|when| when.test(object).unwrap_or_default())
    }
}

fn plural(owner: &Owner) -> String {
    format!("{}s", owner.kind.to_lowercase())
}

fn read(mark: &MarkSpec, object: &Manifest) -> Option<OwnerName> {
    let text = |pointer: &str| object.at(pointer).and_then(Json::as_str).filter(|text| !text.is_empty());
    let written = text(&mark.name)?;
    let (namespace, name) = match mark.form {
        MarkForm::Name => split(written),
        MarkForm::TrackingId => split(self_named(written, object)?),
    };
    match &mark.namespace {
        Some(pointer) => {
            Some(OwnerName { namespace: Some(text(pointer)?.to_owned()), name: name.to_owned() })
        }
        None => Some(OwnerName { namespace: namespace.map(str::to_owned), name: name.to_owned() }),
    }
}

/// Namespace and name of an owner; no name of an object holds `_`.
fn split(written: &str) -> (Option<&str>, &str) {
    written.split_once('_').map_or((None, written), |(namespace, name)| (Some(namespace), name))
}

/// The owner of a tracking id, if the id names the object it stands on. Cluster-scoped objects carry any namespace.
fn self_named<'a>(id: &'a str, object: &Manifest) -> Option<&'a str> {
    let mut parts = id.splitn(3, ':');
    let (owner, kind, place) = (parts.next()?, parts.next()?, parts.next()?);
    let ((group, kind), (namespace, name)) = (kind.split_once('/')?, place.split_once('/')?);
    let key = object.key();
    let at_home = key.namespace.as_deref().is_none_or(|own| own == namespace);
    (key.group == group && key.kind == kind && key.name == name && at_home).then_some(owner)
}

fn listed(form: InventoryForm, entry: &Json) -> Option<ObjectKey> {
    let text = |field: &str| entry.get(field).and_then(Json::as_str).unwrap_or_default();
    let some = |namespace: &str| (!namespace.is_empty()).then(|| namespace.to_owned());
    let key = match form {
        InventoryForm::Fields => ObjectKey {
            group: text("group").into(),
            kind: text("kind").into(),
            namespace: some(text("namespace")),
            name: text("name").into(),
        },
        InventoryForm::Ids => {
            let (rest, kind) = text("id").rsplit_once('_')?;
            let (rest, group) = rest.rsplit_once('_')?;
            let (namespace, name) = rest.split_once('_')?;
            // A colon, which only names of roles hold, is written as two underscores.
            let name = name.replace("__", ":");
            ObjectKey { group: group.into(), kind: kind.into(), namespace: some(namespace), name }
        }
    };
    (!key.kind.is_empty() && !key.name.is_empty()).then_some(key)
}

/// Reads fields and remembers what is wrong.
struct Reader {
    errors: Vec<FieldError>,
}

impl Reader {
    fn take<T, E: std::fmt::Display>(&mut self, pointer: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.errors.push(FieldError::new(pointer, error))).ok()
    }

    fn expression(&mut self, pointer: &str, text: Option<&str>) -> Option<Expression> {
        self.take(pointer, Expression::parse(text?))
    }

    /// Every field that `owners: Strip` leaves out.
    fn stripped(&mut self, spec: &OwnerSpec) -> Vec<FieldPath> {
        let mut paths = Vec::new();
        for (index, mark) in spec.marks.iter().enumerate() {
            paths.extend(self.plain(&format!("/marks/{index}/name"), &mark.name));
            let namespace = mark.namespace.as_deref();
            paths.extend(namespace.and_then(|path| self.plain(&format!("/marks/{index}/namespace"), path)));
        }
        for (index, path) in spec.strip_also.iter().enumerate() {
            paths.extend(self.take(&format!("/stripAlso/{index}"), FieldPath::parse(path)));
        }
        paths
    }

    /// A pointer without globs.
    fn plain(&mut self, pointer: &str, path: &str) -> Option<FieldPath> {
        if path.contains('*') {
            self.errors.push(FieldError::new(pointer, "names one field, so it holds no `*`"));
            return None;
        }
        self.take(pointer, FieldPath::parse(path))
    }

    fn check(&mut self, spec: &OwnerSpec) {
        if let Some(SuspendSpec { path, .. }) = &spec.suspend
            && self.plain("/suspend/path", path).is_some()
            && !SETTABLE.iter().any(|start| path.starts_with(start))
        {
            let message = "must be below /spec, /metadata/annotations or /metadata/labels";
            self.errors.push(FieldError::new("/suspend/path", message));
        }
        if let Some(InventorySpec { path, restore, .. }) = &spec.inventory
            && self.plain("/inventory/path", path).is_some()
            && *restore
            && !path.starts_with("/status/")
        {
            self.errors.push(FieldError::new("/inventory/path", "can be restored below /status only"));
        }
        if spec.kinds.is_empty() {
            let needing = [
                ("/suspend", spec.suspend.is_some()),
                ("/inventory", spec.inventory.is_some()),
                ("/ownerReferences", spec.owner_references),
                ("/prunesUnknown", spec.prunes_unknown.is_some()),
            ];
            let wrong = needing.into_iter().filter(|(_, there)| *there);
            self.errors.extend(wrong.map(|(field, _)| FieldError::new(field, "needs `kinds`")));
        }
        if spec.marks.is_empty() && !spec.owner_references {
            self.errors
                .push(FieldError::new("/marks", "needs at least one mark, or `ownerReferences: true`"));
        }
    }
}

#[cfg(test)]
mod tests;

//! Suspends an owner and puts back what was there before: the record of that stands on the owner itself.
//!
//! In: an owner, `SuspendSpec` · Out: a merge patch, or the owner as it was before · Touches: nothing

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::object::{Json, JsonMap, Manifest};
use crate::domain::owners::SuspendSpec;

/// The annotation in which a paused owner carries its [`Record`].
pub const PAUSED: &str = "backstay.dev/paused";

const PAUSED_AT: &str = "/metadata/annotations/backstay.dev~1paused";
const ANNOTATIONS: &str = "/metadata/annotations";

/// Who paused an owner, and what was there before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// The restore, such as `request move-the-shop`.
    pub restore: String,
    /// The suspending field's value before; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<Json>,
    /// The outermost field above it that was not there, so that it goes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
}

/// How an owner that comes back is kept quiet until the end of the restore.
#[derive(Clone, Debug)]
pub struct Hold {
    /// What suspends it.
    pub suspend: SuspendSpec,
    /// The restore.
    pub restore: String,
    /// The owner as the cluster has it during the restore; absent where it has none.
    pub live: Option<Manifest>,
}

impl Hold {
    /// The saved owner as it is sent.
    #[must_use]
    pub fn keep(&self, saved: Manifest) -> Manifest {
        held(saved, &self.suspend, &self.restore, self.live.as_ref())
    }
}

/// What an owner carries of a pause.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// Nothing.
    None,
    /// The record of a restore.
    Of(Record),
    /// An annotation that Backstay did not write like this.
    Unreadable,
}

/// What an owner carries of a pause.
pub fn mark(owner: &Manifest) -> Mark {
    match owner.annotation(PAUSED) {
        None => Mark::None,
        Some(text) => serde_json::from_str(text).map_or(Mark::Unreadable, Mark::Of),
    }
}

/// Whether an owner does nothing now, whoever suspended it.
pub fn is_suspended(owner: &Manifest, by: &SuspendSpec) -> bool {
    owner.at(&by.path) == Some(&by.value)
}

/// What suspends a live owner for a restore, as a merge patch of this version of it; `None` where nothing has to be done.
///
/// An owner that is suspended stays as it is. One that carries the restore's record already, and was woken up since, keeps
/// the record.
pub fn pause(owner: &Manifest, by: &SuspendSpec, restore: &str) -> Option<Json> {
    if is_suspended(owner, by) {
        return None;
    }
    let record = match mark(owner) {
        Mark::Of(record) if record.restore == restore => record,
        Mark::None | Mark::Of(_) | Mark::Unreadable => Record {
            restore: restore.to_owned(),
            was: owner.at(&by.path).cloned(),
            absent: first_absent(owner.as_json(), &by.path),
        },
    };
    Some(change(owner, &suspended(owner.as_json().clone(), by, &record)))
}

/// The owner as it is once [`pause`] was carried out.
#[must_use]
pub fn asleep(owner: Manifest, by: &SuspendSpec, restore: &str) -> Manifest {
    let Some(patch) = pause(&owner, by, restore) else { return owner };
    let before = owner.clone();
    owner.edit(|tree| json_patch::merge(tree, &patch)).unwrap_or(before)
}

/// What puts a paused owner back, as a merge patch of this version of it; `None` where it carries no readable record.
pub fn resume(owner: &Manifest, by: &SuspendSpec) -> Option<Json> {
    let Mark::Of(record) = mark(owner) else { return None };
    Some(change(owner, &resumed(owner.as_json().clone(), by, &record)))
}

/// The owner as it was before it was paused; one that was not paused is given back unchanged.
#[must_use]
pub fn awake(owner: Manifest, by: &SuspendSpec) -> Manifest {
    let Mark::Of(record) = mark(&owner) else { return owner };
    let before = owner.clone();
    owner.edit(|tree| *tree = resumed(std::mem::take(tree), by, &record)).unwrap_or(before)
}

/// A saved owner as it is sent while the restore runs: suspended, with the record of what it becomes at the end.
///
/// It becomes what was saved; where the saved one says nothing, what `live` said. One that ends up suspended either way is
/// only kept so.
#[must_use]
pub fn held(saved: Manifest, by: &SuspendSpec, restore: &str, live: Option<&Manifest>) -> Manifest {
    let live_mark = live.map_or(Mark::None, mark);
    let ours = match live_mark {
        Mark::Of(record) if record.restore == restore => Some(record),
        Mark::None | Mark::Of(_) | Mark::Unreadable => None,
    };
    let live_value = match &ours {
        Some(record) => record.was.clone(),
        None => live.and_then(|live| live.at(&by.path)).cloned(),
    };
    let saved_value = saved.at(&by.path).cloned();
    let absent = match (&ours, &saved_value) {
        (Some(record), None) => record.absent.clone(),
        (Some(_), Some(_)) | (None, _) => first_absent(saved.as_json(), &by.path),
    };
    let ends = saved_value.or(live_value);
    let before = saved.clone();
    let sent = saved.edit(|tree| {
        let whole = std::mem::take(tree);
        *tree = if ours.is_none() && ends.as_ref() == Some(&by.value) {
            with(whole, &by.path, by.value.clone())
        } else {
            let record = Record { restore: restore.to_owned(), was: ends, absent };
            suspended(whole, by, &record)
        };
    });
    sent.unwrap_or(before).sorted()
}

fn suspended(owner: Json, by: &SuspendSpec, record: &Record) -> Json {
    let text = json!(record).to_string();
    with(with(owner, &by.path, by.value.clone()), PAUSED_AT, text.into())
}

/// A field that no longer says what the pause wrote is somebody else's decision, and stays.
fn resumed(mut owner: Json, by: &SuspendSpec, record: &Record) -> Json {
    if owner.pointer(&by.path) == Some(&by.value) {
        if let Some(value) = &record.was {
            owner = with(owner, &by.path, value.clone());
        } else {
            remove(&mut owner, &by.path);
            let above = record.absent.as_deref().unwrap_or(&by.path);
            drop_empty(&mut owner, parent(&by.path), above);
        }
    }
    remove(&mut owner, PAUSED_AT);
    drop_empty(&mut owner, ANNOTATIONS, ANNOTATIONS);
    owner
}

/// The outermost field on the way to this one that is not there and is not the field itself.
fn first_absent(owner: &Json, path: &str) -> Option<String> {
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
    ends.map(|end| &path[..end]).find(|above| owner.pointer(above).is_none()).map(str::to_owned)
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(above, _)| above)
}

/// Removes empty mappings from this path up to the outermost one.
fn drop_empty(owner: &mut Json, from: &str, outermost: &str) {
    let mut path = from;
    while path.len() >= outermost.len() {
        if owner.pointer(path).and_then(Json::as_object).is_none_or(|map| !map.is_empty()) {
            return;
        }
        remove(owner, path);
        path = parent(path);
    }
}

fn remove(owner: &mut Json, path: &str) {
    let name = name(path);
    if let Some(map) = owner.pointer_mut(parent(path)).and_then(Json::as_object_mut) {
        map.shift_remove(&name);
    }
}

/// The tree with a field set, and with the mappings it stands in.
fn with(mut owner: Json, path: &str, value: Json) -> Json {
    let mut here = &mut owner;
    for segment in parent(path).split('/').skip(1) {
        let Some(map) = here.as_object_mut() else { return owner };
        here = map.entry(name(&format!("/{segment}"))).or_insert_with(|| json!({}));
    }
    if let Some(map) = here.as_object_mut() {
        map.insert(name(path), value);
    }
    owner
}

/// The last name of a path, as it is in the object.
fn name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~")
}

/// The way from one state of an object to another, bound to the version of the first.
fn change(from: &Manifest, to: &Json) -> Json {
    let mut patch = difference(from.as_json(), to).unwrap_or_else(|| json!({}));
    if let (Some(version), Some(map)) = (from.at("/metadata/resourceVersion"), patch.as_object_mut())
        && let Some(metadata) = map.entry("metadata").or_insert_with(|| json!({})).as_object_mut()
    {
        metadata.insert("resourceVersion".into(), version.clone());
    }
    patch
}

/// A merge patch; `None` where nothing differs.
fn difference(from: &Json, to: &Json) -> Option<Json> {
    let (Json::Object(before), Json::Object(after)) = (from, to) else {
        return (from != to).then(|| to.clone());
    };
    let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), Json::Null));
    let changed = after.iter().filter_map(|(key, new)| {
        let change = match before.get(key) {
            Some(old) => difference(old, new)?,
            None => new.clone(),
        };
        Some((key.clone(), change))
    });
    let patch: JsonMap = gone.chain(changed).collect();
    (!patch.is_empty()).then(|| Json::Object(patch))
}

#[cfg(test)]
mod tests;

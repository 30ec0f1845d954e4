//! The door to Backstay's own custom resources.
//!
//! In: `Reach`, statuses, views · Out: `Listing` · Touches: cluster (read and write)

use jiff::Timestamp;
use serde_json::json;

use super::event::{Listing, News, Tone, Views};
use super::resource::{Held, Key, REPOSITORY, REQUESTED, Resource, SOURCE};
use super::tell::listed_kinds;
use crate::domain::custom_resource::Kind;
use crate::domain::document::API_VERSION;
use crate::domain::object::{self, Json, JsonMap, Manifest, Placed};
use crate::domain::status::whole;
use crate::engine::gather::listing::each;
use crate::engine::reach::Reach;
use crate::ports::cluster::{self, Conflicts, Mode, Patch, Place, Scope};

/// How often an object is read and written, at most, where others write it too.
const ATTEMPTS: usize = 4;

/// Lists the custom resources of Backstay's namespace; none where their kinds are not served.
///
/// # Errors
/// The API server gives no answer; a part of a list is none.
pub async fn list(reach: &Reach<'_>, home: &str, views: Views) -> Result<Listing, cluster::Error> {
    let mut listing = Listing { served: true, ..Listing::default() };
    let lists = listed_kinds().map(async |kind| all(reach, home, &kind.resource()).await);
    for found in futures::future::join_all(lists).await {
        match found {
            Ok(objects) => listing.resources.extend(objects.iter().filter_map(Resource::read)),
            Err(cluster::Error::NotFound(_)) => listing.served = false,
            Err(error) => return Err(error),
        }
    }
    let snapshot = Kind::of("Snapshot").map(|kind| kind.resource());
    if let Some(kind) = snapshot.filter(|_| views == Views::Listed && listing.served) {
        for found in all(reach, home, &kind).await?.iter().filter_map(Resource::read) {
            listing.snapshots.insert(found.key.name, json!({"spec": found.spec, "status": found.status}));
        }
    }
    Ok(listing)
}

async fn all(
    reach: &Reach<'_>,
    home: &str,
    kind: &object::Resource,
) -> Result<Vec<Manifest>, cluster::Error> {
    let mut found = Vec::new();
    let scope = Scope::Namespace(home.to_owned());
    each(reach.reader, kind, &scope, "", |object| found.push(object)).await?;
    Ok(found)
}

/// Replaces the status of a custom resource.
///
/// # Errors
/// The API server refuses, or gives no answer.
pub async fn write_status(
    reach: &Reach<'_>,
    home: &str,
    key: &Key,
    status: &Json,
) -> Result<(), cluster::Error> {
    let Some(kind) = Kind::of(key.kind) else { return Ok(()) };
    let patch = Patch::Json(vec![json!({"op": "add", "path": "/status", "value": status})]);
    let place = Place { namespace: Some(home), name: &key.name, subresource: "status" };
    match reach.writer.patch(&kind.resource(), place, &patch, Mode::Real).await {
        // Somebody has deleted it: there is nothing to say any more.
        Ok(_) | Err(cluster::Error::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads and writes once more where the object was changed in between, as it is by Backstay's own statuses.
async fn settled(attempt: impl AsyncFn() -> Result<(), cluster::Error>) -> Result<(), cluster::Error> {
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(cluster::Error::Conflict(_)) => {}
            done => return done,
        }
    }
    attempt().await
}

/// Makes a view, or makes it as it should be. Views stay out of backups. What is somebody else's by now is left alone, and so is
/// what changes meanwhile.
///
/// # Errors
/// The API server refuses, or gives no answer; somebody was faster.
pub async fn show(reach: &Reach<'_>, home: &str, key: &Key, content: &Json) -> Result<(), cluster::Error> {
    settled(async || show_once(reach, home, key, content).await).await
}

async fn show_once(reach: &Reach<'_>, home: &str, key: &Key, content: &Json) -> Result<(), cluster::Error> {
    let Some(kind) = Kind::of(key.kind) else { return Ok(()) };
    let kind = kind.resource();
    let live = reach.reader.get(&kind, Some(home), &key.name).await?;
    let found = live.as_ref().and_then(Resource::read);
    if live.is_some() && found.is_none_or(|found| !found.is_view) {
        return Ok(());
    }
    let whole = key.kind == "Snapshot";
    let spec = if whole { &content["spec"] } else { content };
    let object = view(home, key, (spec, if whole { "archive" } else { "git" }), live.as_ref())?;
    // A new one takes nothing from whoever makes one of its name right now.
    let conflicts = if live.is_some() { Conflicts::Force } else { Conflicts::Refuse };
    let stored = reach.writer.apply(&kind, &object, conflicts, Mode::Real).await?;
    if stored.at("/spec") != Some(spec) {
        // Somebody has added fields that are theirs.
        let version = stored.at("/metadata/resourceVersion").cloned().unwrap_or_default();
        let patch = Patch::Json(vec![
            json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}),
            json!({"op": "replace", "path": "/spec", "value": spec}),
        ]);
        let place = Place { namespace: Some(home), name: &key.name, subresource: "" };
        reach.writer.patch(&kind, place, &patch, Mode::Real).await?;
    }
    if whole {
        write_status(reach, home, key, &content["status"]).await?;
    }
    Ok(())
}

/// A view as it is applied, over no other object than the one that was read.
fn view(
    home: &str,
    key: &Key,
    (spec, source): (&Json, &str),
    live: Option<&Manifest>,
) -> Result<Manifest, cluster::Error> {
    let labels = json!({
        SOURCE: source,
        "app.kubernetes.io/managed-by": "backstay",
        "backstay.dev/exclude": "true",
    });
    let mut metadata = json!({"name": key.name, "namespace": home, "labels": labels});
    for field in live.iter().flat_map(|_| ["uid", "resourceVersion"]) {
        let value = live.and_then(|live| live.at(&format!("/metadata/{field}")));
        metadata[field] = value.cloned().unwrap_or_default();
    }
    let object = json!({"apiVersion": API_VERSION, "kind": key.kind, "metadata": metadata, "spec": spec});
    Manifest::parse(object).map_err(|error| cluster::Error::Garbled(error.to_string()))
}

/// Deletes a view. One that is gone already is no error, and what is somebody else's by now is left alone.
///
/// # Errors
/// The API server refuses, or gives no answer; somebody has changed it meanwhile.
pub async fn hide(reach: &Reach<'_>, home: &str, key: &Key) -> Result<(), cluster::Error> {
    settled(async || hide_once(reach, home, key).await).await
}

async fn hide_once(reach: &Reach<'_>, home: &str, key: &Key) -> Result<(), cluster::Error> {
    let Some(kind) = Kind::of(key.kind) else { return Ok(()) };
    let kind = kind.resource();
    let Some(live) = reach.reader.get(&kind, Some(home), &key.name).await? else { return Ok(()) };
    if Resource::read(&live).is_none_or(|found| !found.is_view) {
        return Ok(());
    }
    match reach.writer.delete_as_read(&kind, &live).await {
        Ok(()) | Err(cluster::Error::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Lets go of a view that somebody else applies now. Where they apply on the server, all that is theirs belongs to them, and the
/// rest goes: Backstay's labels, and fields that only the document in Git had. Where they do not, only the labels go.
///
/// # Errors
/// The API server refuses, or gives no answer; somebody has changed it meanwhile.
pub async fn release(reach: &Reach<'_>, home: &str, key: &Key) -> Result<(), cluster::Error> {
    settled(async || release_once(reach, home, key).await).await
}

async fn release_once(reach: &Reach<'_>, home: &str, key: &Key) -> Result<(), cluster::Error> {
    let Some(kind) = Kind::of(key.kind) else { return Ok(()) };
    let kind = kind.resource();
    let Some(live) = reach.reader.get(&kind, Some(home), &key.name).await? else { return Ok(()) };
    let read = |field: &str| live.at(&format!("/metadata/{field}")).cloned().unwrap_or_default();
    let (uid, version) = (read("uid"), read("resourceVersion"));
    match Resource::read(&live).and_then(|found| found.held) {
        None => Ok(()),
        Some(Held::Fields) => {
            let metadata =
                json!({"name": key.name, "namespace": home, "uid": uid, "resourceVersion": version});
            let nothing = json!({"apiVersion": API_VERSION, "kind": key.kind, "metadata": metadata});
            let nothing = Manifest::parse(nothing);
            let nothing = nothing.map_err(|error| cluster::Error::Garbled(error.to_string()))?;
            reach.writer.apply(&kind, &nothing, Conflicts::Force, Mode::Real).await.map(drop)
        }
        Some(Held::Labels) => {
            let ours = [SOURCE, "app.kubernetes.io/managed-by", "backstay.dev/exclude"];
            let labels: JsonMap = ours.into_iter().map(|label| (label.to_owned(), Json::Null)).collect();
            let metadata = json!({"labels": labels, "resourceVersion": version});
            let patch = Patch::Merge(json!({"metadata": metadata}));
            let place = Place { namespace: Some(home), name: &key.name, subresource: "" };
            reach.writer.patch(&kind, place, &patch, Mode::Real).await.map(drop)
        }
    }
}

/// Asks the leader to fetch the policy repository, by the annotation that people use.
///
/// # Errors
/// The API server refuses, or gives no answer.
pub async fn request(reach: &Reach<'_>, home: &str, value: &str) -> Result<(), cluster::Error> {
    let Some(kind) = Kind::of("PolicyRepository") else { return Ok(()) };
    let patch = Patch::Merge(json!({"metadata": {"annotations": {REQUESTED: value}}}));
    let place = Place { namespace: Some(home), name: REPOSITORY, subresource: "" };
    match reach.writer.patch(&kind.resource(), place, &patch, Mode::Real).await {
        Ok(_) | Err(cluster::Error::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Tells people as an event of the cluster, which `kubectl describe` shows.
///
/// # Errors
/// The API server refuses, or gives no answer.
pub async fn announce(
    reach: &Reach<'_>,
    (home, replica): (&str, &str),
    (news, uid): (&News, &str),
) -> Result<(), cluster::Error> {
    let now = reach.clock.now();
    let object = event((home, replica), (news, uid), now);
    let object = Manifest::parse(object).map_err(|error| cluster::Error::Garbled(error.to_string()))?;
    let kind = object::Resource::well_known("v1", "Event", "events", Placed::InNamespaces);
    reach.writer.create(&kind, &object, Mode::Real).await.map(drop)
}

/// The API server takes messages of at most 1024 bytes.
const MESSAGE: usize = 1_000;

fn event((home, replica): (&str, &str), (news, uid): (&News, &str), now: Timestamp) -> Json {
    let News { about, tone, reason, message } = news;
    let message: String = message
        .chars()
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= MESSAGE).then_some(c)
        })
        .collect();
    let time = whole(now);
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": format!("{}.{:x}", about.name, now.as_nanosecond()), "namespace": home},
        "involvedObject": {
            "apiVersion": API_VERSION, "kind": about.kind, "name": about.name, "namespace": home, "uid": uid,
        },
        "type": match tone { Tone::Normal | Tone::Quiet => "Normal", Tone::Warning => "Warning" },
        "reason": reason,
        "message": message,
        "source": {"component": "backstay"},
        "reportingComponent": "backstay.dev/reconciler",
        "reportingInstance": replica,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    })
}

#[cfg(test)]
mod tests;

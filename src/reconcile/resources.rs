//! The door to Backstay's own custom resources.
//!
//! In: `Reach`, statuses, views · Out: `Listing` · Touches: cluster (read and write)

use jiff::Timestamp;
use serde_json::json;

use super::event::{Listing, News, Tone, Views};
use super::resource::{Key, REPOSITORY, REQUESTED, Resource, SOURCE};
use super::tell::listed_kinds;
use crate::domain::custom_resource::Kind;
use crate::domain::document::API_VERSION;
use crate::domain::fixup::Propagation;
use crate::domain::object::{self, Json, Manifest, Placed};
use crate::domain::status::whole;
use crate::engine::gather::listing::each;
use crate::engine::reach::Reach;
use crate::ports::cluster::{self, Conflicts, Mode, Patch, Place, Scope};

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

/// Makes a view, or makes it as it should be. Views stay out of backups.
///
/// # Errors
/// The API server refuses, or gives no answer.
pub async fn show(reach: &Reach<'_>, home: &str, key: &Key, content: &Json) -> Result<(), cluster::Error> {
    let Some(kind) = Kind::of(key.kind) else { return Ok(()) };
    let whole = key.kind == "Snapshot";
    let spec = if whole { &content["spec"] } else { content };
    let labels = json!({
        SOURCE: if whole { "archive" } else { "git" },
        "app.kubernetes.io/managed-by": "backstay",
        "backstay.dev/exclude": "true",
    });
    let object = json!({
        "apiVersion": API_VERSION,
        "kind": key.kind,
        "metadata": {"name": key.name, "namespace": home, "labels": labels},
        "spec": spec,
    });
    let object = Manifest::parse(object).map_err(|error| cluster::Error::Garbled(error.to_string()))?;
    let stored = reach.writer.apply(&kind.resource(), &object, Conflicts::Force, Mode::Real).await?;
    if stored.at("/spec") != Some(spec) {
        // Somebody has added fields that are theirs.
        let patch = Patch::Json(vec![json!({"op": "replace", "path": "/spec", "value": spec})]);
        let place = Place { namespace: Some(home), name: &key.name, subresource: "" };
        reach.writer.patch(&kind.resource(), place, &patch, Mode::Real).await?;
    }
    if whole {
        write_status(reach, home, key, &content["status"]).await?;
    }
    Ok(())
}

/// Deletes a view. One that is gone already is no error.
///
/// # Errors
/// The API server refuses, or gives no answer.
pub async fn hide(reach: &Reach<'_>, home: &str, key: &Key) -> Result<(), cluster::Error> {
    let Some(kind) = Kind::of(key.kind) else { return Ok(()) };
    let place = Place { namespace: Some(home), name: &key.name, subresource: "" };
    match reach.writer.delete(&kind.resource(), place, Propagation::Background).await {
        Ok(()) | Err(cluster::Error::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Gives up everything that Backstay applied to a view that somebody else applies now: its marks go, and so do fields that only
/// the document in Git had. An object of another uid, or none, is left alone.
///
/// # Errors
/// The API server refuses, or gives no answer.
pub async fn release(reach: &Reach<'_>, home: &str, key: &Key, uid: &str) -> Result<(), cluster::Error> {
    let Some(kind) = Kind::of(key.kind) else { return Ok(()) };
    let object = json!({
        "apiVersion": API_VERSION,
        "kind": key.kind,
        "metadata": {"name": key.name, "namespace": home, "uid": uid},
    });
    let object = Manifest::parse(object).map_err(|error| cluster::Error::Garbled(error.to_string()))?;
    reach.writer.apply(&kind.resource(), &object, Conflicts::Force, Mode::Real).await.map(drop)
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
        "type": match tone { Tone::Normal => "Normal", Tone::Warning => "Warning" },
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

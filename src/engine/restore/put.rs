//! Writes one object the way a restore wants it, and says what that did.
//!
//! In: `Order` · Out: `Written` · Touches: cluster (read and write), clock

use std::collections::BTreeMap;
use std::time::Duration;

use super::bound::change;
use super::existing::{Fingerprint, additions, fingerprint, holds};
use super::recreate::{Way, is_fixed, make_way};
use super::webhooks;
use super::window::Pressure;
use crate::domain::conflict::Existing;
use crate::domain::object::{Json, Manifest, Resource};
use crate::domain::report::ObjectAction;
use crate::engine::reach::Reach;
use crate::engine::retry::{Answer, Patience, after, persist};
use crate::ports::cluster::{Conflicts, Error, FIELD_MANAGER, Mode, Place};

/// How long an object that is being deleted is waited for.
const GONE: Duration = Duration::from_mins(2);

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long a kind or namespace that was just made may be unknown to the server.
const SETTLING: Duration = Duration::from_secs(10);

/// One object to write.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// Its kind.
    pub resource: &'a Resource,
    /// The object as it is sent.
    pub object: &'a Manifest,
    /// Whether it is added to one that exists, whatever `existing` says.
    pub merges: bool,
    /// What happens to one that exists.
    pub existing: Existing,
    /// Why one that exists is never deleted to make way for it.
    pub never_recreated: Option<&'a str>,
    /// What the object that exists said before, where that is known; an update reads it.
    pub before: Option<Fingerprint>,
    /// Whether its kind or namespace was made a moment ago, so that the server may not know it yet.
    pub fresh: bool,
    /// Whether it is written or only tried.
    pub mode: Mode,
}

/// What became of it.
#[derive(Debug)]
pub struct Written {
    /// What happened, or would happen.
    pub action: ObjectAction,
    /// Why, where it is not plain.
    pub reason: Option<String>,
    /// The object as the server stored it, or would.
    pub stored: Option<Manifest>,
    /// The object that existed, where it was looked at.
    pub live: Option<Manifest>,
    /// What the write told about the server.
    pub pressure: Pressure,
    /// The webhook that did not answer, if that is why it failed.
    pub webhook: Option<String>,
}

impl Written {
    fn new(action: ObjectAction) -> Self {
        Self { action, reason: None, stored: None, live: None, pressure: Pressure::None, webhook: None }
    }

    fn plain(action: ObjectAction, stored: Manifest) -> Self {
        Self { stored: Some(stored), ..Self::new(action) }
    }

    /// What happened, or did not, and why.
    pub fn told(action: ObjectAction, reason: impl Into<String>, live: Option<Manifest>) -> Self {
        Self { reason: Some(reason.into()), live, ..Self::new(action) }
    }

    fn unchanged(live: Manifest) -> Self {
        Self { live: Some(live), ..Self::new(ObjectAction::Unchanged) }
    }

    fn failed(error: &Error) -> Self {
        let webhook = webhooks::unanswered(error).map(str::to_owned);
        Self { webhook, ..Self::told(ObjectAction::Failed, advice(error), None) }
    }
}

/// Writes the object. One call where it does not exist; a failure is a result, never an error.
///
/// An object of the same name that is being deleted is waited for. An update by server-side apply takes every field that
/// was saved over; under [`Existing::Recreate`] one that cannot be updated is deleted first, at most once; else an object that exists is left alone, or gets what it lacks if it `merges`.
pub async fn put(reach: &Reach<'_>, order: &Order<'_>) -> Written {
    let deadline = after(reach.clock.now(), GONE);
    let (mut removed, mut pressure) = (false, Pressure::None);
    loop {
        let (step, pressed) = match order.existing {
            Existing::Skip | Existing::Fail => create(reach, order).await,
            Existing::RecreateAlways if !removed && order.never_recreated.is_none() => {
                replace(reach, order).await
            }
            Existing::Update | Existing::Recreate | Existing::RecreateAlways => {
                apply(reach, order, removed).await
            }
        };
        if pressed {
            pressure = Pressure::High;
        }
        let dying = match step {
            Step::Done(written) if removed && written.action != ObjectAction::Failed => {
                return Written { action: ObjectAction::Recreated, pressure, ..written };
            }
            Step::Done(written) => return Written { pressure, ..written },
            Step::Dying(live) => live,
            Step::Removed(reason) if order.mode == Mode::DryRun => {
                return Written::told(ObjectAction::Recreated, reason, None);
            }
            Step::Removed(_) => {
                removed = true;
                continue;
            }
            Step::Vanished => continue,
        };
        if order.mode == Mode::DryRun {
            let reason = "once the one that is being deleted is gone";
            return Written::told(ObjectAction::Created, reason, Some(dying));
        }
        if reach.clock.now() >= deadline {
            let reason = "one of the same name is being deleted and not gone after 2m; see its finalizers";
            return Written::told(ObjectAction::Failed, reason, Some(dying));
        }
        reach.progress.waiting(&format!("{}: it is being deleted", dying.key()));
        reach.clock.sleep(LOOK).await;
    }
}

enum Step {
    Done(Written),
    /// One of the same name is being deleted.
    Dying(Manifest),
    /// It was in the way and was deleted, or would be, and why.
    Removed(String),
    /// It was in the way, and is gone now.
    Vanished,
}

impl From<Written> for Step {
    fn from(written: Written) -> Self {
        Self::Done(written)
    }
}

async fn create(reach: &Reach<'_>, order: &Order<'_>) -> (Step, bool) {
    let writer = reach.writer;
    let call = async || writer.create(order.resource, order.object, order.mode).await;
    let answer = settled(reach, order, call).await;
    let pressed = answer.pressed;
    (created(reach, order, answer).await, pressed)
}

/// What a create's answer means.
async fn created(reach: &Reach<'_>, order: &Order<'_>, answer: Answer<Manifest>) -> Step {
    let error = match answer.result {
        Ok(stored) => return Written::plain(ObjectAction::Created, stored).into(),
        Err(error) => error,
    };
    // Quotas, ports and addresses are checked before the name is, so that "invalid" may mean "exists".
    let may_exist = matches!(error, Error::AlreadyExists | Error::Invalid(_) | Error::Forbidden(_));
    if !may_exist {
        return Written::failed(&error).into();
    }
    let live = match get(reach, order).await {
        Ok(Some(live)) => live,
        Ok(None) if matches!(error, Error::AlreadyExists) => {
            return Written::told(ObjectAction::Failed, "it existed, and is gone now: restore again", None)
                .into();
        }
        Ok(None) | Err(_) if !matches!(error, Error::AlreadyExists) => return Written::failed(&error).into(),
        Ok(None) | Err(_) => {
            return Written::told(ObjectAction::Skipped, "it exists; nobody may read it", None).into();
        }
    };
    if live.is_deleting() {
        return Step::Dying(live);
    }
    if answer.attempts > 1 && is_ours(&live) && holds(&live, order.object) {
        return Written::plain(ObjectAction::Created, live).into();
    }
    if order.merges {
        return merge(reach, order, live).await.into();
    }
    found(order, live).into()
}

/// What is said of an object that exists and stays.
fn found(order: &Order<'_>, live: Manifest) -> Written {
    match (order.existing, holds(&live, order.object)) {
        (Existing::Fail, _) => Written::told(ObjectAction::Failed, "it exists", Some(live)),
        (_, true) => Written::unchanged(live),
        (_, false) => Written::told(ObjectAction::Skipped, "it exists and is different", Some(live)),
    }
}

/// Adds what an object that exists lacks.
async fn merge(reach: &Reach<'_>, order: &Order<'_>, live: Manifest) -> Written {
    let lacks = |now: &Manifest| additions(now, order.object);
    let result = change(reach, (order.resource, place(order.object), order.mode), live.clone(), lacks).await;
    match result {
        Ok(None) => Written::unchanged(live),
        Ok(Some(stored)) => Written {
            stored: Some(stored),
            ..Written::told(ObjectAction::Updated, "it exists; what it lacked was added", Some(live))
        },
        Err(error) => Written { live: Some(live), ..Written::failed(&error) },
    }
}

/// Server-side apply; where that is refused and may be, the object in the way is removed.
async fn apply(reach: &Reach<'_>, order: &Order<'_>, removed: bool) -> (Step, bool) {
    let writer = reach.writer;
    let call = async || writer.apply(order.resource, order.object, Conflicts::Force, order.mode).await;
    let Answer { result, pressed, .. } = settled(reach, order, call).await;
    (applied(reach, order, result, removed).await, pressed)
}

/// What an apply's answer means.
async fn applied(
    reach: &Reach<'_>,
    order: &Order<'_>,
    result: Result<Manifest, Error>,
    removed: bool,
) -> Step {
    let stored = match result {
        Ok(stored) => stored,
        Err(error) if is_fixed(&error) => return fixed(reach, order, &error, removed).await,
        Err(error) => return Written::failed(&error).into(),
    };
    if stored.is_deleting() {
        return Step::Dying(stored);
    }
    let action = match order.before {
        None => ObjectAction::Created,
        Some(before) if before == fingerprint(&stored) => ObjectAction::Unchanged,
        Some(_) => ObjectAction::Updated,
    };
    Written::plain(action, stored).into()
}

/// What follows when a field of the object that exists cannot be changed: that one may be on its way out already.
async fn fixed(reach: &Reach<'_>, order: &Order<'_>, error: &Error, removed: bool) -> Step {
    match get(reach, order).await {
        Ok(Some(live)) if live.is_deleting() => Step::Dying(live),
        Ok(None) => Step::Vanished,
        _ if order.existing == Existing::Recreate && !removed => {
            remove(reach, order, &error.to_string()).await
        }
        _ => Written::failed(error).into(),
    }
}

/// Removes an object that differs from what was saved; one that is equal stays.
async fn replace(reach: &Reach<'_>, order: &Order<'_>) -> (Step, bool) {
    let live = match get(reach, order).await {
        Ok(Some(live)) if live.is_deleting() => return (Step::Dying(live), false),
        Ok(Some(live)) => live,
        Ok(None) => return apply(reach, order, false).await,
        Err(error) => return (Written::failed(&error).into(), false),
    };
    let call =
        async || reach.writer.apply(order.resource, order.object, Conflicts::Force, Mode::DryRun).await;
    let Answer { result, pressed, .. } = settled(reach, order, call).await;
    let step = match result {
        Ok(wanted) if fingerprint(&wanted) == fingerprint(&live) => Written::unchanged(live).into(),
        Ok(_) => remove(reach, order, "it differs from what was saved").await,
        Err(error) if is_fixed(&error) => remove(reach, order, &error.to_string()).await,
        Err(error) => Written::failed(&error).into(),
    };
    (step, pressed)
}

/// Deletes the object that is in the way, if that may be done.
async fn remove(reach: &Reach<'_>, order: &Order<'_>, why: &str) -> Step {
    if let Some(reason) = order.never_recreated {
        let reason = format!("{why}; it is not deleted to make way: {reason}");
        return Written::told(ObjectAction::Failed, reason, None).into();
    }
    match make_way(reach, order.resource, order.object, order.mode).await {
        Way::Free => Step::Removed(format!("deleted and made anew: {why}")),
        Way::Blocked(reason) => Written::told(ObjectAction::Failed, reason, None).into(),
    }
}

/// Repeats a write; a kind or namespace that the server does not know yet gets a moment. A write that a webhook blocks is
/// not repeated here: what the webhook needs may come later in the restore.
async fn settled(
    reach: &Reach<'_>,
    order: &Order<'_>,
    mut write: impl AsyncFnMut() -> Result<Manifest, Error>,
) -> Answer<Manifest> {
    let mut call = async || match write().await {
        Err(error) if webhooks::unanswered(&error).is_some() => Err(Error::Invalid(error.to_string())),
        other => other,
    };
    let first = persist(reach.clock, reach.patience, &mut call).await;
    if !order.fresh || !matches!(first.result, Err(Error::NotFound(_))) {
        return first;
    }
    let patience = Patience { total: SETTLING.min(reach.patience.total), ..reach.patience };
    let mut unknown = false;
    let later = async || match call().await {
        Err(Error::NotFound(reason)) => {
            unknown = true;
            Err(Error::Busy { reason, after: None })
        }
        other => {
            unknown = false;
            other
        }
    };
    let Answer { result, attempts, pressed } = persist(reach.clock, patience, later).await;
    match result {
        Err(Error::Busy { reason, .. }) if unknown => {
            Answer { result: Err(Error::NotFound(reason)), attempts, pressed: first.pressed }
        }
        result => Answer { result, attempts: attempts + first.attempts, pressed: pressed || first.pressed },
    }
}

/// The object as it is in the cluster.
async fn get(reach: &Reach<'_>, order: &Order<'_>) -> Result<Option<Manifest>, Error> {
    let place = place(order.object);
    let call = async || reach.reader.get(order.resource, place.namespace, place.name).await;
    persist(reach.clock, reach.patience, call).await.result
}

fn place(object: &Manifest) -> Place<'_> {
    Place { namespace: object.namespace(), name: object.name(), subresource: "" }
}

/// Whether the object was written by this program.
fn is_ours(live: &Manifest) -> bool {
    let entries = live.at("/metadata/managedFields").and_then(Json::as_array);
    entries.into_iter().flatten().any(|e| e.get("manager").and_then(Json::as_str) == Some(FIELD_MANAGER))
}

/// What went wrong, and the next step where there is one.
fn advice(error: &Error) -> String {
    if let Some(webhook) = webhooks::unanswered(error) {
        return webhooks::advice(webhook, &BTreeMap::new());
    }
    let next = match error {
        Error::Invalid(_) if is_fixed(error) => {
            "; a field of it cannot be changed in place: restore it with `existing: Recreate`"
        }
        Error::Forbidden(reason) if reason.contains("being terminated") => {
            "; its namespace is being deleted: restore again when it is gone"
        }
        Error::Forbidden(reason) if reason.contains("exceeded quota") => {
            "; raise the quota, then restore again"
        }
        Error::Busy { .. } | Error::Unreachable(_) | Error::Conflict(_) => "; restore again to finish",
        Error::NotFound(_) => "; its kind or namespace is not there",
        Error::Unauthorized(_)
        | Error::Forbidden(_)
        | Error::AlreadyExists
        | Error::Expired { .. }
        | Error::Invalid(_)
        | Error::Garbled(_) => "",
    };
    format!("{error}{next}")
}

#[cfg(test)]
mod tests;

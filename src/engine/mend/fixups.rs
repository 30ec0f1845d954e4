//! Mends what a restore alone leaves broken: carries out fixups in order and looks whether each took effect.
//!
//! In: `Fixup`s · Out: `FixupReport`s · Touches: cluster (read and write), clock

use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use jiff::Timestamp;
use serde::Serialize;

use super::fixup_plan::{Error, Fixup, Step, describe_target, resolve};
use crate::domain::fixup::{FixupSpec, Propagation};
use crate::domain::hook::OnError;
use crate::domain::object::{Manifest, ObjectKey, Resource};
use crate::domain::report::{FixupOutcome, FixupReport};
use crate::engine::gather::listing;
use crate::engine::reach::Reach;
use crate::engine::restore::readiness::Readiness;
use crate::engine::retry::{Patience, after, persist};
use crate::ports::cluster::{self, Mode, Patch, Place};

/// How often an object is read while its effect is waited for.
const LOOK: Duration = Duration::from_millis(500);

/// How many objects a reason names.
const NAMED: usize = 3;

/// What a fixup would do now.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FixupPreview {
    /// Name of the step.
    pub name: String,
    /// What it does to which target, such as `scale to 0: Deployment dns/external-dns`.
    pub what: String,
    /// Objects it would touch, sorted by key.
    pub objects: Vec<ObjectKey>,
    /// Why it would touch none, or why that cannot be said yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it could not take effect on the cluster as it is: its target is missing, or cannot be read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
}

/// Compiles all fixups of a request.
///
/// # Errors
/// The first expression that is not CEL.
pub fn compile(specs: &[FixupSpec]) -> Result<Vec<Fixup>, Error> {
    specs.iter().map(Fixup::compile).collect()
}

/// Says what the fixups would do to the cluster as it is. Writes nothing.
pub async fn preview(fixups: &[Fixup], reach: &Reach<'_>) -> Vec<FixupPreview> {
    let mut previews = Vec::new();
    for fixup in fixups {
        let look = Run::new(fixup, reach).look().await;
        let open = look.is_err();
        let (objects, reason) = match look {
            Ok(Look::Found(_, objects)) => (due(fixup, &objects, reach.clock.now()), None),
            Ok(Look::None(reason)) => (Vec::new(), Some(reason)),
            Err(trouble) => (Vec::new(), Some(trouble.tell())),
        };
        let done = objects.is_empty() && reason.is_none();
        let reason = reason.or_else(|| done.then(|| "the effect is there already".to_owned()));
        let (name, what) = (fixup.name().to_owned(), describe(fixup));
        previews.push(FixupPreview { name, what, objects, reason, open });
    }
    previews
}

/// Carries out the fixups in order. After a failure under `onError: Fail` the rest does not run.
///
/// Deletions that stand side by side are all sent before the first is waited for: a claim goes only after the pods
/// that use it, and an operator makes its workload anew at once.
pub async fn run(fixups: &[Fixup], reach: &Reach<'_>) -> Vec<FixupReport> {
    let mut reports: Vec<FixupReport> = Vec::new();
    for group in fixups.chunk_by(|one, next| one.is_delete() && next.is_delete()) {
        let mut begun = Vec::new();
        for fixup in group {
            let failed = reports.iter().find(|report| report.outcome == FixupOutcome::Failed);
            if let Some(failed) = failed {
                reports.push(not_run(fixup, &failed.name));
                continue;
            }
            reach.progress.fixup(fixup.name(), &describe(fixup));
            let mut run = Run::new(fixup, reach);
            let result = run.begin().await;
            match result {
                Ok(Begun::Open(resource, objects)) => {
                    begun.push((reports.len(), run, resource, objects));
                    reports.push(report(fixup, Ok(None), Vec::new()));
                }
                Ok(Begun::NotNeeded(reason)) => reports.push(report(fixup, Ok(Some(reason)), Vec::new())),
                Err(trouble) => reports.push(report(fixup, Err(trouble), run.touched)),
            }
        }
        for (place, mut run, resource, objects) in begun {
            let result = run.end(&resource, &objects).await;
            reports[place] = report(run.fixup, result.map(|()| None), run.touched);
        }
        let ended = &reports[reports.len() - group.len()..];
        for report in ended {
            reach.progress.mended(report);
        }
    }
    reports
}

fn describe(fixup: &Fixup) -> String {
    format!("{}: {}", fixup.describe(), describe_target(fixup.target()))
}

fn not_run(fixup: &Fixup, failed: &str) -> FixupReport {
    let reason = Some(format!("fixup {failed} failed before it"));
    FixupReport { name: fixup.name().to_owned(), outcome: FixupOutcome::NotRun, objects: vec![], reason }
}

/// A report of a fixup that took effect, was not needed for a reason, or failed.
fn report(
    fixup: &Fixup,
    result: Result<Option<String>, Trouble>,
    mut objects: Vec<ObjectKey>,
) -> FixupReport {
    let (outcome, reason) = match (result, fixup.on_error()) {
        (Ok(None), _) => (FixupOutcome::Verified, None),
        (Ok(Some(reason)), _) => (FixupOutcome::NotNeeded, Some(reason)),
        (Err(trouble), OnError::Fail) => (FixupOutcome::Failed, Some(trouble.tell())),
        (Err(trouble), OnError::Continue) => (FixupOutcome::Warned, Some(trouble.tell())),
    };
    objects.sort();
    FixupReport { name: fixup.name().to_owned(), outcome, objects, reason }
}

/// Why a fixup did not take effect.
enum Trouble {
    /// There is nothing to act upon, and there may be later.
    Nothing(String),
    /// A call failed for good.
    Call(cluster::Error),
    /// Anything else.
    Told(String),
}

impl Trouble {
    fn tell(self) -> String {
        match self {
            Self::Call(error) => error.to_string(),
            Self::Nothing(reason) | Self::Told(reason) => reason,
        }
    }
}

/// How far a fixup is after it has acted.
enum Begun {
    /// The effect on these objects is still to be seen.
    Open(Resource, Vec<Manifest>),
    /// Nothing had to be done, and why.
    NotNeeded(String),
}

/// What there is to act upon.
enum Look {
    /// Objects of the target for which `when` is true; at least one.
    Found(Resource, Vec<Manifest>),
    /// Nothing has to be done, and why.
    None(String),
}

struct Run<'a> {
    fixup: &'a Fixup,
    reach: &'a Reach<'a>,
    started: Timestamp,
    deadline: Timestamp,
    touched: Vec<ObjectKey>,
}

impl<'a> Run<'a> {
    fn new(fixup: &'a Fixup, reach: &'a Reach<'a>) -> Self {
        let started = reach.clock.now();
        let deadline = after(started, fixup.timeout().as_std());
        Self { fixup, reach, started, deadline, touched: Vec::new() }
    }

    /// Finds the targets and acts upon them.
    async fn begin(&mut self) -> Result<Begun, Trouble> {
        let (resource, objects) = match self.find_in_time().await? {
            Look::Found(resource, objects) => (resource, objects),
            Look::None(reason) => return Ok(Begun::NotNeeded(reason)),
        };
        self.touched = due(self.fixup, &objects, self.started);
        if self.touched.is_empty() {
            return Ok(Begun::NotNeeded("the effect is there already".to_owned()));
        }
        self.act(&resource, &objects).await?;
        Ok(Begun::Open(resource, objects))
    }

    /// Waits for the effect.
    async fn end(&mut self, resource: &Resource, objects: &[Manifest]) -> Result<(), Trouble> {
        if self.fixup.is_wait() { self.wait_for_all().await } else { self.verify(resource, objects).await }
    }

    /// Looks for targets until there are some, because what was just restored may still be making them.
    async fn find_in_time(&self) -> Result<Look, Trouble> {
        loop {
            match self.look().await {
                Err(Trouble::Nothing(reason)) if self.pause().await => self.reach.progress.waiting(&reason),
                answer => return answer,
            }
        }
    }

    /// Looks for targets once.
    async fn look(&self) -> Result<Look, Trouble> {
        let (fixup, target) = (self.fixup, self.fixup.target());
        let reader = self.reach.reader;
        let served = self.persist(async || reader.discover().await).await?;
        let nothing = |reason: String| {
            if fixup.is_delete() { Ok(Look::None(reason)) } else { Err(Trouble::Nothing(reason)) }
        };
        let resource = match resolve(target, &served) {
            Ok(resource) => resource,
            Err(reason) => return nothing(reason),
        };
        let all = self.persist(async || listing::targets(reader, &resource, target).await).await?;
        if all.is_empty() {
            return nothing(format!("there is no {}", describe_target(target)));
        }
        let number = all.len();
        let mut meant = Vec::new();
        for object in all {
            let told = |error| Trouble::Told(format!("cannot evaluate `when` for {}: {error}", object.key()));
            if fixup.applies(&object).map_err(told)? {
                meant.push(object);
            }
        }
        if meant.is_empty() {
            return Ok(Look::None(format!("`when` is true for none of {number} objects")));
        }
        Ok(Look::Found(resource, meant))
    }

    async fn act(&self, resource: &Resource, objects: &[Manifest]) -> Result<(), Trouble> {
        let mut acts = stream::iter(objects)
            .map(|object| self.act_on(resource, object))
            .buffered(self.reach.concurrency.max(1));
        while let Some(result) = acts.next().await {
            result?;
        }
        Ok(())
    }

    async fn act_on(&self, resource: &Resource, object: &Manifest) -> Result<(), Trouble> {
        let told = |error: cluster::Error| Trouble::Told(format!("{}: {error}", object.key()));
        match self.fixup.step(object, self.started) {
            Step::Done | Step::Wait => Ok(()),
            Step::Patch(patch, subresource) => {
                self.patch(resource, object, &patch, subresource).await.map_err(told)
            }
            Step::Delete(propagation) => {
                let result = self.delete(resource, object, propagation).await;
                result.map_err(told)
            }
        }
    }

    async fn patch(
        &self,
        resource: &Resource,
        object: &Manifest,
        patch: &Patch,
        subresource: &str,
    ) -> Result<(), cluster::Error> {
        let place = Place { namespace: object.namespace(), name: object.name(), subresource };
        let writer = self.reach.writer;
        let answer = persist(self.reach.clock, self.patience(), async || {
            writer.patch(resource, place, patch, Mode::Real).await
        });
        answer.await.result.map(drop)
    }

    /// Deletes this very object: before a second attempt it is read, so that one made anew is left alone.
    async fn delete(
        &self,
        resource: &Resource,
        object: &Manifest,
        propagation: Propagation,
    ) -> Result<(), cluster::Error> {
        let place = Place { namespace: object.namespace(), name: object.name(), subresource: "" };
        let Reach { reader, writer, .. } = *self.reach;
        let mut again = false;
        let answer = persist(self.reach.clock, self.patience(), async || {
            if std::mem::replace(&mut again, true) {
                let now = reader.get(resource, place.namespace, place.name).await?;
                if now.is_none_or(|now| now.uid() != object.uid()) {
                    return Ok(());
                }
            }
            writer.delete(resource, place, propagation).await
        });
        match answer.await.result {
            Err(cluster::Error::NotFound(_)) => Ok(()),
            other => other,
        }
    }

    /// Reads what was touched until every object shows the effect.
    async fn verify(&self, resource: &Resource, objects: &[Manifest]) -> Result<(), Trouble> {
        let mut left: Vec<&Manifest> = objects.iter().collect();
        loop {
            let reads = stream::iter(left.clone()).map(|object| async move {
                let reader = self.reach.reader;
                let get = async || reader.get(resource, object.namespace(), object.name()).await;
                self.persist(get).await.map(|now| (object, now))
            });
            let reads: Vec<_> = reads.buffered(self.reach.concurrency.max(1)).collect().await;
            let mut open = Vec::new();
            for read in reads {
                let (object, now) = read?;
                match self.fixup.effect(now.as_ref(), object.uid(), self.started) {
                    Readiness::Ready => {}
                    Readiness::Waiting(why) | Readiness::Stuck(why) => open.push((object, why)),
                }
            }
            if open.is_empty() {
                return Ok(());
            }
            self.still_open(open.iter().map(|(object, why)| (object.key(), why.as_str()))).await?;
            left = open.into_iter().map(|(object, _)| object).collect();
        }
    }

    /// Looks at all targets again and again, because pods and the like come and go, until all are as they should be.
    async fn wait_for_all(&mut self) -> Result<(), Trouble> {
        loop {
            let objects = match self.find_in_time().await? {
                Look::Found(_, objects) => objects,
                Look::None(_) => return Ok(()),
            };
            self.touched = objects.iter().map(Manifest::key).collect();
            let states = objects.iter().map(|o| (o.key(), self.fixup.effect(Some(o), o.uid(), self.started)));
            let open: Vec<(ObjectKey, String)> = states
                .filter_map(|(key, state)| match state {
                    Readiness::Ready => None,
                    Readiness::Waiting(why) | Readiness::Stuck(why) => Some((key, why)),
                })
                .collect();
            if open.is_empty() {
                return Ok(());
            }
            self.still_open(open.iter().map(|(key, why)| (key.clone(), why.as_str()))).await?;
        }
    }

    /// Pauses, or gives up when the time is over; says for what.
    async fn still_open(&self, open: impl Iterator<Item = (ObjectKey, &str)>) -> Result<(), Trouble> {
        let open: Vec<String> = open.map(|(key, why)| format!("{key}: {why}")).collect();
        let more = open.len().saturating_sub(NAMED);
        let more = (more > 0).then(|| format!("and {more} more"));
        let text = open.into_iter().take(NAMED).chain(more).collect::<Vec<_>>().join("; ");
        self.reach.progress.waiting(&text);
        let timeout = self.fixup.timeout();
        if self.pause().await { Ok(()) } else { Err(Trouble::Told(format!("not after {timeout}: {text}"))) }
    }

    /// Sleeps a moment; `false` when the time is over.
    async fn pause(&self) -> bool {
        if self.reach.clock.now() >= self.deadline {
            return false;
        }
        self.reach.clock.sleep(LOOK).await;
        true
    }

    fn patience(&self) -> Patience {
        let left = self.deadline.duration_since(self.reach.clock.now());
        let total = Duration::try_from(left).unwrap_or_default().min(self.reach.patience.total);
        Patience { total, ..self.reach.patience }
    }

    async fn persist<T>(&self, call: impl AsyncFnMut() -> Result<T, cluster::Error>) -> Result<T, Trouble> {
        persist(self.reach.clock, self.patience(), call).await.result.map_err(Trouble::Call)
    }
}

/// Keys of the objects that something has to be done to, sorted.
fn due(fixup: &Fixup, objects: &[Manifest], now: Timestamp) -> Vec<ObjectKey> {
    let open = objects.iter().filter(|object| fixup.step(object, now) != Step::Done);
    let mut keys: Vec<ObjectKey> = open.map(Manifest::key).collect();
    keys.sort();
    keys
}

#[cfg(test)]
mod tests;

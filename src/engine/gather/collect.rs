//! Lists the planned kinds in pages, several at a time, and passes on what the selection means.
//!
//! In: `BackupPlan` · Out: a stream of `Event` · Touches: cluster (read), clock

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures::stream::{self, BoxStream, Stream, StreamExt};

use super::fetch::{Fetched, Job, News, Place, Source, fetch};
use super::plan::{BackupPlan, PlannedKind, Round, report};
use crate::domain::object::{Manifest, Resource};
use crate::domain::related::Related;
use crate::domain::report::{KindReport, KindResult};
use crate::domain::rules::KindRules;
use crate::domain::selection::{ObjectChoice, excluded_by_label};
use crate::ports::clock::Clock;
use crate::ports::cluster::{Error, Reader, Scope};

/// Objects of one kind, at most one page of them, that are meant to be saved.
#[derive(Debug)]
pub struct Collected {
    resource: Arc<Resource>,
    objects: Vec<Manifest>,
}

impl Collected {
    /// The kind of all these objects.
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// The objects as the API server gave them, in its order.
    pub fn objects(&self) -> &[Manifest] {
        &self.objects
    }

    /// Takes the page apart.
    pub fn into_parts(self) -> (Arc<Resource>, Vec<Manifest>) {
        (self.resource, self.objects)
    }

    /// A page for the tests of later steps.
    #[cfg(test)]
    pub fn of(resource: Arc<Resource>, objects: Vec<Manifest>) -> Self {
        Self { resource, objects }
    }
}

/// What collecting tells while it goes on.
#[derive(Debug)]
pub enum Event {
    /// Objects to save.
    Batch(Collected),
    /// A kind is done: its count, or why it could not be listed to the end. Batches that came before a failure are
    /// good to keep, but such a kind is not complete. Comes once for every planned kind; skipped ones are in the plan.
    Kind(KindReport),
    /// Objects of listed kinds that were left out, and why.
    LeftOut {
        /// Why.
        reason: String,
        /// How many.
        count: u64,
    },
    /// What the reader should know although it is no failure.
    Note(String),
}

/// Collects what was planned. Ends when every kind is done; a kind that fails does not stop the others.
///
/// Namespaces come first, because they can leave out what is in them. Cluster-scoped objects that come along only if
/// a taken one needs them come last. At most [`BackupPlan::concurrency`] pages are held at a time. Lists see different
/// moments: there is no one state of a cluster to be had.
pub fn collect<'a>(
    plan: &'a BackupPlan,
    reader: &'a dyn Reader,
    clock: &'a dyn Clock,
) -> impl Stream<Item = Event> + Send + 'a {
    let patience = plan.patience().as_std();
    let run = Run {
        plan,
        source: Source { reader, clock, patience, lost: Arc::new(AtomicBool::new(false)) },
        steps: STEPS.into_iter().collect(),
        step: None,
        pages: stream::empty().boxed(),
        ready: VecDeque::new(),
        tallies: plan.kinds().iter().map(|_| Tally::default()).collect(),
        namespaces: Namespaces::default(),
        related: Related::default(),
        unanswered: false,
    };
    stream::unfold(run, |mut run| async move { run.next().await.map(|event| (event, run)) })
}

/// What is done one after the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The kinds of a round.
    First(Round),
    /// Once more what may be needed by something that was taken later.
    Again,
}

const STEPS: [Step; 5] = [
    Step::First(Round::Namespaces),
    Step::First(Round::Selected),
    Step::First(Round::Needing),
    Step::First(Round::Needed),
    Step::Again,
];

struct Run<'a> {
    plan: &'a BackupPlan,
    source: Source<'a>,
    steps: VecDeque<Step>,
    step: Option<Step>,
    pages: BoxStream<'a, Fetched>,
    ready: VecDeque<Event>,
    tallies: Vec<Tally>,
    namespaces: Namespaces,
    related: Related,
    unanswered: bool,
}

/// What became of one kind so far.
#[derive(Default)]
struct Tally {
    taken: u64,
    left: BTreeMap<String, u64>,
    unneeded: BTreeMap<String, u64>,
    open: usize,
    failure: Option<String>,
    reported: bool,
}

/// What the Namespaces say.
#[derive(Default)]
struct Namespaces {
    names: Vec<String>,
    left_out: BTreeMap<String, String>,
}

impl Namespaces {
    fn learn(&mut self, namespace: &Manifest) {
        let name = namespace.name().to_owned();
        if let Some(label) = excluded_by_label(namespace) {
            self.left_out.insert(name.clone(), format!("its namespace has the label {label}=true"));
        } else if namespace.is_deleting() {
            self.left_out.insert(name.clone(), "its namespace is being deleted".into());
        }
        self.names.push(name);
    }
}

enum Verdict {
    Take,
    Left(String),
    Unneeded(String),
}

impl Run<'_> {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match self.pages.next().await {
                Some(Fetched { kind, news: News::Page(objects) }) => self.page(kind, objects),
                Some(Fetched { kind, news: News::End(result) }) => self.end_job(kind, result),
                None => {
                    self.end_step();
                    match self.steps.pop_front() {
                        Some(step) => self.begin_step(step),
                        None if self.ready.is_empty() => return None,
                        None => self.pages = stream::empty().boxed(),
                    }
                }
            }
        }
    }

    fn begin_step(&mut self, step: Step) {
        self.step = Some(step);
        let plan = self.plan;
        let mut jobs = Vec::new();
        for (kind, planned) in plan.kinds().iter().enumerate() {
            if self.is_due(kind) {
                let places = places(planned);
                self.tallies[kind].open = places.len();
                jobs.extend(places.into_iter().map(|place| Job { kind, planned, place }));
            }
        }
        let source = self.source.clone();
        let pages = move |job| fetch(source.clone(), job).boxed();
        self.pages = stream::iter(jobs).flat_map_unordered(plan.concurrency(), pages).boxed();
    }

    /// Whether the kind belongs to the present step.
    fn is_due(&self, kind: usize) -> bool {
        match self.step {
            None => false,
            Some(Step::First(round)) => self.plan.kinds()[kind].round == round,
            Some(Step::Again) => !self.tallies[kind].reported,
        }
    }

    fn page(&mut self, kind: usize, objects: Vec<Manifest>) {
        let plan = self.plan;
        let planned = &plan.kinds()[kind];
        let rules = plan.catalog().kind(&planned.resource);
        let mut taken = Vec::with_capacity(objects.len());
        for object in objects {
            let first = self.step != Some(Step::Again);
            if first && planned.round == Round::Namespaces {
                self.namespaces.learn(&object);
            }
            let verdict = self.judge(planned, &rules, &object);
            let tally = &mut self.tallies[kind];
            match verdict {
                Verdict::Take => taken.push(object),
                Verdict::Left(reason) if first => *tally.left.entry(reason).or_default() += 1,
                Verdict::Unneeded(reason) if first => *tally.unneeded.entry(reason).or_default() += 1,
                Verdict::Left(_) | Verdict::Unneeded(_) => {}
            }
        }
        if taken.is_empty() {
            return;
        }
        self.tallies[kind].taken += taken.len() as u64;
        let resource = Arc::clone(&planned.resource);
        self.ready.push_back(Event::Batch(Collected { resource, objects: taken }));
    }

    fn judge(&mut self, planned: &PlannedKind, rules: &KindRules<'_>, object: &Manifest) -> Verdict {
        let resource = &planned.resource;
        let home = object.namespace().and_then(|namespace| self.namespaces.left_out.get(namespace));
        if let Some(reason) = home.or(planned.looked_at.as_ref()) {
            return Verdict::Left(reason.clone());
        }
        if let Some(reason) = rules.never(object) {
            return Verdict::Left(reason.to_owned());
        }
        let needs_related = self.plan.selection().may_need_related();
        match self.plan.selection().object(resource, object) {
            Ok(ObjectChoice::Take) if self.step == Some(Step::Again) => {
                return Verdict::Left("it was taken before".into());
            }
            Ok(ObjectChoice::Take) => {}
            Ok(ObjectChoice::Skip(reason)) => return Verdict::Left(reason),
            Ok(ObjectChoice::OnlyRelated(reason)) => match self.related.wants(resource, object) {
                None => return Verdict::Unneeded(reason),
                Some(_) => self.no_longer_unneeded(resource, &reason),
            },
            Err(error) => {
                self.note_unanswered(object, &error.to_string());
                return Verdict::Left("`where` has no answer for it".into());
            }
        }
        if needs_related {
            self.related.learn(rules, object);
        }
        Verdict::Take
    }

    /// Takes back that an object was counted as not needed when it was looked at first.
    fn no_longer_unneeded(&mut self, resource: &Resource, reason: &str) {
        let kind = self.plan.kinds().iter().position(|planned| *planned.resource == *resource);
        if self.step == Some(Step::Again)
            && let Some(count) = kind.and_then(|kind| self.tallies[kind].unneeded.get_mut(reason))
        {
            *count = count.saturating_sub(1);
        }
    }

    fn note_unanswered(&mut self, object: &Manifest, error: &str) {
        if !self.unanswered {
            self.unanswered = true;
            let note = format!("`where` has no answer for some objects, first for {}: {error}", object.key());
            self.ready.push_back(Event::Note(note));
        }
    }

    fn end_job(&mut self, kind: usize, result: Result<(), Error>) {
        let tally = &mut self.tallies[kind];
        tally.open -= 1;
        if let Err(error) = result {
            tally.failure.get_or_insert_with(|| error.to_string());
        }
        let may_wait = match self.plan.kinds()[kind].round {
            Round::Namespaces | Round::Needed => true,
            Round::Selected | Round::Needing => false,
        };
        if tally.open == 0 && !may_wait {
            self.finish(kind);
        }
    }

    /// Reports the kinds that waited for the end of the step, but not those that are looked at once more.
    fn end_step(&mut self) {
        let complete = self.tallies.iter().all(|tally| tally.failure.is_none());
        for kind in 0..self.tallies.len() {
            if self.is_due(kind) && !self.waits(kind) {
                self.finish(kind);
            }
        }
        if complete && self.step == Some(Step::First(Round::Namespaces)) {
            let notes = self.plan.selection().unmatched(self.plan.served(), &self.namespaces.names);
            self.ready.extend(notes.into_iter().map(Event::Note));
        }
    }

    fn waits(&self, kind: usize) -> bool {
        let (planned, tally) = (&self.plan.kinds()[kind], &self.tallies[kind]);
        let later = match self.step {
            Some(Step::First(Round::Namespaces)) => true,
            Some(Step::First(Round::Needed)) => self.related.again(&planned.resource),
            Some(Step::First(Round::Selected | Round::Needing) | Step::Again) | None => false,
        };
        later && tally.failure.is_none() && !tally.unneeded.is_empty()
    }

    fn finish(&mut self, kind: usize) {
        let tally = &mut self.tallies[kind];
        if std::mem::replace(&mut tally.reported, true) {
            return;
        }
        let planned = &self.plan.kinds()[kind];
        let result = match (&planned.looked_at, tally.failure.take()) {
            (_, Some(reason)) => KindResult::Failed { reason },
            (Some(reason), None) => KindResult::Skipped { reason: reason.clone() },
            (None, None) => KindResult::Collected { objects: tally.taken },
        };
        let left = std::mem::take(&mut tally.left).into_iter().chain(std::mem::take(&mut tally.unneeded));
        let left = left.filter(|(_, count)| *count > 0);
        self.ready.extend(left.map(|(reason, count)| Event::LeftOut { reason, count }));
        self.ready.push_back(Event::Kind(report(&planned.resource, result)));
    }
}

/// The lists, or single objects, a kind is read by.
fn places(planned: &PlannedKind) -> Vec<Place> {
    match &planned.namespaces {
        None => vec![Place::List(Scope::All)],
        Some(names) if planned.round == Round::Namespaces => {
            names.iter().cloned().map(Place::Object).collect()
        }
        Some(names) => names.iter().cloned().map(|name| Place::List(Scope::Namespace(name))).collect(),
    }
}

#[cfg(test)]
mod tests;

//! Reads one list to its end, page by page, whatever the server does in between.
//!
//! In: which list · Out: a stream of `Fetched` · Touches: cluster (read), clock

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::stream::{self, Stream};

use super::plan::PlannedKind;
use crate::domain::object::Manifest;
use crate::engine::retry::{Pace, Patience};
use crate::ports::clock::Clock;
use crate::ports::cluster::{Error, ListRequest, Page, Reader, Scope};

/// How often a list may expire before it counts as failed.
const MOST_EXPIRIES: u32 = 10;

/// Who is asked, and how long.
#[derive(Clone)]
pub struct Source<'a> {
    /// The cluster.
    pub reader: &'a dyn Reader,
    /// Waits.
    pub clock: &'a dyn Clock,
    /// How long one page is asked for again.
    pub patience: Duration,
    /// Set when the server stayed away for as long as that: then nothing else waits for it.
    pub lost: Arc<AtomicBool>,
}

/// What is read.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// Position in [`super::plan::BackupPlan::kinds`].
    pub kind: usize,
    /// The kind.
    pub planned: &'a PlannedKind,
    /// Where.
    pub place: Place,
}

/// Where a job looks.
#[derive(Clone, Debug)]
pub enum Place {
    /// A list.
    List(Scope),
    /// One cluster-scoped object.
    Object(String),
}

/// One piece of news of a job.
#[derive(Debug)]
pub struct Fetched {
    /// Position in [`super::plan::BackupPlan::kinds`].
    pub kind: usize,
    /// What there is.
    pub news: News,
}

/// What a job tells.
#[derive(Debug)]
pub enum News {
    /// A page.
    Page(Vec<Manifest>),
    /// The list was read to its end, or why not. Comes once and last.
    End(Result<(), Error>),
}

/// Reads a job to its end.
///
/// A page is asked for again on 429, 5xx and lost connections. When its token has expired, the list goes on where it
/// was, in the cluster's present state, if the server offers that; else it starts again and passes on only what was
/// not passed on before. Either way an object comes at most once.
pub fn fetch<'a>(source: Source<'a>, job: Job<'a>) -> impl Stream<Item = Fetched> + Send + 'a {
    let cursor = Cursor { source, job, token: None, seen: HashSet::new(), expiries: 0, step: Step::Read };
    stream::unfold(cursor, Cursor::next)
}

struct Cursor<'a> {
    source: Source<'a>,
    job: Job<'a>,
    token: Option<String>,
    seen: HashSet<String>,
    expiries: u32,
    step: Step,
}

enum Step {
    Read,
    Finish,
    Done,
}

impl Cursor<'_> {
    async fn next(mut self) -> Option<(Fetched, Self)> {
        let news = match self.step {
            Step::Done => return None,
            Step::Finish => {
                self.step = Step::Done;
                News::End(Ok(()))
            }
            Step::Read => match self.read().await {
                Ok(objects) => News::Page(objects),
                Err(error) => {
                    self.step = Step::Done;
                    News::End(Err(error))
                }
            },
        };
        Some((Fetched { kind: self.job.kind, news }, self))
    }

    async fn read(&mut self) -> Result<Vec<Manifest>, Error> {
        loop {
            match self.page().await {
                Ok(page) => return self.take(page),
                Err(Error::Expired { next }) if self.expiries < MOST_EXPIRIES => {
                    self.expiries += 1;
                    self.token = next;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, page: Page) -> Result<Vec<Manifest>, Error> {
        let mut objects = page.objects;
        if self.expiries > 0 {
            objects.retain(|object| !self.seen.contains(&place(object)));
        }
        match page.next {
            None => self.step = Step::Finish,
            Some(next) if objects.is_empty() && self.token.as_ref() == Some(&next) => {
                return Err(Error::Garbled("the list does not go on".into()));
            }
            Some(next) => {
                self.seen.extend(objects.iter().map(place));
                self.token = Some(next);
            }
        }
        Ok(objects)
    }

    async fn page(&self) -> Result<Page, Error> {
        let Source { clock, patience, lost, .. } = &self.source;
        let total = if lost.load(Ordering::Relaxed) { Duration::ZERO } else { *patience };
        let mut pace = Pace::new(Patience { total, ..Patience::default() });
        loop {
            let result = self.attempt().await;
            let pause = result.as_ref().err().and_then(|error| pace.pause(clock.now(), error));
            let Some(pause) = pause else {
                lost.store(matches!(result, Err(Error::Unreachable(_))), Ordering::Relaxed);
                return result;
            };
            clock.sleep(pause).await;
        }
    }

    async fn attempt(&self) -> Result<Page, Error> {
        let (reader, planned) = (self.source.reader, self.job.planned);
        match &self.job.place {
            Place::List(scope) => {
                let request = ListRequest {
                    scope: scope.clone(),
                    labels: planned.labels.clone(),
                    managed_fields: planned.managed_fields,
                    limit: planned.page_size,
                    token: self.token.clone(),
                };
                reader.list(&planned.resource, &request).await
            }
            Place::Object(name) => {
                let found = reader.get(&planned.resource, None, name).await?;
                Ok(Page { objects: found.into_iter().collect(), ..Page::default() })
            }
        }
    }
}

fn place(object: &Manifest) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name())
}

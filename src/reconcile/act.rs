//! Carries out one action, and says what came of it.
//!
//! In: `Action`, what is in force · Out: `Event` · Touches: through `App`

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Either, LocalBoxFuture, select};
use jiff::Timestamp;
use tokio::sync::Mutex;

use super::deliver::deliver;
use super::empty::used_by;
use super::event::{Action, Event, Held, News, Ran, Restored, Telling, Unfetched};
use super::lease::{self, Watch};
use super::resources;
use super::under::Under;
use crate::app::wiring::{self, App};
use crate::domain::coverage::Coverage;
use crate::domain::location::AccessMode;
use crate::domain::object::{Placed, Resource};
use crate::domain::policy::PolicySpec;
use crate::domain::snapshot::SnapshotRecord;
use crate::engine::archive::layout;
use crate::engine::backup::flow::Occasion;
use crate::engine::gather::listing::each;
use crate::engine::reach::{Reach, Silent};
use crate::engine::retry::Patience;
use crate::engine::saved::verify::verify as verify_snapshot;
use crate::ports::cluster::Scope;
use crate::ports::git;
use crate::work::failure::Failure;
use crate::work::keep::{Deed, Pruned, proven, prune_archive, rules};
use crate::work::restore::{Deletions, Ended};
use crate::work::stop::Stop;
use crate::work::wanted::Wanted;
use crate::work::{archives, backup, coverage, doors, repository, restore};

/// How long a look at something may take.
const LOOK: Duration = Duration::from_mins(1);
/// How long a look at all namespaces and claims may take.
const COVER: Duration = Duration::from_mins(5);
/// How long a look at the seat may take.
const LEAD: Duration = Duration::from_secs(5);

/// What actions are carried out with.
#[derive(Clone)]
pub struct Hands {
    /// The wiring.
    pub app: Arc<App>,
    /// Name of this replica.
    pub replica: String,
    /// What was seen of the Lease.
    pub watch: Arc<Mutex<Watch>>,
}

/// Carries an action out. Dropping the future is how it is given up; the outside world stays valid.
pub fn act(hands: &Hands, under: Under, action: Action) -> LocalBoxFuture<'static, Event> {
    let hands = hands.clone();
    async move {
        match action {
            Action::Lead => {
                let asked = hands.app.clock.now();
                Event::Led(asked, hands.lead().await)
            }
            Action::Fetch(None) => Event::Fetched(hands.fetch(None).await),
            Action::Fetch(Some(revision)) => Event::Remembered(hands.fetch(Some(&revision)).await),
            Action::List(views) => {
                let list = async |reach: Reach<'_>, home: &str| resources::list(&reach, home, views).await;
                Event::Listed(hands.at_home(list).await)
            }
            Action::Recall(policy) => {
                let records = hands.recall(&under, &policy).await;
                Event::Recalled(policy, records)
            }
            Action::Run { policy, due, name, stop } => {
                hands.run(&under, policy, Occasion { due, name }, stop).await
            }
            Action::Check(location) => {
                let reached = hands.within(LOOK, hands.check(&under, &location)).await;
                Event::Checked(location, reached)
            }
            Action::Prune(location) => {
                let held = hands.prune(&under, &location).await.map_err(|failure| failure.line());
                Event::Pruned(location, held)
            }
            Action::Verify(location, record) => {
                let found = hands.verify(&under, &location, &record).await.map_err(|failure| failure.line());
                Event::Verified(location, record, found)
            }
            Action::Look(request) => {
                let empty = hands.within(LOOK, hands.look()).await;
                Event::Looked(request, empty)
            }
            Action::Restore(request, stop) => {
                let result = hands.restore(&under, &request, &stop).await.map_err(|failure| failure.line());
                Event::Restored(request, result)
            }
            Action::Tell(telling) => hands.tell(&under, telling).await,
            Action::Cover => Event::Covered(hands.cover(&under).await),
        }
    }
    .boxed_local()
}

impl Hands {
    /// A limit for what must not hang.
    async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, String> {
        let timer = self.app.clock.sleep(limit);
        match select(std::pin::pin!(work), timer).await {
            Either::Left((done, _)) => done.map_err(|failure| failure.line()),
            Either::Right(_) => Err(format!("no answer within {} s", limit.as_secs())),
        }
    }

    /// Calls the API server about Backstay's own namespace; patient for seconds, not minutes, because it is tried again anyway.
    async fn at_home<T>(
        &self,
        call: impl AsyncFnOnce(Reach<'_>, &str) -> Result<T, crate::ports::cluster::Error>,
    ) -> Result<T, String> {
        let work = async {
            let reach = doors::reach(&self.app, &Silent).await?;
            let patience = Patience { total: Duration::from_secs(5), ..Patience::default() };
            let answer = call(Reach { patience, ..reach }, &self.app.settings.namespace).await;
            answer.map_err(|error| Failure::failed(&error))
        };
        self.within(LOOK, work).await
    }

    /// Writes statuses, views and events.
    async fn tell(&self, under: &Under, telling: Telling) -> Event {
        match telling {
            Telling::Write(key, json) => {
                let write = async |reach: Reach<'_>, home: &str| {
                    resources::write_status(&reach, home, &key, &json).await
                };
                let result = self.at_home(write).await;
                Event::Written(key, json, result)
            }
            Telling::Show(key, json) => {
                let show =
                    async |reach: Reach<'_>, home: &str| resources::show(&reach, home, &key, &json).await;
                let result = self.at_home(show).await;
                Event::Shown(key, Some(json), result)
            }
            Telling::Hide(key) => {
                let hide = async |reach: Reach<'_>, home: &str| resources::hide(&reach, home, &key).await;
                let result = self.at_home(hide).await;
                Event::Shown(key, None, result)
            }
            Telling::Release(key) => {
                let release =
                    async |reach: Reach<'_>, home: &str| resources::release(&reach, home, &key).await;
                let result = self.at_home(release).await;
                Event::Shown(key, None, result)
            }
            Telling::Knock => {
                let value = self.app.clock.now().to_string();
                let knock =
                    async |reach: Reach<'_>, home: &str| resources::request(&reach, home, &value).await;
                Event::Announced(self.at_home(knock).await)
            }
            Telling::Announce(news) => Event::Announced(self.announce(&news, &under.uid).await),
            Telling::Notify(notice) => {
                let told = deliver(self.app.http.as_ref(), self.app.clock.as_ref(), &notice).await;
                Event::Notified(notice, told)
            }
        }
    }

    async fn lead(&self) -> Result<lease::Seat, String> {
        let work = async {
            let reach = doors::reach(&self.app, &Silent).await?;
            let mut watch = self.watch.lock().await;
            let seat = lease::knock(&reach, (&self.app.settings.namespace, &self.replica), &mut watch).await;
            seat.map_err(|error| Failure::failed(&error))
        };
        self.within(LEAD, work).await
    }

    async fn fetch(
        &self,
        revision: Option<&str>,
    ) -> Result<crate::engine::policy::repository::Repository, Unfetched> {
        let reference = revision.or(self.app.settings.policy_ref.as_deref());
        let opening = repository::open_at(&self.app, repository::policy_path(&self.app), reference);
        let answer = self.within(LOOK, async { Ok(opening.await) }).await?;
        answer.map_err(|failure| Unfetched { why: failure.line(), distrusts: failure.distrusts })
    }

    /// Earlier snapshots of a policy at all its archives.
    async fn recall(&self, under: &Under, policy: &str) -> Result<Vec<SnapshotRecord>, String> {
        let Some(spec) = under.force.set.policies.get(policy) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for location in &spec.locations {
            let records = self.within(LOOK, self.records(under, location)).await?;
            found.extend(records.into_iter().filter(|record| record.policy.name == policy));
        }
        Ok(found)
    }

    /// Snapshots of this cluster at an archive; a mirror has none.
    async fn records(&self, under: &Under, location: &str) -> Result<Vec<SnapshotRecord>, Failure> {
        let Some(spec) = under.force.set.locations.get(location).filter(|spec| spec.archive.is_some()) else {
            return Ok(Vec::new());
        };
        let cluster = archives::cluster_name(&self.app).await?;
        let bucket = archives::bucket(&self.app, location, spec).await?;
        let listing = layout::list(bucket.as_ref(), Some(&cluster)).await.map_err(|e| Failure::failed(&e))?;
        let uid = self.uid().await?;
        Ok(listing.records.into_iter().filter(|record| record.cluster.uid == uid).collect())
    }

    async fn uid(&self) -> Result<String, Failure> {
        let cluster = self.app.cluster().await.map_err(|e| Failure::of(&e))?;
        Ok(cluster.reader.server().await.map_err(|e| Failure::failed(&e))?.uid)
    }

    async fn run(&self, under: &Under, policy: String, occasion: Occasion, stop: Stop) -> Event {
        let (due, started) = (occasion.due, self.app.clock.now());
        let result = match self.backup(under, &policy, occasion, &stop).await {
            Ok(ran) => ran,
            Err(failure) => Ran::Nothing(failure.line()),
        };
        Event::Ran { policy, due, started, result }
    }

    async fn backup(
        &self,
        under: &Under,
        policy: &str,
        occasion: Occasion,
        stop: &Stop,
    ) -> Result<Ran, Failure> {
        let set = &under.force.set;
        let Some(spec) = set.policies.get(policy) else {
            return Err(Failure::stopped("the policy is not in force any more"));
        };
        let (open, made) = self.still_open(under, (policy, spec), occasion.due).await;
        if let (true, Some(made)) = (open.is_empty(), made) {
            return Ok(Ran::Made(Box::new(made)));
        }
        let spec = PolicySpec { locations: open, ..spec.clone() };
        let report = backup::carry_out(&self.app, set, (policy, &spec), (occasion, stop)).await?;
        Ok(Ran::Report(Box::new(report)))
    }

    /// Locations of a policy where nobody has made the snapshot of a due time yet, and the record of one that somebody has.
    async fn still_open(
        &self,
        under: &Under,
        (policy, spec): (&str, &PolicySpec),
        due: Option<Timestamp>,
    ) -> (Vec<String>, Option<SnapshotRecord>) {
        let (mut open, mut made) = (Vec::new(), None);
        for location in &spec.locations {
            let archive = under.force.set.locations.get(location).is_some_and(|spec| spec.archive.is_some());
            let record = match due.filter(|_| archive) {
                Some(due) => {
                    let asked = backup::made_before(&self.app, &under.force.set, (policy, location), due);
                    // One that cannot be asked now has its say in the report of the run.
                    self.within(LOOK, asked).await.ok().flatten()
                }
                None => None,
            };
            match record {
                Some(record) => made = Some(record),
                None => open.push(location.clone()),
            }
        }
        (open, made)
    }

    /// Whether a location can be reached and used.
    async fn check(&self, under: &Under, location: &str) -> Result<(), Failure> {
        let Some(spec) = under.force.set.locations.get(location) else { return Ok(()) };
        if let Some(mirror) = &spec.mirror {
            return match self.app.mirror_tree(location, spec, mirror, &mirror.branch).await {
                // The first backup makes the branch.
                Ok(_) | Err(wiring::Error::Git { source: git::Error::NoReference { .. }, .. }) => Ok(()),
                Err(error) => Err(Failure::of(&error)),
            };
        }
        let bucket = archives::bucket(&self.app, location, spec).await?;
        layout::check_marker(bucket.as_ref()).await.map(drop).map_err(|e| Failure::failed(&e))
    }

    async fn prune(&self, under: &Under, location: &str) -> Result<Held, Failure> {
        let set = &under.force.set;
        let (name, spec) = crate::work::choose::archive(set, Some(location))?;
        let deed = match spec.access_mode {
            AccessMode::ReadWrite => Deed::Trust(self.uid().await?, under.expected.clone()),
            AccessMode::ReadOnly => Deed::Show,
        };
        let rules = proven(rules(set, None)?, &under.proofs);
        let Pruned { mut records, plan: _, report } =
            prune_archive(&self.app, (name, spec), &rules, (&deed, &under.known)).await?;
        if let Some(report) = &report {
            records.retain(|record| !report.deleted.iter().any(|gone| gone.snapshot == record.id.as_str()));
        }
        Ok(Held { records, pruned: report })
    }

    /// Everything that is wrong with a snapshot; without identities its files and digests only.
    async fn verify(
        &self,
        under: &Under,
        location: &str,
        record: &SnapshotRecord,
    ) -> Result<Vec<String>, Failure> {
        let (name, spec) = crate::work::choose::archive(&under.force.set, Some(location))?;
        let bucket = archives::bucket(&self.app, name, spec).await?;
        let mut report = verify_snapshot(bucket.clone(), record.clone(), None).await;
        if !report.is_good() {
            // It may have been deleted meanwhile, or the storage did not answer for a moment.
            layout::record(bucket.as_ref(), &record.cluster.name, &record.id)
                .await
                .map_err(|e| Failure::failed(&e))?;
            report = verify_snapshot(bucket, record.clone(), None).await;
        }
        let damaged =
            report.findings.iter().map(|found| format!("{}: {}", found.place, found.problem)).collect();
        Ok(damaged)
    }

    /// Whether the cluster is empty.
    async fn look(&self) -> Result<bool, Failure> {
        let cluster = self.app.cluster().await.map_err(|e| Failure::of(&e))?;
        let kind = Resource::well_known("v1", "Namespace", "namespaces", Placed::InCluster);
        let mut found = Vec::new();
        let listed =
            each(cluster.reader.as_ref(), &kind, &Scope::All, "", |namespace| found.push(namespace)).await;
        listed.map_err(|e| Failure::failed(&e))?;
        let used = used_by(&found, &self.app.settings.namespace);
        if let Some(namespace) = used {
            tracing::info!(namespace, "the cluster is not empty");
        }
        Ok(used.is_none())
    }

    async fn cover(&self, under: &Under) -> Result<Coverage, String> {
        self.within(COVER, coverage::coverage(&self.app, &under.force.set)).await
    }

    async fn announce(&self, news: &News, uid: &str) -> Result<(), String> {
        let tell = async |reach: Reach<'_>, home: &str| {
            resources::announce(&reach, (home, &self.replica), (news, uid)).await
        };
        self.at_home(tell).await
    }

    async fn restore(&self, under: &Under, request: &str, stop: &Stop) -> Result<Restored, Failure> {
        let set = &under.force.set;
        let wanted = Wanted::request(set, request)?;
        let reach = doors::reach(&self.app, &Silent).await?;
        // What is in the repository was agreed to when it was merged there.
        let ended = restore::carry_out(&self.app, (set, &wanted), (Deletions::Allowed, stop), &reach).await?;
        Ok(match ended {
            Ended::Before(run) => Restored::Before(run),
            Ended::Now(report) => Restored::Now(report),
        })
    }

    /// Leaves the seat.
    pub async fn leave(&self) {
        let leave = async |reach: Reach<'_>, home: &str| lease::leave(&reach, home, &self.replica).await;
        if let Err(reason) = self.at_home(leave).await {
            tracing::warn!("cannot leave the lead: {reason}");
        }
    }
}

//! Which replica leads: a `Lease` in Backstay's namespace, as the controllers of Kubernetes have it.
//!
//! In: `Reach` · Out: `Seat` · Touches: cluster (read and write), clock
//!
//! Clocks of two machines are never compared: a lease is free when nobody has changed it for its length while this replica
//! watched.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::domain::object::{Json, Manifest, Placed, Resource};
use crate::engine::reach::Reach;
use crate::ports::cluster::{self, Mode, Patch, Place};

/// How long a leader that is silent keeps its seat.
pub const LENGTH: Duration = Duration::from_secs(15);
/// How long a leader trusts its seat after it was confirmed; shorter than [`LENGTH`], so that it stops before another begins.
pub const TRUST: Duration = Duration::from_secs(10);
/// How often a leader confirms its seat, and others look.
pub const PACE: Duration = Duration::from_secs(2);

/// Name of the Lease.
const NAME: &str = "backstay";

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seat {
    /// This replica.
    Ours,
    /// Another one, by its name.
    Taken(String),
}

/// What a replica has seen of the lease.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    version: String,
    since: Option<Timestamp>,
}

/// Takes the seat if it is free, keeps it if it is ours.
///
/// # Errors
/// The API server does not answer, or refuses.
pub async fn knock(
    reach: &Reach<'_>,
    (namespace, me): (&str, &str),
    watch: &mut Watch,
) -> Result<Seat, cluster::Error> {
    let now = reach.clock.now();
    let Some(lease) = reach.reader.get(&leases(), Some(namespace), NAME).await? else {
        return match reach.writer.create(&leases(), &lease((namespace, me), now, 0)?, Mode::Real).await {
            Ok(_) => Ok(Seat::Ours),
            Err(cluster::Error::AlreadyExists) => Ok(Seat::Taken(String::new())),
            Err(error) => Err(error),
        };
    };
    let text = |pointer: &str| lease.at(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
    let (holder, version) = (text("/spec/holderIdentity"), text("/metadata/resourceVersion"));
    if watch.version != version {
        *watch = Watch { version: version.clone(), since: Some(now) };
    }
    if watch.since.is_some_and(|since| since > now) {
        // The clock went back: it is watched anew.
        watch.since = Some(now);
    }
    let silent = watch.since.is_none_or(|since| now.duration_since(since).unsigned_abs() >= LENGTH);
    if holder != me && !holder.is_empty() && !silent {
        return Ok(Seat::Taken(holder));
    }
    let changes = lease.at("/spec/leaseTransitions").and_then(Json::as_u64).unwrap_or_default();
    let changes = if holder == me { changes } else { changes + 1 };
    take((namespace, me), (&version, &holder), changes, reach).await
}

async fn take(
    (namespace, me): (&str, &str),
    (version, holder): (&str, &str),
    changes: u64,
    reach: &Reach<'_>,
) -> Result<Seat, cluster::Error> {
    let mut spec = spec(me, reach.clock.now(), changes);
    if holder == me {
        spec.as_object_mut().map(|spec| spec.shift_remove("acquireTime"));
    }
    let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "spec": spec}));
    let place = Place { namespace: Some(namespace), name: NAME, subresource: "" };
    match reach.writer.patch(&leases(), place, &patch, Mode::Real).await {
        Ok(_) => Ok(Seat::Ours),
        // On one's own seat: an earlier write arrived late. What is sure stays sure until the next look.
        Err(cluster::Error::Conflict(_)) if holder != me => Ok(Seat::Taken(holder.to_owned())),
        Err(error) => Err(error),
    }
}

/// Leaves the seat, so that another replica need not wait.
///
/// # Errors
/// The API server does not answer, or refuses.
pub async fn leave(reach: &Reach<'_>, namespace: &str, me: &str) -> Result<(), cluster::Error> {
    let patch = Patch::Json(vec![
        json!({"op": "test", "path": "/spec/holderIdentity", "value": me}),
        json!({"op": "replace", "path": "/spec/holderIdentity", "value": ""}),
    ]);
    let place = Place { namespace: Some(namespace), name: NAME, subresource: "" };
    match reach.writer.patch(&leases(), place, &patch, Mode::Real).await {
        Ok(_) | Err(cluster::Error::NotFound(_) | cluster::Error::Invalid(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn lease((namespace, me): (&str, &str), now: Timestamp, changes: u64) -> Result<Manifest, cluster::Error> {
    let object = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": spec(me, now, changes),
    });
    Manifest::parse(object).map_err(|error| cluster::Error::Garbled(error.to_string()))
}

fn spec(me: &str, now: Timestamp, changes: u64) -> Json {
    let time = format!("{now:.6}");
    json!({
        "holderIdentity": me,
        "leaseDurationSeconds": LENGTH.as_secs(),
        "acquireTime": time,
        "renewTime": time,
        "leaseTransitions": changes,
    })
}

fn leases() -> Resource {
    Resource::well_known("coordination.k8s.io/v1", "Lease", "leases", Placed::InNamespaces)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::adapters::memory::clock::FakeClock;
    use crate::adapters::memory::cluster::Cluster;

    struct Two {
        clock: Arc<FakeClock>,
        cluster: Cluster,
        seen: [Watch; 2],
    }

    impl Two {
        fn new() -> Self {
            let clock = Arc::new(FakeClock::at("2026-11-27T10:00:00Z".parse().unwrap()));
            Self { cluster: Cluster::new(clock.clone()), clock, seen: [Watch::default(), Watch::default()] }
        }

        async fn knock(&mut self, who: usize) -> Seat {
            let reach = Reach::new(&self.cluster, &self.cluster, self.clock.as_ref());
            knock(&reach, ("default", ["a", "b"][who]), &mut self.seen[who]).await.unwrap()
        }
    }

    #[tokio::test]
    async fn one_leads_and_the_other_waits_until_it_is_silent() {
        let mut two = Two::new();
        assert_eq!(two.knock(0).await, Seat::Ours);
        assert_eq!(two.knock(1).await, Seat::Taken("a".into()));
        for _ in 0..10 {
            two.clock.advance(Duration::from_secs(10));
            assert_eq!(two.knock(0).await, Seat::Ours, "it keeps its seat while it confirms it");
            assert_eq!(two.knock(1).await, Seat::Taken("a".into()));
        }
        two.clock.advance(Duration::from_secs(14));
        assert_eq!(two.knock(1).await, Seat::Taken("a".into()));
        two.clock.advance(Duration::from_secs(1));
        assert_eq!(two.knock(1).await, Seat::Ours);
        assert_eq!(two.knock(0).await, Seat::Taken("b".into()), "the old leader sees that it lost its seat");
    }

    #[tokio::test]
    async fn a_replica_that_just_came_does_not_trust_old_times() {
        let mut two = Two::new();
        assert_eq!(two.knock(0).await, Seat::Ours);
        two.clock.advance(Duration::from_hours(1));
        assert_eq!(two.knock(1).await, Seat::Taken("a".into()), "it has to watch first");
    }

    #[tokio::test]
    async fn a_seat_that_was_left_is_free_at_once() {
        let mut two = Two::new();
        assert_eq!(two.knock(0).await, Seat::Ours);
        let reach = Reach::new(&two.cluster, &two.cluster, two.clock.as_ref());
        leave(&reach, "default", "b").await.unwrap();
        assert_eq!(two.knock(1).await, Seat::Taken("a".into()), "only its holder leaves it");
        let reach = Reach::new(&two.cluster, &two.cluster, two.clock.as_ref());
        leave(&reach, "default", "a").await.unwrap();
        assert_eq!(two.knock(1).await, Seat::Ours);
    }
}

//! Decides which snapshots are kept, and says why.
//!
//! In: records, `Retention`, a time zone, now · Out: `Verdict` · Touches: nothing

use std::collections::BTreeSet;
use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Serialize, Serializer};

use crate::domain::duration::Duration;
use crate::domain::identity::SnapshotId;
use crate::domain::report::Outcome;
use crate::domain::retention::Retention;
use crate::domain::snapshot::SnapshotRecord;

/// How a policy's snapshots are kept.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its rules; the default keeps everything.
    pub retention: Retention,
    /// Its time zone.
    pub zone: TimeZone,
    /// What reading back has shown; the default knows nothing.
    pub proof: Proof,
}

/// What reading back has shown of a policy's snapshots at a location.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// The last one in which nothing was wrong.
    pub sound: Option<SnapshotId>,
    /// The last one, where something was wrong with it.
    pub damaged: Option<SnapshotId>,
}

/// What becomes of one snapshot.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Cluster.
    pub cluster: String,
    /// Policy.
    pub policy: String,
    /// Snapshot.
    pub snapshot: SnapshotId,
    /// When its run started.
    pub started: Timestamp,
    /// How the run went.
    pub outcome: Outcome,
    /// Why it is kept; empty: no rule keeps it, and it may be deleted.
    pub kept: Vec<Reason>,
}

/// Why a snapshot is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its policy says nothing of retention.
    NoRules,
    /// The policy repository has no policy of this name, so nothing is known of its retention.
    NoPolicy,
    /// Another cluster of this name made it, before this one took the name over.
    Earlier,
    /// It is the newest Complete one.
    Newest,
    /// It is the newest one, and there is no Complete one.
    OnlyHope,
    /// It is the last one that was read back and is sound.
    Sound,
    /// It was read back last and is damaged: somebody has to look at it.
    Damaged,
    /// It started later than now.
    Future,
    /// It is younger than this.
    Ttl(Duration),
    /// It is one of so many newest ones.
    Last(u32),
    /// It is the newest one of a period, such as `daily 2026-11-21`.
    Period(Period, String),
}

/// A period of which one snapshot is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// An hour.
    Hourly,
    /// A day in the policy's time zone.
    Daily,
    /// An ISO week, from Monday.
    Weekly,
    /// A month.
    Monthly,
    /// A year.
    Yearly,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRules => f.write_str("the policy has no retention rules"),
            Self::NoPolicy => f.write_str("the policy is not in the policy repository"),
            Self::Earlier => f.write_str("made by an earlier cluster of this name"),
            Self::Newest => f.write_str("newest Complete"),
            Self::OnlyHope => f.write_str("newest, and none is Complete"),
            Self::Sound => f.write_str("last verified"),
            Self::Damaged => f.write_str("damaged"),
            Self::Future => f.write_str("from the future"),
            Self::Ttl(ttl) => write!(f, "younger than {ttl}"),
            Self::Last(count) => write!(f, "one of the last {count}"),
            Self::Period(period, name) => write!(f, "{period} {name}"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        })
    }
}

impl Period {
    /// The name of the period a moment is in; two moments are in one period if the names are equal.
    fn name(self, moment: &Zoned) -> String {
        match self {
            Self::Hourly => moment.strftime("%Y-%m-%d %H:00%:z").to_string(), // the offset tells the two hours 2 apart
            Self::Daily => moment.strftime("%Y-%m-%d").to_string(),
            Self::Weekly => moment.strftime("%G-W%V").to_string(),
            Self::Monthly => moment.strftime("%Y-%m").to_string(),
            Self::Yearly => moment.strftime("%Y").to_string(),
        }
    }
}

/// Judges the snapshots of one policy in one cluster, newest first.
///
/// A snapshot is kept while any rule keeps it. Days and longer periods are cut in the policy's time zone. The newest Complete
/// snapshot is always kept; where there is none, the newest Partial one. Failed runs count for nothing but `ttl`. Partial
/// snapshots never take the place of a Complete one: `keepLast` takes Partial ones only while no Complete one is newer, and a
/// period falls to its newest Complete snapshot, else to its newest Partial one; such periods are counted apart. A snapshot
/// from the future is kept and counts for nothing, and so does one that was found damaged; the last one that was found sound is kept.
/// Never fails, deletes nothing.
pub fn retain(snapshots: &[SnapshotRecord], rule: &Rule, now: Timestamp) -> Vec<Verdict> {
    let Rule { retention: rules, zone, proof } = rule;
    let mut verdicts: Vec<Verdict> = snapshots.iter().map(unjudged).collect();
    verdicts.sort_by(|a, b| (b.started, &b.snapshot).cmp(&(a.started, &a.snapshot)));
    let Retention { ttl, keep_last, keep_hourly, keep_daily, keep_weekly, keep_monthly, keep_yearly } = rules;
    let periods = [
        (Period::Hourly, keep_hourly),
        (Period::Daily, keep_daily),
        (Period::Weekly, keep_weekly),
        (Period::Monthly, keep_monthly),
        (Period::Yearly, keep_yearly),
    ];
    if *rules == Retention::default() {
        return verdicts
            .into_iter()
            .map(|verdict| Verdict { kept: vec![Reason::NoRules], ..verdict })
            .collect();
    }
    let mut past = Vec::new();
    for verdict in &mut verdicts {
        if verdict.started > now {
            verdict.kept.push(Reason::Future);
        } else if proof.damaged.as_ref() == Some(&verdict.snapshot) {
            verdict.kept.push(Reason::Damaged);
        } else {
            past.push(verdict);
        }
    }
    keep_newest(&mut past);
    if let Some(sound) = past.iter_mut().find(|verdict| proof.sound.as_ref() == Some(&verdict.snapshot)) {
        sound.kept.push(Reason::Sound);
    }
    if let Some(ttl) = ttl {
        keep_young(&mut past, *ttl, now);
    }
    if let Some(count) = keep_last {
        keep_last_ones(&mut past, *count);
    }
    for (period, count) in periods {
        keep_periods(&mut past, period, count.unwrap_or_default(), zone);
    }
    verdicts
}

/// A verdict before any rule was asked.
pub(super) fn unjudged(record: &SnapshotRecord) -> Verdict {
    Verdict {
        cluster: record.cluster.name.clone(),
        policy: record.policy.name.clone(),
        snapshot: record.id.clone(),
        started: record.started,
        outcome: record.outcome,
        kept: Vec::new(),
    }
}

fn keep_newest(past: &mut [&mut Verdict]) {
    let newest = |past: &[&mut Verdict], outcome| past.iter().position(|verdict| verdict.outcome == outcome);
    if let Some(position) = newest(past, Outcome::Complete) {
        past[position].kept.push(Reason::Newest);
    } else if let Some(position) = newest(past, Outcome::Partial) {
        past[position].kept.push(Reason::OnlyHope);
    }
}

fn keep_young(past: &mut [&mut Verdict], ttl: Duration, now: Timestamp) {
    for verdict in past {
        let age = now.duration_since(verdict.started).unsigned_abs();
        if age < ttl.as_std() {
            verdict.kept.push(Reason::Ttl(ttl));
        }
    }
}

fn keep_last_ones(past: &mut [&mut Verdict], count: u32) {
    let (mut complete, mut partial) = (0, 0);
    for verdict in past {
        let counted = match verdict.outcome {
            Outcome::Complete => &mut complete,
            Outcome::Partial if complete == 0 => &mut partial,
            Outcome::Partial | Outcome::Failed => continue,
        };
        if *counted < count {
            *counted += 1;
            verdict.kept.push(Reason::Last(count));
        }
    }
}

fn keep_periods(past: &mut [&mut Verdict], period: Period, count: u32, zone: &TimeZone) {
    let name = |verdict: &Verdict| period.name(&verdict.started.to_zoned(zone.clone()));
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let with_complete: BTreeSet<String> = past
        .iter()
        .filter(|verdict| verdict.outcome == Outcome::Complete)
        .map(|verdict| name(verdict))
        .collect();
    let (mut complete, mut partial) = (0, 0);
    for verdict in past {
        let name = name(verdict);
        let counted = match verdict.outcome {
            Outcome::Complete => &mut complete,
            Outcome::Partial if !with_complete.contains(&name) => &mut partial,
            Outcome::Partial | Outcome::Failed => continue,
        };
        if *counted < count && taken.insert(name.clone()) {
            *counted += 1;
            verdict.kept.push(Reason::Period(period, name));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

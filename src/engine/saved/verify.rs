//! Verifies a snapshot: every file against its digest, and with an identity every object against the index.
//!
//! It never stops at the first finding. What it finds is a value; an `Err` does not exist.
//!
//! In: a record, identities · Out: `VerifyReport` · Touches: bucket (read)

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::files::{self, Files};
use super::step;
use crate::domain::identity::SnapshotId;
use crate::domain::object::ObjectKey;
use crate::domain::report::{BackupReport, KindResult};
use crate::domain::snapshot::{Index, PartRef, SnapshotRecord};
use crate::engine::archive::layout::{self, RECORD};
use crate::engine::archive::part::{self, PartReader};
use crate::engine::pool::compute;
use crate::engine::seal::age::Identities;
use crate::ports::bucket::Bucket;

/// How much JSON is decoded at a time.
const STEP_BYTES: usize = 4 << 20;

/// What verifying a snapshot has shown. It is good if there is no finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// Snapshot.
    pub snapshot: SnapshotId,
    /// How far it could be looked into.
    pub depth: Depth,
    /// Files that were read and are what was written.
    pub files: u64,
    /// Objects that were read and are what was written.
    pub objects: u64,
    /// Bytes that were fetched.
    pub bytes: u64,
    /// Why it could not be looked into although that was asked for: the identities are not those of its recipients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked: Option<String>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl VerifyReport {
    /// Whether nothing is wrong with what was looked at.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }
}

/// How far a snapshot could be looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Depth {
    /// Without an identity: files and digests.
    Digests,
    /// With an identity: every object too.
    Objects,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// File or object.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Verifies one snapshot; without identities only what can be seen from outside.
pub async fn verify(
    bucket: Arc<dyn Bucket>,
    record: SnapshotRecord,
    identities: Option<Arc<Identities>>,
) -> VerifyReport {
    let depth = if identities.is_some() { Depth::Objects } else { Depth::Digests };
    let report = VerifyReport {
        snapshot: record.id.clone(),
        depth,
        files: 0,
        objects: 0,
        bytes: 0,
        locked: None,
        findings: Vec::new(),
    };
    let files = match Files::of(bucket.clone(), record.clone()) {
        Ok(files) => files,
        Err(error) => return Verifying { report, record }.done(RECORD, &problem(&error)),
    };
    let mut work = Verifying { report, record };
    work.listing(bucket.as_ref()).await;
    match identities {
        None => work.digests(&files).await,
        Some(identities) => work.objects(&files, &identities).await,
    }
    work.report.findings.sort();
    work.report
}

struct Verifying {
    report: VerifyReport,
    record: SnapshotRecord,
}

impl Verifying {
    fn done(mut self, place: &str, problem: &str) -> VerifyReport {
        self.find(place, problem);
        self.report
    }

    fn find(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.report.findings.push(Finding { place: place.into(), problem: problem.into() });
    }

    /// Files that no record names are a finding, but for those of another attempt at a scheduled run, which lost.
    async fn listing(&mut self, bucket: &dyn Bucket) {
        let Ok(folder) = layout::folder(&self.record.cluster.name, &self.record.id) else { return };
        let entries = match bucket.list(&folder).await {
            Ok(entries) => entries,
            Err(error) => return self.find(folder, error.to_string()),
        };
        let known: BTreeSet<&str> =
            files_of(&self.record).map(|file| file.name.as_str()).chain([RECORD]).collect();
        let name = |key: &str| key.strip_prefix(&format!("{folder}/")).unwrap_or(key).to_owned();
        let names: Vec<String> = entries.iter().map(|entry| name(&entry.key)).collect();
        let scheduled = layout::is_of_an_attempt(&self.record.index.name);
        let lost = |name: &String| scheduled && layout::is_of_an_attempt(name);
        let strangers: Vec<String> =
            names.into_iter().filter(|name| !known.contains(name.as_str()) && !lost(name)).collect();
        for stranger in strangers {
            self.find(stranger, "the record does not name this file");
        }
    }

    async fn digests(&mut self, files: &Files) {
        for file in files_of(&self.record.clone()) {
            match files.read(file).await {
                Ok(bytes) => self.count(bytes.len() as u64),
                Err(error) => self.find(&file.name, problem(&error)),
            }
        }
    }

    fn count(&mut self, bytes: u64) {
        self.report.files += 1;
        self.report.bytes += bytes;
    }

    async fn objects(&mut self, files: &Files, identities: &Arc<Identities>) {
        let record = self.record.clone();
        if let Err(error @ files::Error::WrongIdentity { .. }) = files.index(identities).await {
            self.report.depth = Depth::Digests;
            self.report.locked = Some(error.to_string());
            return self.digests(files).await;
        }
        match files.report(identities).await {
            Ok(report) => {
                self.count(record.report.bytes);
                self.compare_report(&report);
            }
            Err(error) => self.find(&record.report.name, problem(&error)),
        }
        let index = match files.index(identities).await {
            Ok(index) => index,
            Err(error) => {
                self.find(&record.index.name, problem(&error));
                for file in &record.parts {
                    self.one_digest(files, file).await;
                }
                return;
            }
        };
        self.count(record.index.bytes);
        self.compare_counts(&index);
        for (number, file) in record.parts.iter().enumerate() {
            self.part(files, identities, expected(&index, number), file).await;
        }
    }

    async fn one_digest(&mut self, files: &Files, file: &PartRef) {
        match files.read(file).await {
            Ok(bytes) => self.count(bytes.len() as u64),
            Err(error) => self.find(&file.name, problem(&error)),
        }
    }

    fn compare_report(&mut self, report: &BackupReport) {
        let record = &self.record;
        let same = report.snapshot == record.id
            && report.cluster == record.cluster
            && report.policy == record.policy
            && report.outcome == record.outcome
            && report.kinds == record.kinds;
        if !same {
            self.find(self.record.report.name.clone(), "it is not the report of this record");
        }
    }

    /// Compares what the record says of each kind with what the index holds.
    fn compare_counts(&mut self, index: &Index) {
        let mut held: BTreeMap<String, u64> = BTreeMap::new();
        for entry in &index.objects {
            *held.entry(index.resources[entry.resource].full_name()).or_default() += 1;
        }
        let mut told: BTreeMap<String, Option<u64>> = BTreeMap::new();
        for kind in &self.record.kinds {
            let count = told.entry(kind.resource.clone()).or_insert(Some(0));
            *count = match kind.result {
                KindResult::Collected { objects } => count.map(|count| count + objects),
                KindResult::Skipped { .. } => *count,
                KindResult::Failed { .. } => None, // any number may have come before it failed
            };
        }
        let kinds: BTreeSet<&String> = held.keys().chain(told.keys()).collect();
        for kind in kinds {
            let found = held.get(kind).copied().unwrap_or_default();
            if let Some(told) = told.get(kind).copied().unwrap_or(Some(0)).filter(|told| *told != found) {
                let problem = format!("it names {found} {kind}, the record {told}");
                self.report.findings.push(Finding { place: self.record.index.name.clone(), problem });
            }
        }
    }

    async fn part(&mut self, files: &Files, identities: &Arc<Identities>, left: Expected, file: &PartRef) {
        let reader = match files.part(file, identities).await {
            Ok(reader) => reader,
            Err(error) => return self.find(&file.name, problem(&error)),
        };
        let mut step = Step { reader, left, good: 0, found: Vec::new(), end: None };
        while step.end.is_none() {
            step = compute(move || step.decode()).await;
        }
        self.report.objects += step.good;
        let found = std::mem::take(&mut step.found);
        self.report.findings.extend(found);
        match step.end {
            Some(Err(error)) => {
                let source = files.broken(file, error);
                self.find(&file.name, problem(&source));
            }
            Some(Ok(())) | None => self.count(file.bytes),
        }
        for (key, _) in step.left.into_values() {
            self.find(key.to_string(), format!("it is not in {}", file.name));
        }
    }
}

/// Key and digest of every object that should be in a part, by path.
type Expected = HashMap<String, (ObjectKey, String)>;

fn expected(index: &Index, part: usize) -> Expected {
    let entries = index.objects.iter().filter(|entry| entry.part == part);
    let entries = entries.map(|entry| {
        let kind = index.resources[entry.resource].full_name();
        let path = part::path(&kind, entry.key.namespace.as_deref(), &entry.key.name);
        (path, (entry.key.clone(), entry.sha256.clone()))
    });
    entries.collect()
}

/// A part that is being read.
struct Step {
    reader: PartReader,
    left: Expected,
    good: u64,
    found: Vec<Finding>,
    end: Option<Result<(), part::Error>>,
}

impl Step {
    /// Decodes the next objects, about [`STEP_BYTES`] of them.
    fn decode(mut self) -> Self {
        let mut bytes = 0;
        while bytes < STEP_BYTES {
            let (path, content) = match self.reader.next(|_| true) {
                Ok(Some(found)) => found,
                Ok(None) => {
                    self.end = Some(Ok(()));
                    break;
                }
                Err(error) => {
                    self.end = Some(Err(error));
                    break;
                }
            };
            bytes += content.len();
            let Some((key, sha256)) = self.left.remove(&path) else {
                self.found.push(Finding { place: path, problem: "the index does not name it here".into() });
                continue;
            };
            match step::object(&key, &sha256, &content) {
                Ok(_) => self.good += 1,
                Err(problem) => self.found.push(Finding { place: key.to_string(), problem }),
            }
        }
        self
    }
}

fn files_of(record: &SnapshotRecord) -> impl Iterator<Item = &PartRef> {
    record.parts.iter().chain([&record.index, &record.report])
}

/// What is wrong with a file: the causes only, because the finding names the file.
fn problem(error: &dyn std::error::Error) -> String {
    let mut cause = error.source();
    let mut text = if cause.is_none() { error.to_string() } else { String::new() };
    while let Some(next) = cause {
        let colon = if text.is_empty() { "" } else { ": " };
        text = format!("{text}{colon}{next}");
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests;

//! Turns attempts into what a report may show: what they printed, masked by the Secrets of their namespaces.
//!
//! Where Secrets cannot be read, nothing that was printed is shown.
//!
//! In: `Stepped`, a `Target` · Out: `HookRun`s · Touches: cluster (read)

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::doors::Doors;
use super::mask::Mask;
use super::step::Stepped;
use super::survey::{self, list};
use super::targets::Target;
use crate::domain::hook::HookSpec;
use crate::domain::hook_report::HookRun;
use crate::domain::object::{Json, Manifest};
use crate::ports::cluster::Scope;

/// What is known of the Secrets of a namespace.
type Known = BTreeMap<String, Result<Vec<Vec<u8>>, String>>;

/// The runs of one hook, sorted by target.
pub async fn reveal(doors: &Doors<'_>, spec: &HookSpec, done: Vec<(Target, Stepped)>) -> Vec<HookRun> {
    let mut known = Known::new();
    let mut runs = Vec::with_capacity(done.len());
    for (target, stepped) in done {
        runs.push(shown(doors, spec, (target, stepped), &mut known).await);
    }
    runs.sort_by(|a, b| a.target.cmp(&b.target));
    runs
}

async fn shown(
    doors: &Doors<'_>,
    spec: &HookSpec,
    (target, stepped): (Target, Stepped),
    known: &mut Known,
) -> HookRun {
    let Stepped { attempt, took, attempts } = stepped;
    let spec = target.own.as_ref().unwrap_or(spec);
    let mut notes = target.notes.clone();
    notes.extend(attempt.notes.clone());
    let silent = attempt.stdout.0.is_empty() && attempt.stderr.0.is_empty();
    let mask = if silent { Ok(Mask::default()) } else { mask(doors, spec, &target, known).await };
    let (stdout, stderr) = match &mask {
        Ok(mask) => {
            (mask.mask(&attempt.stdout.0, attempt.stdout.1), mask.mask(&attempt.stderr.0, attempt.stderr.1))
        }
        Err(why) => {
            notes.push(format!("what it printed is not shown, because it cannot be masked: {why}"));
            Default::default()
        }
    };
    HookRun {
        target: target.target,
        result: attempt.result,
        reason: attempt.reason,
        notes,
        code: attempt.code,
        millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        attempts,
        stdout,
        stderr,
    }
}

/// The secrets that a target may print.
async fn mask(
    doors: &Doors<'_>,
    spec: &HookSpec,
    target: &Target,
    known: &mut Known,
) -> Result<Mask, String> {
    let mut values: Vec<Vec<u8>> = Vec::new();
    if let Some(pod) = &target.pod {
        values.extend(pod.secrets.iter().map(|value| value.clone().into_bytes()));
    }
    let namespace = namespace(doors, spec, target);
    if !known.contains_key(&namespace) {
        let found = secrets(doors, &namespace).await;
        known.insert(namespace.clone(), found);
    }
    match &known[&namespace] {
        Ok(found) => values.extend(found.iter().cloned()),
        Err(why) => return Err(why.clone()),
    }
    Ok(Mask::new(values))
}

fn namespace(doors: &Doors<'_>, spec: &HookSpec, target: &Target) -> String {
    let key = target.target.key.as_ref();
    let inside = key.map(|key| key.namespace.clone().unwrap_or_else(|| key.name.clone()));
    let job = || spec.job.as_ref().and_then(|job| job.namespace.clone());
    inside.or_else(job).unwrap_or_else(|| doors.home.to_owned())
}

async fn secrets(doors: &Doors<'_>, namespace: &str) -> Result<Vec<Vec<u8>>, String> {
    let scope = Scope::Namespace(namespace.to_owned());
    let found = list(doors, &survey::secrets(), &scope, &|secret| Some(values(secret))).await;
    match found {
        Ok(found) => Ok(found.into_iter().flatten().collect()),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            Err(format!("the Secrets of namespace {namespace} cannot be read: {cause}"))
        }
    }
}

fn values(secret: &Manifest) -> Vec<Vec<u8>> {
    let data = secret.at("/data").and_then(Json::as_object).into_iter().flatten();
    data.filter_map(|(_, value)| STANDARD.decode(value.as_str()?).ok()).collect()
}

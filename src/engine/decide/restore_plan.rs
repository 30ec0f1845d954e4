//! Decides what a restore does, object by object and wave by wave, before anything is written.
//!
//! In: `State`, `RestoreSpec`, `Catalog`, `Survey` · Out: `RestorePlan` · Touches: what the state is read from

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::choose::{self, Chosen, choose};
use super::draft::{self, PlannedWave, draft};
use super::hold::Hold;
use super::init::Inits;
use super::prepare::{Cluster, Destination, Mapping};
use super::surplus::Surplus;
use super::survey::Survey;
use super::unmatched::unmatched;
use crate::domain::conflict::{Existing, ExistingRules};
use crate::domain::duration::Duration;
use crate::domain::field::closest;
use crate::domain::hook_template::{Hook, HookUse};
use crate::domain::mention::{self, Mention};
use crate::domain::object::{Manifest, ObjectKey, Resource};
use crate::domain::owners::Owners;
use crate::domain::pattern::KindMatcher;
use crate::domain::report::{ObjectAction, ObjectReport};
use crate::domain::restore_request::{FinalizerRule, RestoreSpec};
use crate::domain::rules::Catalog;
use crate::domain::selection::Selection;
use crate::domain::transform::{Transform, TransformSpec};
use crate::engine::clean::rewrite::Volume;
use crate::engine::saved::open::{self, State};

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The selection of the request is wrong.
    #[error("cannot read `select` of the restore request: {0}")]
    Select(String),
    /// What the request says about existing objects is wrong.
    #[error("cannot read `existingFor` of the restore request: {0}")]
    Existing(String),
    /// What the request says about children of controllers is wrong.
    #[error("cannot read `children` of the restore request: {0}")]
    Children(String),
    /// The request names a wave that the catalog does not have.
    #[error("cannot find wave {0:?} of the restore request in the catalog{1}")]
    Wave(String, String),
    /// What the request says about status is wrong.
    #[error("cannot read `restoreStatusOf` of the restore request: {0}")]
    Status(String),
    /// A transform of the request is wrong.
    #[error("cannot read transform {0:?} of the restore request: {1}")]
    Transform(String, String),
    /// The state cannot be read.
    #[error("cannot read {0}")]
    State(String, #[source] Box<open::Error>),
}

/// What a restore will do. `apply` and `preview` follow it; nothing else decides.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestorePlan {
    /// What is restored, such as `snapshot shop-20261121t063000z-kwpa`.
    pub source: String,
    /// What happens to objects that exist, but for kinds with an answer of their own.
    pub existing: Existing,
    /// Waves in order, none of them empty.
    pub waves: Vec<PlannedWave>,
    /// Objects that stay out, and why. Those that should come back and cannot are `Failed`.
    pub left_out: Vec<ObjectReport>,
    /// What is deleted after the waves, where the request prunes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surplus: Option<Surplus>,
    /// How many objects the request does not mean, by reason.
    pub unselected: BTreeMap<String, u64>,
    /// Names and patterns of the request that match nothing of the state; they are among the notes too.
    #[serde(skip)]
    pub unmatched: Vec<String>,
    /// Fields in which old names of namespaces and storage classes still stand, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<Mention>,
    /// What the reader should know.
    pub notes: Vec<String>,
    /// What objects are prepared with.
    #[serde(skip)]
    pub settings: Settings,
    /// Owners that come back and are kept quiet until the end; none before that is decided.
    #[serde(skip)]
    pub holds: BTreeMap<ObjectKey, Hold>,
}

/// What objects are prepared with when they are sent.
#[derive(Clone, Debug)]
pub struct Settings {
    catalog: Arc<Catalog>,
    cluster: Cluster,
    owners: Option<Owners>,
    mapping: Mapping,
    transforms: Vec<Transform>,
    volumes: BTreeMap<String, Volume>,
    served: Vec<Resource>,
    finalizers: Vec<FinalizerRule>,
    status_of: KindMatcher,
    inits: Inits,
}

impl Settings {
    /// Which finalizers are put back, and when.
    pub fn finalizers(&self) -> &[FinalizerRule] {
        &self.finalizers
    }

    /// What is known about kinds.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What the cluster serves before the restore.
    pub fn served(&self) -> &[Resource] {
        &self.served
    }

    /// Persistent volumes that claims may name.
    pub fn volumes(&self) -> &BTreeMap<String, Volume> {
        &self.volumes
    }

    /// Where the objects go.
    pub fn destination(&self) -> Destination<'_> {
        let Self {
            catalog: _,
            cluster,
            owners,
            mapping,
            transforms,
            volumes,
            served: _,
            finalizers: _,
            status_of: _,
            inits,
        } = self;
        Destination { cluster: *cluster, owners: *owners, mapping, transforms, inits, volumes }
    }

    /// Whether an object gets the status it was saved with: its annotation `velero.io/restore-status` says so, or its kind.
    pub fn wants_status(&self, kind: &Resource, saved: &Manifest) -> bool {
        match saved.annotation("velero.io/restore-status") {
            Some("true") => true,
            Some("false") => false,
            _ => self.status_of.matches(&kind.gvk.group, &kind.gvk.kind, &kind.plural),
        }
    }
}

/// Plans a restore.
///
/// # Errors
/// A request that cannot be carried out, or a state that cannot be read. Objects that cannot come back are in
/// [`RestorePlan::left_out`].
pub async fn plan(
    state: &State,
    spec: &RestoreSpec,
    catalog: &Arc<Catalog>,
    survey: &Survey,
) -> Result<RestorePlan, Error> {
    let selection = Selection::compile(&spec.select).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Error::Select(all.join("; "))
    })?;
    let mut settings = settings(state, spec, catalog, survey)?;
    let to = settings.destination();
    let rules = choose::Rules { selection: &selection, catalog, served: &survey.discovery, to };
    let mut chosen =
        choose(state, rules).await.map_err(|error| Error::State(state.describe.clone(), error.into()))?;
    let mut notes = state.notes.clone();
    notes.extend(survey.notes.iter().cloned());
    let unselected = chosen.unselected.clone();
    let existing = ExistingRules::new(spec.existing, &spec.existing_for);
    let existing = existing.map_err(|error| Error::Existing(error.to_string()))?;
    let children = KindMatcher::new(&spec.children).map_err(|error| Error::Children(error.to_string()))?;
    let unmatched = unmatched(state, spec, &selection, &chosen.mapped);
    notes.extend(unmatched.iter().cloned());
    let waits = waits(spec, catalog)?;
    let cluster = draft::Cluster { survey, catalog, existing: &existing, children: &children, waits: &waits };
    let mentions = mentions(&mut chosen);
    let (waves, left_out) = draft(state, chosen, &cluster);
    let objects = waves.iter().flat_map(|wave| &wave.objects);
    let volumes = objects.filter(|o| o.key.group.is_empty() && o.key.kind == "PersistentVolume");
    for volume in volumes {
        settings.volumes.entry(volume.key.name.clone()).or_default();
    }
    Ok(RestorePlan {
        source: state.describe.clone(),
        existing: spec.existing,
        left_out,
        surplus: None,
        unselected,
        unmatched,
        mentions: planned(mentions, &waves),
        waves,
        notes,
        settings,
        holds: BTreeMap::new(),
    })
}

/// What objects are prepared with.
fn settings(
    state: &State,
    spec: &RestoreSpec,
    catalog: &Arc<Catalog>,
    survey: &Survey,
) -> Result<Settings, Error> {
    let home = state.record.as_ref().is_some_and(|record| record.cluster.uid == survey.server.uid);
    Ok(Settings {
        catalog: catalog.clone(),
        cluster: if home { Cluster::Same } else { Cluster::Other },
        owners: spec.owners,
        mapping: Mapping {
            namespaces: spec.namespace_mapping.clone(),
            storage_classes: spec.storage_class_mapping.clone(),
            images: spec.image_mapping.clone(),
        },
        transforms: transforms(spec).map_err(|(name, wrong)| Error::Transform(name, wrong))?,
        volumes: survey.volumes.clone(),
        served: survey.discovery.resources.clone(),
        finalizers: spec.finalizers.clone(),
        status_of: KindMatcher::new(&spec.restore_status_of)
            .map_err(|error| Error::Status(error.to_string()))?,
        inits: Inits::new(&hooks(spec), spec.hook_annotations),
    })
}

/// The hooks of a request that stand in place; templates were filled in before.
pub fn hooks(spec: &RestoreSpec) -> Vec<Hook> {
    let own = |one: &HookUse| Some(Hook { name: one.name.clone(), spec: one.hook.clone()? });
    spec.hooks.iter().filter_map(own).collect()
}

/// How long the request waits for single waves.
fn waits(spec: &RestoreSpec, catalog: &Catalog) -> Result<BTreeMap<String, Duration>, Error> {
    let names = || catalog.waves().iter().map(|wave| wave.name.as_str());
    let unknown =
        spec.waves.iter().map(|wanted| &wanted.name).find(|wanted| !names().any(|name| name == *wanted));
    if let Some(unknown) = unknown {
        let near = closest(unknown, names()).map(|near| format!(": did you mean {near:?}?"));
        return Err(Error::Wave(unknown.clone(), near.unwrap_or_default()));
    }
    Ok(spec.waves.iter().map(|wanted| (wanted.name.clone(), wanted.timeout)).collect())
}

/// The transforms of a request; for one that is wrong its name and what is wrong.
fn transforms(spec: &RestoreSpec) -> Result<Vec<Transform>, (String, String)> {
    let compile = |one: &TransformSpec| {
        Transform::compile(one).map_err(|errors| {
            let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
            (one.name.clone(), all.join("; "))
        })
    };
    spec.transforms.iter().map(compile).collect()
}

/// Takes the mentions of every chosen object, with its position in the state.
fn mentions(chosen: &mut Chosen) -> Vec<(usize, Vec<Mention>)> {
    chosen.taken.iter_mut().map(|one| (one.at, std::mem::take(&mut one.mentions))).collect()
}

/// The mentions in objects that come back, sorted.
fn planned(mentions: Vec<(usize, Vec<Mention>)>, waves: &[PlannedWave]) -> Vec<Mention> {
    let entries: HashSet<usize> =
        waves.iter().flat_map(|wave| &wave.objects).filter_map(|object| object.entry).collect();
    let kept = mentions.into_iter().filter(|(at, _)| entries.contains(at));
    let mut kept: Vec<Mention> = kept.flat_map(|(_, mentions)| mentions).collect();
    kept.sort();
    kept
}

/// How many objects of a kind the text of a plan names.
const NAMED: usize = 20;

impl fmt::Display for RestorePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: usize = self.waves.iter().map(|wave| wave.objects.len()).sum();
        let existing = match self.existing {
            Existing::Skip => "objects that exist stay as they are",
            Existing::Update => "objects that exist are changed to what was saved",
            Existing::Recreate => {
                "objects that exist are changed to what was saved, or deleted and made anew"
            }
            Existing::RecreateAlways => "objects that exist and differ are deleted and made anew",
            Existing::Fail => "nothing is written if any of them exists",
        };
        writeln!(f, "{}: {total} objects in {} waves; {existing}", self.source, self.waves.len())?;
        for (number, wave) in self.waves.iter().enumerate() {
            let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
            for object in &wave.objects {
                *kinds.entry(&object.key.kind).or_default() += 1;
            }
            let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            writeln!(f, "{:>3}  {}: {}", number + 1, wave.name, kinds.join(", "))?;
        }
        for (action, title) in
            [(ObjectAction::Failed, "cannot come back"), (ObjectAction::Skipped, "left out")]
        {
            let left: Vec<&ObjectReport> = self.left_out.iter().filter(|o| o.action == action).collect();
            if !left.is_empty() {
                writeln!(f, "{title}: {}", left.len())?;
            }
            for object in left.iter().take(NAMED) {
                writeln!(f, "  {}: {}", object.key, object.reason.as_deref().unwrap_or_default())?;
            }
            if left.len() > NAMED {
                writeln!(f, "  and {} more", left.len() - NAMED)?;
            }
        }
        for line in self.surplus.iter().flat_map(|surplus| &surplus.unknown) {
            writeln!(f, "not pruned: {line}")?;
        }
        for (reason, count) in &self.unselected {
            writeln!(f, "not meant: {count}, because {reason}")?;
        }
        mention::lines(&self.mentions).iter().try_for_each(|line| writeln!(f, "{line}"))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}

#[cfg(test)]
mod tests;

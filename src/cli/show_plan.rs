//! The form for people of a restore plan, what the API server says of it, and what the fixups would do.
//!
//! In: plan and previews · Out: text · Touches: nothing

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::domain::object::ObjectKey;
use crate::domain::report::ObjectAction;
use crate::engine::decide::gitops::PausePlan;
use crate::engine::decide::restore_plan::RestorePlan;
use crate::engine::difference::render;
use crate::engine::mend::fixups::FixupPreview;
use crate::engine::restore::preview::{PreviewedObject, RestorePreview};

use super::compare::palette;
use super::print::{Show, count as count_of};
use super::show_hooks::{ListedHook, show_listed};

/// Objects of each wave that are named although they would only be created.
const NAMED: usize = 50;

/// A plan, its dry run, and what the fixups would do.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// The plan that `apply` carries out.
    pub plan: RestorePlan,
    /// What happens to those who own the objects.
    pub owners: PausePlan,
    /// What the API server says of each object.
    pub preview: RestorePreview,
    /// Hooks in order, and for whom as the cluster is now: pods that come back are not there yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<ListedHook>,
    /// Fixups in order.
    pub fixups: Vec<FixupPreview>,
}

impl Shown {
    fn deletions(&self) -> usize {
        self.plan.surplus.as_ref().map_or(0, |surplus| surplus.objects.len())
    }

    /// Whether carrying it out would change nothing, and nothing of it cannot be carried out.
    pub fn changes_nothing(&self) -> bool {
        let count = |action| self.preview.count(action);
        let writes =
            [ObjectAction::Created, ObjectAction::Updated, ObjectAction::Recreated, ObjectAction::Failed];
        let acts: usize = writes.into_iter().map(count).sum::<usize>() + self.deletions();
        let lost = self.plan.left_out.iter().any(|object| object.action == ObjectAction::Failed);
        acts == 0
            && !lost
            && self.hooks.is_empty()
            && self.fixups.iter().all(|fixup| fixup.objects.is_empty() && !fixup.open)
    }
}

impl Show for Shown {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        if !quiet {
            writeln!(out, "{}{}", self.plan, self.owners)?;
        }
        let planned = self.plan.waves.iter().flat_map(|wave| &wave.objects);
        let notes: BTreeMap<&ObjectKey, &Vec<String>> = planned.map(|o| (&o.key, &o.notes)).collect();
        for wave in &self.preview.waves {
            let mut named = 0;
            for object in &wave.objects {
                let plain = object.report.action == ObjectAction::Created && object.change.is_none();
                named += usize::from(plain);
                if !plain || named <= NAMED {
                    show_object(object, out)?;
                    let notes = notes.get(&object.report.key).into_iter().copied().flatten();
                    notes.into_iter().try_for_each(|note| writeln!(out, "  note: {note}"))?;
                }
            }
            if named > NAMED {
                writeln!(out, "created: {} more in wave {}", named - NAMED, wave.wave)?;
            }
        }
        let surplus = self.plan.surplus.iter();
        for one in surplus.clone().flat_map(|surplus| &surplus.objects) {
            writeln!(out, "deleted: {} (the snapshot does not have it)", one.key)?;
        }
        for one in surplus.flat_map(|surplus| &surplus.stays) {
            writeln!(out, "stays: {} ({})", one.key, one.reason.as_deref().unwrap_or_default())?;
        }
        show_listed(&self.hooks, out)?;
        for fixup in &self.fixups {
            let reason = fixup.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
            writeln!(out, "fixup {}: {}{reason}", fixup.name, fixup.what)?;
            for key in &fixup.objects {
                writeln!(out, "  {key}")?;
            }
        }
        let count = |action: ObjectAction| self.preview.count(action);
        if self.preview.blocked > 0 {
            let exist = count_of(self.preview.blocked as u64, "object");
            return writeln!(out, "would write nothing: {exist} under `existing: Fail` exist already");
        }
        writeln!(
            out,
            "would create {}, update {}, {}{}leave {} as they are, fail for {}; nothing was written",
            count(ObjectAction::Created),
            count(ObjectAction::Updated),
            some("make anew", count(ObjectAction::Recreated)),
            some("delete", self.deletions()),
            count(ObjectAction::Unchanged) + count(ObjectAction::Skipped),
            count(ObjectAction::Failed)
        )
    }
}

/// A part of a sentence that is left out where nothing is to be said.
fn some(what: &str, number: usize) -> String {
    if number == 0 { String::new() } else { format!("{what} {number}, ") }
}

fn show_object(object: &PreviewedObject, out: &mut dyn Write) -> io::Result<()> {
    let report = &object.report;
    let quiet =
        matches!(report.action, ObjectAction::Unchanged | ObjectAction::Skipped) && object.change.is_none();
    if quiet {
        return Ok(());
    }
    let action = format!("{:?}", report.action).to_lowercase();
    let reason = report.reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
    writeln!(out, "{action}: {}{reason}", report.key)?;
    match &object.change {
        Some(change) => write!(out, "{}", render::object(change, &palette())),
        None => Ok(()),
    }
}

//! The forms for people of a restore's report.
//!
//! In: reports · Out: text · Touches: nothing

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::domain::mention;
use crate::domain::report::{
    ObjectAction, ObjectReport, OwnerAction, OwnerReport, RestoreReport, WaveReport,
};

use super::print::{Show, count};
use super::show_hooks::show_hooks;

impl Show for RestoreReport {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        let took = self.finished.duration_since(self.started);
        writeln!(out, "{:?}: restored from {} in {:.1} s", self.outcome, self.source, took.as_secs_f64())?;
        for wave in &self.waves {
            show_wave(wave, out, quiet)?;
        }
        for line in &self.unpruned {
            writeln!(out, "  not pruned: {line}")?;
        }
        show_hooks(&self.hooks, out, quiet)?;
        for fixup in &self.fixups {
            let reason = fixup.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
            writeln!(out, "  fixup {} ({:?}){reason}", fixup.name, fixup.outcome)?;
        }
        for owner in self.owners.iter().filter(|owner| !quiet || owner.action == OwnerAction::StillPaused) {
            show_owner(owner, out)?;
        }
        if !quiet {
            for (reason, number) in reasons(&self.left_out) {
                writeln!(out, "  left out: {}: {reason}", count(number, "object"))?;
            }
            for line in mention::lines(&self.mentions) {
                writeln!(out, "  {line}")?;
            }
            for note in &self.notes {
                writeln!(out, "  note: {note}")?;
            }
        }
        Ok(())
    }
}

/// One owner that was paused.
pub fn show_owner(owner: &OwnerReport, out: &mut dyn Write) -> io::Result<()> {
    let reason = owner.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
    let action = match owner.action {
        OwnerAction::Resumed => "resumed",
        OwnerAction::StillPaused => "still paused",
    };
    writeln!(out, "  {action} {}{reason}", owner.key)
}

fn show_wave(wave: &WaveReport, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
    let mut counts: BTreeMap<ObjectAction, u64> = BTreeMap::new();
    for object in &wave.objects {
        *counts.entry(object.action).or_default() += 1;
    }
    let text: Vec<String> =
        counts.iter().map(|(action, n)| format!("{n} {}", format!("{action:?}").to_lowercase())).collect();
    writeln!(out, "  wave {}: {}", wave.wave, text.join(", "))?;
    let plain =
        |action| matches!(action, ObjectAction::Created | ObjectAction::Unchanged | ObjectAction::Skipped);
    for object in
        wave.objects.iter().filter(|o| !plain(o.action) && (!quiet || o.action == ObjectAction::Failed))
    {
        writeln!(out, "    {}", line(object))?;
    }
    for object in &wave.not_ready {
        writeln!(out, "    not ready: {}", line(object))?;
    }
    Ok(())
}

fn line(object: &ObjectReport) -> String {
    let reason = object.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
    format!("{} {}{reason}", format!("{:?}", object.action).to_lowercase(), object.key)
}

fn reasons(objects: &[ObjectReport]) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for object in objects {
        *counts.entry(object.reason.as_deref().unwrap_or("no reason given")).or_default() += 1;
    }
    counts
}

//! Runs every scenario against the real parts that the environment offers, and says what it could not run.
//!
//! `e2e/run` brings the parts up and calls this. The last line is `N passed, N failed, N skipped`.

#![allow(
    clippy::format_push_string,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a scenario that cannot go on says so by a panic"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

mod support {
    pub mod parts;
    pub mod program;
    pub mod sandbox;
    pub mod release;
    pub mod flux;
}
mod scenarios {
    pub mod backup;
    pub mod bad_input;
    pub mod chart;
    pub mod chart_cluster;
    pub mod conflicts;
    pub mod coverage;
    pub mod faults;
    pub mod filters;
    pub mod fixups;
    pub mod flux;
    pub mod formats;
    pub mod journal;
    pub mod kustomize;
    pub mod items;
    pub mod gitops;
    pub mod hooks;
    pub mod hooks_owed;
    pub mod databases;
    pub mod locations;
    pub mod mapping;
    pub mod modifiers;
    pub mod new_cluster;
    pub mod owners;
    pub mod reconciler;
    pub mod references;
    pub mod restore;
    pub mod trouble;
    pub mod versions;
    pub mod whole;
}

use support::parts::{Need, Parts};
use support::sandbox::Sandbox;

/// One claim about the whole program, and how it is tried.
pub struct Scenario {
    /// The claim, in kebab case; also the name of its folder.
    pub name: &'static str,
    /// Real parts without which it can't be tried.
    pub needs: &'static [Need],
    /// Tries it; a panic is a failure.
    pub run: fn(&Sandbox),
}

fn main() -> ExitCode {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let parts = Parts::from_environment();
    let (mut passed, mut failed, mut skipped) = (0, Vec::new(), Vec::new());
    for scenario in all().into_iter().filter(|s| s.name.contains(&filter)) {
        if let Some(reason) = parts.lack(scenario.needs) {
            skipped.push(format!("{}: {reason}", scenario.name));
            continue;
        }
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let sandbox = Sandbox::new(scenario.name, &parts);
            (scenario.run)(&sandbox);
            sandbox.leave();
        }));
        let seconds = started.elapsed().as_secs_f32();
        if outcome.is_ok() {
            passed += 1;
            println!("ok      {} ({seconds:.1} s)", scenario.name);
        } else {
            println!("FAILED  {} ({seconds:.1} s)", scenario.name);
            failed.push(scenario.name);
        }
    }
    for line in &skipped {
        println!("skipped {line}");
    }
    println!("{passed} passed, {} failed, {} skipped", failed.len(), skipped.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn all() -> Vec<Scenario> {
    [
        scenarios::backup::all(),
        scenarios::formats::all(),
        scenarios::restore::all(),
        scenarios::mapping::all(),
        scenarios::owners::all(),
        scenarios::items::all(),
        scenarios::versions::all(),
        scenarios::modifiers::all(),
        scenarios::reconciler::all(),
        scenarios::flux::all(),
        scenarios::new_cluster::all(),
        scenarios::references::all(),
        scenarios::whole::all(),
        scenarios::conflicts::all(),
        scenarios::fixups::all(),
        scenarios::hooks::all(),
        scenarios::hooks_owed::all(),
        scenarios::databases::all(),
        scenarios::gitops::all(),
        scenarios::faults::all(),
        scenarios::journal::all(),
        scenarios::locations::all(),
        scenarios::bad_input::all(),
        scenarios::kustomize::all(),
        scenarios::filters::all(),
        scenarios::trouble::all(),
        scenarios::coverage::all(),
        scenarios::chart::all(),
        scenarios::chart_cluster::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

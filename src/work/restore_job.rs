//! Decides a restore: opens the state, plans, and finds out what stands in its way.
//!
//! In: `Wanted`, `PolicySet` · Out: `Job` · Touches: through `App`

use std::sync::Arc;

use crate::app::wiring::App;
use crate::domain::document::PolicySet;
use crate::engine::clean::hide::Marks;
use crate::engine::decide::gitops::Asked;
use crate::engine::decide::restore_plan::{self, RestorePlan};
use crate::engine::decide::surplus::{self, surplus};
use crate::engine::decide::survey::survey;
use crate::engine::mend::fixups;
use crate::engine::reach::Reach;
use crate::engine::recovery::run::Job;
use crate::engine::restore::pause;

use super::failure::Failure;
use super::states::{self, Search};
use super::wanted::Wanted;
use super::{archives, repository};

/// Everything that is read and decided before anything is written; `pinned` replaces what the request calls `latest`.
pub async fn prepare(
    app: &App,
    (set, wanted): (&PolicySet, &Wanted),
    pinned: Option<&str>,
    reach: &Reach<'_>,
) -> Result<Job, Failure> {
    let spec = &wanted.spec;
    let fixups = fixups::compile(&spec.fixups).map_err(|e| Failure::misused(&e))?;
    let survey = survey(reach).await.map_err(|e| Failure::failed(&e))?;
    let search = Search {
        app,
        set,
        served: &survey.discovery.resources,
        sealed: false,
        cluster: match &spec.from.cluster {
            Some(name) => name.clone(),
            None => archives::cluster_name(app).await?,
        },
    };
    let named = spec.from.snapshot.as_deref().or(spec.from.commit.as_deref()).unwrap_or("latest");
    let state = states::at(&search, &spec.from.location, pinned.unwrap_or(named)).await?.state;
    let catalog = Arc::new(repository::catalog(set)?);
    let survey = survey.for_state(&state, reach).await;
    let mut plan = restore_plan::plan(&state, spec, &catalog, &survey).await.map_err(|e| refused(&e))?;
    refuse_empty(&plan, wanted)?;
    if spec.prune {
        let surplus = surplus(&state, spec, (&catalog, &survey), reach).await;
        plan.surplus = Some(surplus.map_err(|e| unprunable(&e))?);
    }
    let asked = Asked { owners: spec.owners, restore: &wanted.called };
    let looked = pause::look(&mut plan, asked, reach).await;
    let pause = looked.map_err(|e| Failure::failed(&e).hint(e.next()))?;
    Ok(Job { state, plan, pause, fixups })
}

/// What diffs must not show.
pub fn marks(set: &PolicySet) -> Result<Marks, Failure> {
    let marked: Vec<_> = set.policies.values().flat_map(|policy| policy.encrypt.clone()).collect();
    Marks::new(&marked).map_err(|e| Failure::misused(&e))
}

/// A restore that means nothing is a mistake, and so is a name that was typed and is nowhere.
fn refuse_empty(plan: &RestorePlan, wanted: &Wanted) -> Result<(), Failure> {
    if wanted.typed && !plan.unmatched.is_empty() {
        return Err(Failure::usage(format!("{}: {}", plan.source, plan.unmatched.join("; "))));
    }
    if plan.waves.is_empty() && plan.left_out.is_empty() {
        let failure = Failure::usage(format!("nothing of {} is selected", plan.source));
        return Err(failure.hint("compare `select` of the request with `backstay show SNAPSHOT --objects`"));
    }
    Ok(())
}

fn refused(error: &restore_plan::Error) -> Failure {
    match error {
        restore_plan::Error::Select(_)
        | restore_plan::Error::Existing(_)
        | restore_plan::Error::Children(_)
        | restore_plan::Error::Wave(..)
        | restore_plan::Error::Status(_)
        | restore_plan::Error::Transform(..) => Failure::misused(error),
        restore_plan::Error::State(..) => Failure::closed(error),
    }
}

fn unprunable(error: &surplus::Error) -> Failure {
    match error {
        surplus::Error::Report(..) => Failure::closed(error),
        surplus::Error::NoRecord(_) | surplus::Error::NoSelection(_) | surplus::Error::Select(..) => {
            Failure::misused(error)
        }
    }
}

#[cfg(test)]
mod tests;

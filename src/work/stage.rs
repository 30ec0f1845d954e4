//! The hooks of a policy or a request: which they are, where they take place, and through which doors.
//!
//! In: `PolicySet`, `App` · Out: `Stage` · Touches: through `App`

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::app::wiring::{App, Connected};
use crate::domain::document::PolicySet;
use crate::domain::hook::HookAnnotations;
use crate::domain::hook_library;
use crate::domain::hook_template::{Hook, HookUse};
use crate::domain::object::Resource;
use crate::domain::policy::PolicySpec;
use crate::domain::restore_request::RestoreSpec;
use crate::domain::rules::Catalog;
use crate::domain::selection::{ObjectChoice, SelectSpec, Selection};
use crate::engine::decide::restore_plan;
use crate::engine::hooks::calm::Calm;
use crate::engine::hooks::doors::Doors;
use crate::engine::hooks::moment::Ground;
use crate::engine::hooks::pod::Pod;
use crate::engine::hooks::survey::{Places, pods};
use crate::engine::reach::{Progress, Reach};
use crate::engine::recovery::hooked::RestoreHooks;

use super::failure::Failure;
use super::repository;

/// The hooks of a run, and what they need to know.
pub struct Stage {
    /// Hooks, their parameters filled in.
    pub hooks: Vec<Hook>,
    /// Whom a workload that is scaled down remembers, such as `policy shop`.
    pub by: String,
    /// The namespaces of the run, where they are known without asking the cluster.
    pub namespaces: Option<Vec<String>>,
    annotations: HookAnnotations,
    /// Whether the namespaces are those of an earlier run, whatever the policy selects by now.
    remembered: bool,
    calm: Calm,
    selection: Selection,
    pods: Resource,
    catalog: Arc<Catalog>,
}

impl Stage {
    /// The hooks of a policy.
    pub fn policy(set: &PolicySet, (name, spec): (&str, &PolicySpec)) -> Result<Self, Failure> {
        let selection = Selection::compile(&spec.select).map_err(|errors| {
            let list: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Failure::usage(format!("policy {name} is wrong: {}", list.join("; ")))
        })?;
        Ok(Self {
            hooks: resolved(set, &spec.hooks)?,
            by: format!("policy {name}"),
            namespaces: selection.namespace_list(),
            annotations: spec.hook_annotations,
            remembered: false,
            calm: Calm::default(),
            selection,
            pods: pods(),
            catalog: Arc::new(repository::catalog(set)?),
        })
    }

    /// The same hooks in the namespaces that a debt remembers.
    #[must_use]
    pub fn within(self, namespaces: Option<Vec<String>>) -> Self {
        Self { namespaces, remembered: true, ..self }
    }

    /// Only these hooks, and nothing that pods ask for.
    pub fn only(&mut self, names: &[String]) {
        self.hooks.retain(|hook| names.contains(&hook.name));
        self.annotations = HookAnnotations::Ignore;
    }

    /// The hooks of a restore, called so; a drill and a person who says so get none.
    pub fn restore(set: &PolicySet, spec: &RestoreSpec, by: &str) -> Result<Self, Failure> {
        Ok(Self {
            hooks: restore_plan::hooks(spec),
            by: by.to_owned(),
            namespaces: None,
            annotations: spec.hook_annotations,
            remembered: false,
            calm: Calm::default(),
            selection: Selection::compile(&SelectSpec::default()).map_err(|_| Failure::usage("select"))?,
            pods: pods(),
            catalog: Arc::new(repository::catalog(set)?),
        })
    }

    /// The hooks of a restore with their doors.
    pub fn hooks<'a>(&'a self, doors: Doors<'a>) -> RestoreHooks<'a> {
        RestoreHooks { doors, hooks: &self.hooks, annotations: self.annotations, by: &self.by }
    }

    /// Whether a namespace belongs to the run.
    pub fn has(&self, namespace: &str) -> bool {
        match &self.namespaces {
            Some(names) if self.remembered => names.iter().any(|name| name == namespace),
            None if self.remembered => true,
            Some(_) | None => self.selection.namespace(namespace),
        }
    }

    /// Whether a pod belongs to the run.
    pub fn means(&self, pod: &Pod) -> bool {
        self.selection.entry(&self.pods, &pod.key, &pod.labels) == ObjectChoice::Take
    }

    /// Where the hooks take place.
    pub fn ground<'a>(
        &'a self,
        has: &'a (dyn Fn(&str) -> bool + Sync),
        means: &'a (dyn Fn(&Pod) -> bool + Sync),
    ) -> Ground<'a> {
        Ground {
            hooks: &self.hooks,
            places: Places { known: self.namespaces.clone(), has },
            annotations: match self.annotations {
                HookAnnotations::Velero => Some(means),
                HookAnnotations::Ignore => None,
            },
            done: BTreeSet::new(),
            by: &self.by,
        }
    }

    /// The doors, through a cluster that is connected.
    pub fn doors<'a>(
        &'a self,
        app: &'a App,
        cluster: &'a Connected,
        progress: &'a dyn Progress,
    ) -> Doors<'a> {
        let reach = Reach::new(cluster.reader.as_ref(), cluster.writer.as_ref(), app.clock.as_ref());
        Doors {
            reach: Reach { progress, ..reach },
            exec: cluster.exec.as_ref(),
            http: app.http.as_ref(),
            catalog: &self.catalog,
            calm: &self.calm,
            home: &app.settings.namespace,
        }
    }
}

/// Hooks with their templates filled in; those of the repository come before built-in ones of the same name.
pub fn resolved(set: &PolicySet, uses: &[HookUse]) -> Result<Vec<Hook>, Failure> {
    let resolve = |one: &HookUse| match (&one.template, &one.hook) {
        (Some(name), _) => {
            let template = set.hooks.get(name).or_else(|| hook_library::all().get(name));
            let absent = || Failure::usage(format!("hook {}: there is no HookTemplate {name:?}", one.name));
            template.map(|template| one.filled(template)).ok_or_else(absent)
        }
        (None, Some(spec)) => Ok(Hook { name: one.name.clone(), spec: spec.clone() }),
        (None, None) => Err(Failure::usage(format!("hook {} does nothing", one.name))),
    };
    uses.iter().map(resolve).collect()
}

//! A small Kubernetes cluster in memory, for tests and the demo: `Reader` and `Writer` without a network.
//!
//! In: calls of the cluster door · Out: what an API server would answer · Touches: nothing

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::json;

use super::fault::{Effect, Fault, Verb};
use super::kinds::Kind;
use super::metadata::{only_names, same};
use super::patch::patched;
use super::selector;
use super::state::{By, State};
use super::store::Slot;
use super::{control, tend};
use crate::domain::fixup::Propagation;
use crate::domain::object::{Json, Manifest, Resource};
use crate::ports::clock::Clock;
use crate::ports::cluster::{
    Conflicts, Discovery, Error, FIELD_MANAGER, ListRequest, ManagedFields, Mode, Page, Patch, Place, Reader,
    Scope, Server, Writer,
};

/// A cluster in memory. Clones share it; each clone writes under one field manager.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Mutex<Shared>>,
    clock: Arc<dyn Clock>,
    manager: String,
}

struct Shared {
    state: State,
    faults: Vec<Fault>,
    broken: BTreeMap<String, String>,
    calls: Vec<String>,
    lists: BTreeMap<u64, Vec<Arc<Json>>>,
}

impl Cluster {
    /// A fresh cluster with its four namespaces.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let shared = Shared {
            state: State::new(clock.now()),
            faults: Vec::new(),
            broken: BTreeMap::new(),
            calls: Vec::new(),
            lists: BTreeMap::new(),
        };
        let cluster = Self { shared: Arc::new(Mutex::new(shared)), clock, manager: FIELD_MANAGER.into() };
        for name in ["kube-system", "kube-public", "kube-node-lease", "default"] {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            control::make(&mut cluster.lock().state, object);
        }
        tend::settle(&mut cluster.lock().state);
        cluster
    }

    /// The same cluster, written to under another field manager, such as `kubectl`.
    #[must_use]
    pub fn writing_as(&self, manager: &str) -> Self {
        Self { manager: manager.into(), ..self.clone() }
    }

    /// Orders a fault.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Ends all faults and mends all broken groups.
    pub fn mend(&self) {
        let mut shared = self.lock();
        shared.faults.clear();
        shared.broken.clear();
    }

    /// Lets the discovery of a `group/version` fail.
    pub fn break_group(&self, group_version: &str, reason: &str) {
        self.lock().broken.insert(group_version.into(), reason.into());
    }

    /// Lets every continue token expire that was given out so far.
    pub fn expire_lists(&self) {
        self.lock().lists.clear();
    }

    /// Calls so far, such as `list secrets` and `apply deployments.apps shop/web`.
    pub fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    /// Forgets which calls there were.
    pub fn forget_calls(&self) {
        self.lock().calls.clear();
    }

    /// Everything that is stored, by kind, namespace and name.
    pub fn objects(&self) -> Vec<Manifest> {
        let shared = self.lock();
        shared.state.store.all().filter_map(|(_, object)| Manifest::parse((**object).clone()).ok()).collect()
    }

    /// Takes the lock and lets the controllers catch up with the time that has passed.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if shared.state.now != now {
            shared.state.now = now;
            tend::settle(&mut shared.state);
        }
        shared
    }

    /// Notes a call, and lets it fail where that was ordered.
    async fn enter(&self, verb: Verb, resource: &str, what: String) -> Result<(), Error> {
        self.enter_list((verb, resource, what), None).await
    }

    /// The same for a page with a token; `resume` is the token that goes on in the present state.
    async fn enter_list(&self, call: (Verb, &str, String), resume: Option<String>) -> Result<(), Error> {
        let (verb, resource, what) = call;
        let effect = {
            let mut shared = self.lock();
            shared.calls.push(what);
            let mut struck =
                shared.faults.iter_mut().filter_map(|f| f.strikes(verb, resource).then(|| f.effect.clone()));
            struck.next()
        };
        match effect {
            Some(Effect::Slow(length)) => {
                self.clock.sleep(length).await;
                Ok(())
            }
            Some(Effect::Expired { .. }) if resume.is_none() => Ok(()),
            Some(effect) => effect.error(resource, resume).map_or(Ok(()), Err),
            None => Ok(()),
        }
    }

    fn by(&self, mode: Mode) -> By<'_> {
        By { manager: &self.manager, subresource: "", mode }
    }
}

impl Shared {
    fn readable(&self, resource: &Resource, verb: &str) -> Result<Arc<Kind>, Error> {
        let kind = self.state.kind(resource)?;
        if self.broken.contains_key(&resource.gvk.api_version()) {
            return Err(Error::Busy { reason: "503 service unavailable".into(), after: None });
        }
        if kind.resource.can(verb) {
            Ok(kind)
        } else {
            Err(Error::Invalid(format!("{} does not allow {verb}", resource.plural)))
        }
    }

    /// Objects of a list that begins now.
    fn begin(&self, kind: &Kind, request: &ListRequest) -> Result<Vec<Arc<Json>>, Error> {
        let store = &self.state.store;
        let all: Vec<&Arc<Json>> = match &request.scope {
            Scope::All => store.of(&kind.storage).map(|(_, object)| object).collect(),
            Scope::Namespace(namespace) => store.within(&kind.storage, namespace).map(|(_, o)| o).collect(),
        };
        let mut taken = Vec::new();
        for object in all {
            let labels = object.pointer("/metadata/labels").and_then(Json::as_object);
            let fits = selector::matches(&request.labels, labels);
            if fits.map_err(|part| Error::Invalid(format!("unable to parse requirement: {part}")))? {
                taken.push(Arc::clone(object));
            }
        }
        Ok(taken)
    }

    fn page(&mut self, kind: &Kind, resource: &Resource, request: &ListRequest) -> Result<Page, Error> {
        let rest = match request.token.as_deref() {
            None => self.begin(kind, request)?,
            Some(token) => {
                let (number, after) = token.split_once(' ').ok_or(Error::Invalid("continue".into()))?;
                match number.parse::<u64>().ok().and_then(|n| self.lists.get(&n)) {
                    Some(list) => list.iter().filter(|o| place(o).as_str() > after).cloned().collect(),
                    None if number == "now" => {
                        self.begin(kind, request)?.into_iter().filter(|o| place(o).as_str() > after).collect()
                    }
                    None => return Err(Error::Expired { next: Some(format!("now {after}")) }),
                }
            }
        };
        let limit = if request.limit == 0 { rest.len() } else { request.limit as usize };
        let (taken, left) = rest.split_at(limit.min(rest.len()));
        let next = match taken.last() {
            Some(last) if !left.is_empty() => {
                let number = self.state.store.draw();
                self.lists.insert(number, left.to_vec());
                Some(format!("{number} {}", place(last)))
            }
            _ => None,
        };
        let shown = taken.iter().map(|object| match request.managed_fields {
            ManagedFields::Whole => given(object, resource),
            ManagedFields::Names => given(&only_names((**object).clone()), resource),
        });
        let objects = shown.flatten().collect();
        Ok(Page { objects, next, resource_version: self.state.store.version().to_string() })
    }
}

fn place(object: &Json) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    format!("{}/{}", text("/metadata/namespace"), text("/metadata/name"))
}

/// The object in the version that was asked for.
fn given(object: &Json, resource: &Resource) -> Option<Manifest> {
    let mut object = object.clone();
    object["apiVersion"] = resource.gvk.api_version().into();
    Manifest::parse(object).ok()
}

fn answer(object: &Json, resource: &Resource) -> Result<Manifest, Error> {
    given(object, resource).ok_or(Error::Garbled("an object without identity".into()))
}

fn slot(kind: &Kind, place: Place<'_>) -> Slot {
    Slot::new(&kind.storage, place.namespace.unwrap_or_default(), place.name)
}

fn at(namespace: Option<&str>, name: &str) -> String {
    namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

#[async_trait]
impl Reader for Cluster {
    async fn server(&self) -> Result<Server, Error> {
        let shared = self.lock();
        let system = shared.state.live(&Slot::new("namespaces", "", "kube-system"))?;
        let uid = system.pointer("/metadata/uid").and_then(Json::as_str).unwrap_or_default().to_owned();
        Ok(Server { version: "v1.36.0".into(), uid })
    }

    async fn discover(&self) -> Result<Discovery, Error> {
        self.enter(Verb::Discover, "", "discover".into()).await?;
        let shared = self.lock();
        let served = shared.state.kinds.iter().map(|kind| kind.resource.clone());
        let mut resources: Vec<Resource> =
            served.filter(|r| !shared.broken.contains_key(&r.gvk.api_version())).collect();
        resources.sort_by_key(Resource::full_name);
        Ok(Discovery { resources, broken: shared.broken.clone() })
    }

    async fn list(&self, resource: &Resource, request: &ListRequest) -> Result<Page, Error> {
        let name = resource.full_name();
        let after = request.token.as_deref().and_then(|token| token.split_once(' '));
        let resume = after.map(|(_, after)| format!("now {after}"));
        self.enter_list((Verb::List, &name, format!("list {name}")), resume).await?;
        let mut shared = self.lock();
        let kind = shared.readable(resource, "list")?;
        shared.page(&kind, resource, request)
    }

    async fn get(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Manifest>, Error> {
        let full = resource.full_name();
        self.enter(Verb::Get, &full, format!("get {full} {}", at(namespace, name))).await?;
        let shared = self.lock();
        let kind = shared.readable(resource, "get")?;
        let slot = slot(&kind, Place { namespace, name, subresource: "" });
        shared.state.store.get(&slot).map(|object| answer(object, resource)).transpose()
    }
}

#[async_trait]
impl Writer for Cluster {
    async fn create(&self, resource: &Resource, object: &Manifest, mode: Mode) -> Result<Manifest, Error> {
        let full = resource.full_name();
        self.enter(Verb::Create, &full, call("create", mode, &full, &object.key().place())).await?;
        let mut shared = self.lock();
        let kind = shared.readable(resource, "create")?;
        fits(resource, object)?;
        let stored = shared.state.create(&kind, object.as_json().clone(), self.by(mode))?;
        tend::settle(&mut shared.state);
        answer(&stored, resource)
    }

    async fn apply(
        &self,
        resource: &Resource,
        object: &Manifest,
        conflicts: Conflicts,
        mode: Mode,
    ) -> Result<Manifest, Error> {
        let full = resource.full_name();
        self.enter(Verb::Apply, &full, call("apply", mode, &full, &object.key().place())).await?;
        let mut shared = self.lock();
        let kind = shared.readable(resource, "patch")?;
        fits(resource, object)?;
        let stored = shared.state.apply(&kind, object.as_json().clone(), conflicts, self.by(mode))?;
        tend::settle(&mut shared.state);
        answer(&stored, resource)
    }

    async fn patch(
        &self,
        resource: &Resource,
        place: Place<'_>,
        patch: &Patch,
        mode: Mode,
    ) -> Result<Manifest, Error> {
        let full = resource.full_name();
        let what = call("patch", mode, &full, &at(place.namespace, place.name));
        self.enter(Verb::Patch, &full, what).await?;
        let mut shared = self.lock();
        let kind = shared.readable(resource, "patch")?;
        let slot = slot(&kind, place);
        let live = shared.state.live(&slot)?;
        let by = By { subresource: place.subresource, ..self.by(mode) };
        match place.subresource {
            "scale" if kind.scale => {
                let scaled = patched(&scale(&live), patch)?;
                let mut after = (*live).clone();
                after["spec"]["replicas"] = scaled["spec"]["replicas"].clone();
                let after = shared.state.replace(&kind, slot, after, by)?;
                tend::settle(&mut shared.state);
                Manifest::parse(scale(&after)).map_err(|e| Error::Garbled(e.to_string()))
            }
            "scale" => Err(Error::NotFound(format!("{full} has no scale subresource"))),
            "status" if !kind.status => Err(Error::NotFound(format!("{full} has no status subresource"))),
            _ => {
                let after = patched(&live, patch)?;
                let after = shared.state.replace(&kind, slot, after, by)?;
                tend::settle(&mut shared.state);
                answer(&after, resource)
            }
        }
    }

    async fn delete(
        &self,
        resource: &Resource,
        place: Place<'_>,
        propagation: Propagation,
    ) -> Result<(), Error> {
        let full = resource.full_name();
        let what = format!("delete {full} {}", at(place.namespace, place.name));
        self.enter(Verb::Delete, &full, what).await?;
        let mut shared = self.lock();
        let kind = shared.readable(resource, "delete")?;
        shared.state.delete(&slot(&kind, place), propagation)?;
        tend::settle(&mut shared.state);
        Ok(())
    }

    async fn delete_as_read(&self, resource: &Resource, read: &Manifest) -> Result<(), Error> {
        let full = resource.full_name();
        let place = Place { namespace: read.namespace(), name: read.name(), subresource: "" };
        let what = format!("delete {full} {}", at(place.namespace, place.name));
        self.enter(Verb::Delete, &full, what).await?;
        let mut shared = self.lock();
        let kind = shared.readable(resource, "delete")?;
        let live = shared.state.live(&slot(&kind, place))?;
        same(&live, read.as_json(), "uid")?;
        same(&live, read.as_json(), "resourceVersion")?;
        shared.state.delete(&slot(&kind, place), Propagation::Background)?;
        tend::settle(&mut shared.state);
        Ok(())
    }
}

fn call(verb: &str, mode: Mode, resource: &str, place: &str) -> String {
    let dry = if mode == Mode::DryRun { " (dry run)" } else { "" };
    format!("{verb} {resource} {place}{dry}")
}

fn fits(resource: &Resource, object: &Manifest) -> Result<(), Error> {
    if object.gvk() == resource.gvk {
        Ok(())
    } else {
        Err(Error::Invalid(format!("the object is no {}", resource.gvk)))
    }
}

fn scale(object: &Json) -> Json {
    let metadata = &object["metadata"];
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"]},
        "spec": {"replicas": object["spec"]["replicas"]},
        "status": {"replicas": object["status"]["replicas"]}})
}

#[cfg(test)]
mod tests;

//! Lets a claim have its volume back: a volume that was kept when its claim was deleted still waits for the old one.
//!
//! In: a claim as it is sent, `Volume`s · Out: what was done · Touches: cluster (write), clock

use std::collections::BTreeMap;

use serde_json::json;

use crate::domain::object::{Json, Manifest, Resource};
use crate::engine::clean::rewrite::Volume;
use crate::engine::reach::Reach;
use crate::engine::retry::persist;
use crate::ports::cluster::{Mode, Patch, Place};

/// A volume to be kept for a claim of the same name again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released<'a> {
    /// Name of the volume.
    pub volume: &'a str,
    /// Uid of the claim that is gone.
    pub claim: &'a str,
}

/// The released volume that a claim names, if it was this claim's. Pure; an object of another kind has none.
pub fn released<'a>(object: &Manifest, volumes: &'a BTreeMap<String, Volume>) -> Option<Released<'a>> {
    if object.kind() != "PersistentVolumeClaim" || !object.gvk().group.is_empty() {
        return None;
    }
    let name = object.at("/spec/volumeName").and_then(Json::as_str)?;
    let (volume, found) = volumes.get_key_value(name)?;
    let (namespace, claim) = found.claim.as_ref()?;
    let same = object.namespace() == Some(namespace) && object.name() == claim;
    Some(Released { volume, claim: found.released_from.as_deref().filter(|_| same)? })
}

/// Takes the old claim's uid out of the volume, if it still is there; the volume controller binds the two then.
///
/// # Errors
/// Why it cannot.
pub async fn rebind(
    reach: &Reach<'_>,
    released: Released<'_>,
    served: &[Resource],
) -> Result<String, String> {
    let Released { volume, claim } = released;
    let kind = served.iter().find(|r| r.gvk.group.is_empty() && r.gvk.kind == "PersistentVolume");
    let Some(kind) = kind else { return Err("the server serves no volumes".to_owned()) };
    let place = Place { namespace: None, name: volume, subresource: "" };
    let steps = vec![
        json!({"op": "test", "path": "/spec/claimRef/uid", "value": claim}),
        json!({"op": "remove", "path": "/spec/claimRef/uid"}),
    ];
    let patch = Patch::Json(steps);
    let call = async || reach.writer.patch(kind, place, &patch, Mode::Real).await;
    match persist(reach.clock, reach.patience, call).await.result {
        Ok(_) => Ok(format!("its released volume {volume} is kept for it again")),
        Err(error) => Err(format!("its released volume {volume} cannot be kept for it again: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(namespace: &str, volume: &str) -> Manifest {
        let metadata = json!({"name": "data", "namespace": namespace});
        Manifest::parse(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata,
            "spec": {"volumeName": volume}}))
        .unwrap()
    }

    #[test]
    fn only_the_claim_that_a_volume_waited_for_gets_it_back() {
        let of = |uid: Option<&str>| Volume {
            claim: Some(("shop".to_owned(), "data".to_owned())),
            released_from: uid.map(str::to_owned),
        };
        let volumes = BTreeMap::from([
            ("released".to_owned(), of(Some("old"))),
            ("bound".to_owned(), of(None)),
            ("new".to_owned(), Volume::default()),
        ]);
        let found =
            |namespace, volume| released(&claim(namespace, volume), &volumes).map(|r| r.claim.to_owned());
        assert_eq!(found("shop", "released").as_deref(), Some("old"));
        for (namespace, volume) in
            [("copy", "released"), ("shop", "bound"), ("shop", "new"), ("shop", "absent")]
        {
            assert_eq!(found(namespace, volume), None, "{namespace} {volume}");
        }
    }
}

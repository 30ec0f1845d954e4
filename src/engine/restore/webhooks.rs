//! Admission webhooks that do not answer: which they are, and what to do about them.
//!
//! In: errors of the API server · Out: names and advice · Touches: cluster (read)

use std::collections::BTreeMap;

use crate::domain::object::{Json, Manifest, Resource};
use crate::engine::decide::draft::PlannedObject;
use crate::engine::gather::listing;
use crate::engine::reach::Reach;
use crate::ports::cluster::{Error, Scope};

/// Words of the API server before the name of a webhook that it could not call.
///
/// Source: `k8s.io/apiserver/pkg/admission/plugin/webhook/errors` (`ToStatusErr`, `ErrCallingWebhook`).
const CALLING: &str = "failed calling webhook \"";

/// The webhook that the server could not call, if that is what an error is about. One that refused an object answered.
pub fn unanswered(error: &Error) -> Option<&str> {
    let (Error::Busy { reason, .. } | Error::Invalid(reason) | Error::Forbidden(reason)) = error else {
        return None;
    };
    let (_, rest) = reason.split_once(CALLING)?;
    rest.split_once('"').map(|(name, _)| name)
}

/// The first object of each webhook that blocks.
#[derive(Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Names of webhooks, sorted.
    pub webhooks: Vec<String>,
    /// Positions of their first objects, sorted.
    pub probes: Vec<usize>,
}

/// What has to be tried to find out whether the webhooks answer again; `None` when nothing is blocked.
pub fn first_of_each(blocked: &[(usize, &PlannedObject, String)]) -> Option<Blocked> {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (position, (_, _, webhook)) in blocked.iter().enumerate() {
        first.entry(webhook).or_insert(position);
    }
    let mut probes: Vec<usize> = first.values().copied().collect();
    probes.sort_unstable();
    let webhooks = first.into_keys().map(str::to_owned).collect();
    (!probes.is_empty()).then_some(Blocked { webhooks, probes })
}

/// Which configuration each webhook of the cluster stands in, and where it is called. Empty where nobody may list them.
pub async fn known(reach: &Reach<'_>, served: &[Resource]) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    let is_configuration = |r: &&Resource| {
        r.gvk.group == "admissionregistration.k8s.io" && r.gvk.kind.ends_with("WebhookConfiguration")
    };
    for resource in served.iter().filter(is_configuration) {
        let take = |object: Manifest| known.extend(webhooks(&object));
        listing::each(reach.reader, resource, &Scope::All, "", take).await.ok();
    }
    known
}

fn webhooks(object: &Manifest) -> Vec<(String, String)> {
    let text = |tree: &Json, pointer: &str| tree.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
    let all = object.at("/webhooks").and_then(Json::as_array).into_iter().flatten();
    let one = |webhook: &Json| {
        let service =
            text(webhook, "/clientConfig/service/namespace").zip(text(webhook, "/clientConfig/service/name"));
        let place = service.map(|(namespace, name)| format!("Service {namespace}/{name}"));
        let place = place.or(text(webhook, "/clientConfig/url")).unwrap_or_default();
        let policy = text(webhook, "/failurePolicy").unwrap_or_else(|| "Fail".to_owned());
        let key = object.key();
        Some((
            text(webhook, "/name")?,
            format!("{} {}, which calls {place} (failurePolicy {policy})", key.kind, key.name),
        ))
    };
    all.filter_map(one).collect()
}

/// Why an object is blocked, and what to do.
pub fn advice(webhook: &str, known: &BTreeMap<String, String>) -> String {
    let whose = known.get(webhook).map(|whose| format!(" of {whose}")).unwrap_or_default();
    format!(
        "the webhook {webhook}{whose} does not answer: bring its backend back, or delete the configuration, then restore again"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_webhook_that_cannot_be_called_is_told_from_one_that_refuses() {
        let busy = |reason: &str| Error::Busy { reason: reason.into(), after: None };
        let down = r#"Internal error occurred: failed calling webhook "v.example.org": failed to call webhook: Post "https://a.b.svc:443/": EOF"#;
        assert_eq!(unanswered(&busy(down)), Some("v.example.org"));
        assert_eq!(unanswered(&busy("etcdserver: leader changed")), None);
        let refused = Error::Forbidden(r#"admission webhook "v.example.org" denied the request: no"#.into());
        assert_eq!(unanswered(&refused), None);
    }

    #[test]
    fn the_advice_names_configuration_and_service() {
        let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "guard"}, "webhooks": [
                {"name": "v.example.org", "clientConfig": {"service": {"namespace": "ops", "name": "guard"}}},
                {"name": "u.example.org", "failurePolicy": "Ignore", "clientConfig": {"url": "https://guard.example.org"}}]});
        let known: BTreeMap<_, _> = webhooks(&Manifest::parse(object).unwrap()).into_iter().collect();
        assert_eq!(
            advice("v.example.org", &known),
            "the webhook v.example.org of ValidatingWebhookConfiguration guard, which calls Service ops/guard \
            (failurePolicy Fail) does not answer: bring its backend back, or delete the configuration, then restore again"
        );
        assert!(known["u.example.org"].ends_with("calls https://guard.example.org (failurePolicy Ignore)"));
        assert!(advice("x", &known).starts_with("the webhook x does not answer"));
    }
}

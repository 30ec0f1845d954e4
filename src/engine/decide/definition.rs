//! Reads what a `CustomResourceDefinition` adds: a kind, its versions, and how one becomes another.
//!
//! In: a definition · Out: `Definition` · Touches: nothing

use std::collections::BTreeSet;

use crate::domain::object::{Gvk, Json, Manifest, Resource};

/// A kind that a definition adds.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Name of the `CustomResourceDefinition`.
    pub name: String,
    /// The kind, in every version it serves.
    pub resource: Resource,
    /// How one version becomes another.
    pub conversion: Conversion,
}

/// How the API server makes an object of one version out of one of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// It changes `apiVersion` only (strategy `None`).
    Label,
    /// It asks this webhook, such as `service shop/converter`.
    Webhook(String),
}

/// The kind that an object adds, if it is a `CustomResourceDefinition` that serves any version.
pub fn definition(object: &Manifest) -> Option<Definition> {
    let gvk = object.gvk();
    if gvk.group != "apiextensions.k8s.io" || gvk.kind != "CustomResourceDefinition" {
        return None;
    }
    let text = |pointer: &str| object.at(pointer).and_then(Json::as_str);
    let versions = object.at("/spec/versions").and_then(Json::as_array).into_iter().flatten();
    let served = versions.filter(|version| version.get("served") == Some(&Json::Bool(true)));
    let served = served.filter_map(|version| version.get("name")?.as_str());
    // One of `v1beta1` that a person wrote may name its only version outside of the list.
    let only = object.at("/spec/versions").is_none().then(|| text("/spec/version")).flatten();
    let served: BTreeSet<String> = served.chain(only).map(Into::into).collect();
    let gvk = Gvk {
        group: text("/spec/group")?.into(),
        version: served.first()?.clone(),
        kind: text("/spec/names/kind")?.into(),
    };
    let resource = Resource {
        gvk,
        plural: text("/spec/names/plural")?.into(),
        namespaced: text("/spec/scope") != Some("Cluster"),
        verbs: Vec::new(),
        served: served.into_iter().collect(),
    };
    Some(Definition { name: object.name().into(), resource, conversion: conversion(object) })
}

fn conversion(object: &Manifest) -> Conversion {
    let text = |pointer: &str| object.at(pointer).and_then(Json::as_str);
    if text("/spec/conversion/strategy") != Some("Webhook") {
        return Conversion::Label;
    }
    let forms = ["/spec/conversion/webhook/clientConfig", "/spec/conversion/webhookClientConfig"];
    let find = |field: &str| forms.iter().find_map(|form| text(&format!("{form}/{field}")));
    Conversion::Webhook(match (find("service/namespace"), find("service/name"), find("url")) {
        (Some(namespace), Some(name), _) => format!("service {namespace}/{name}"),
        (_, _, Some(url)) => url.to_owned(),
        _ => "its webhook".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::yaml;

    fn read(spec: &str) -> String {
        let text = format!(
            "{{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {{name: as.b.c}}, spec: {spec}}}"
        );
        let found = definition(&Manifest::parse(yaml::parse(&text).unwrap()).unwrap());
        found.map_or("nothing".into(), |one| {
            format!("{} {:?} {:?}", one.resource.full_name(), one.resource.served, one.conversion)
        })
    }

    #[test]
    fn a_definition_adds_its_served_versions_and_says_how_one_becomes_another() {
        let names = "group: b.c, names: {kind: A, plural: as}";
        let told = [
            read(&format!(
                "{{{names}, versions: [{{name: v2, served: true}}, {{name: v1, served: true}}, {{name: v0, served: false}}]}}"
            )),
            read(&format!("{{{names}, version: v1beta1, conversion: {{strategy: None}}}}")),
            read(&format!(
                "{{{names}, versions: [{{name: v1, served: true}}], conversion: {{strategy: Webhook, webhook: {{clientConfig: {{service: {{namespace: shop, name: converter}}}}}}}}}}"
            )),
            read(&format!(
                "{{{names}, version: v1, conversion: {{strategy: Webhook, webhookClientConfig: {{url: 'https://a.b/c'}}}}}}"
            )),
            read(&format!("{{{names}, versions: [{{name: v1, served: false}}]}}")),
        ];
        insta::assert_snapshot!(told.join("\n"), @r#"
        as.b.c ["v1", "v2"] Label
        as.b.c ["v1beta1"] Label
        as.b.c ["v1"] Webhook("service shop/converter")
        as.b.c ["v1"] Webhook("https://a.b/c")
        nothing
        "#);
    }
}

//! Reads objects and pages of objects out of an API server's answers, every field of them.
//!
//! In: JSON text · Out: `Page`, `Manifest` · Touches: nothing

use serde::de::{DeserializeOwned, DeserializeSeed};
use serde::{Deserialize, Deserializer};

use super::without::Without;
use crate::domain::object::{Json, JsonMap, Manifest, Resource};
use crate::ports::cluster::{Error, ManagedFields, Page};

#[derive(Deserialize)]
struct List<I> {
    #[serde(default)]
    metadata: ListMetadata,
    /// An answer without this field is no list; `null` is an empty one.
    #[serde(deserialize_with = "items", bound(deserialize = "I: Deserialize<'de>"))]
    items: Vec<I>,
}

/// An object without what its managers wrote.
struct Slim(Json);

impl<'de> Deserialize<'de> for Slim {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Without(&["metadata", "managedFields", "fieldsV1"]).deserialize(input).map(Self)
    }
}

impl From<Slim> for Json {
    fn from(item: Slim) -> Self {
        item.0
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    #[serde(default, rename = "continue")]
    token: Option<String>,
    #[serde(default)]
    resource_version: Option<String>,
}

fn items<'de, I: Deserialize<'de>, D: Deserializer<'de>>(input: D) -> Result<Vec<I>, D::Error> {
    Option::deserialize(input).map(Option::unwrap_or_default)
}

/// One page of a list. Servers leave out apiVersion and kind of built-in types: they are filled in.
///
/// # Errors
/// [`Error::Garbled`] says where the text goes wrong, and repeats none of it.
pub fn page(resource: &Resource, body: &[u8], managed_fields: ManagedFields) -> Result<Page, Error> {
    match managed_fields {
        ManagedFields::Names => read::<Slim>(resource, body),
        ManagedFields::Whole => read::<Json>(resource, body),
    }
}

fn read<I: DeserializeOwned + Into<Json>>(resource: &Resource, body: &[u8]) -> Result<Page, Error> {
    let list: List<I> = serde_json::from_slice(body).map_err(|error| garbled(resource, &error))?;
    let items = list.items.into_iter().map(Into::into);
    let objects = items.map(|item| object(resource, item)).collect::<Result<_, _>>()?;
    Ok(Page {
        objects,
        next: list.metadata.token.filter(|token| !token.is_empty()),
        resource_version: list.metadata.resource_version.unwrap_or_default(),
    })
}

/// One object.
///
/// # Errors
/// As [`page`].
pub fn one(resource: &Resource, body: &[u8]) -> Result<Manifest, Error> {
    object(resource, serde_json::from_slice(body).map_err(|error| garbled(resource, &error))?)
}

fn object(resource: &Resource, mut tree: Json) -> Result<Manifest, Error> {
    let Some(map) = tree.as_object_mut() else {
        return Err(Error::Garbled(format!("{}: it is not what was asked for", resource.full_name())));
    };
    let absent = |map: &JsonMap, field| map.get(field).and_then(Json::as_str).is_none_or(str::is_empty);
    if absent(map, "kind") {
        map.shift_insert(0, "kind".into(), resource.gvk.kind.clone().into());
    }
    if absent(map, "apiVersion") {
        map.shift_insert(0, "apiVersion".into(), resource.gvk.api_version().into());
    }
    Manifest::parse(tree).map_err(|error| Error::Garbled(format!("{}: {error}", resource.full_name())))
}

fn garbled(resource: &Resource, error: &serde_json::Error) -> Error {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too soon",
        serde_json::error::Category::Syntax => "it is no JSON",
        serde_json::error::Category::Data => "it is not what was asked for",
        serde_json::error::Category::Io => "it cannot be read",
    };
    Error::Garbled(format!(
        "{}: {what} (byte {} of line {})",
        resource.full_name(),
        error.column(),
        error.line()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::object::Gvk;

    fn config() -> Resource {
        Resource {
            gvk: Gvk::new("v1", "ConfigMap"),
            plural: "configmaps".into(),
            namespaced: true,
            verbs: Vec::new(),
            served: Vec::new(),
        }
    }

    fn text(manifest: &Manifest) -> String {
        String::from_utf8(manifest.to_bytes()).unwrap()
    }

    #[test]
    fn items_get_the_identity_that_servers_leave_out_and_keep_everything_else() {
        let body = r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"abc"},"items":[
            {"metadata":{"name":"a"},"z":1,"big":9223372036854775807,"a":1.5e3},
            {"apiVersion":"other/v2","kind":"Other","metadata":{"name":"b"}}]}"#;
        let page = page(&config(), body.as_bytes(), ManagedFields::Whole).unwrap();
        assert_eq!((page.next.as_deref(), page.resource_version.as_str()), (Some("abc"), "7"));
        assert_eq!(
            text(&page.objects[0]),
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"z":1,"big":9223372036854775807,"a":1500.0}"#
        );
        assert_eq!(page.objects[1].gvk(), Gvk::new("other/v2", "Other"));
    }

    #[test]
    fn a_list_of_null_is_empty_and_an_answer_without_items_is_no_list() {
        let empty =
            page(&config(), br#"{"metadata":{"continue":""},"items":null}"#, ManagedFields::Whole).unwrap();
        assert_eq!((empty.objects.len(), empty.next), (0, None));
        for bad in [
            r#"{"kind":"Status","metadata":{}}"#,
            "[]",
            "",
            "<html>",
            r#"{"items":[7]}"#,
            r#"{"items":[{}]}"#,
        ] {
            assert!(
                matches!(page(&config(), bad.as_bytes(), ManagedFields::Whole), Err(Error::Garbled(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn garbled_text_is_located_and_not_repeated() {
        let Err(error) = page(&config(), br#"{"items":"hunter2"}"#, ManagedFields::Whole) else {
            panic!("taken")
        };
        assert_eq!(
            error.to_string(),
            "the API server gave an answer that cannot be read: configmaps: it is not what was asked for (byte 18 of line 1)"
        );
    }
}

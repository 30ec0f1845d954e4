//! A change that a person wants made to objects on their way into a cluster.
//!
//! In: YAML through serde · Out: `TransformSpec`, compiled to `Transform` · Touches: nothing

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cel::{EvalError, Expression};
use super::field::FieldError;
use super::object::{Json, Manifest, Resource};
use super::pattern::KindMatcher;
use super::policy::{KindPattern, check_kinds};

/// One change of restored objects. Exactly one of `json` and `merge`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransformSpec {
    /// Name of the transform in reports, unique in its request.
    pub name: String,
    /// Kinds it is for, such as `Deployment` or `ingresses.networking.k8s.io`. Absent: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<KindPattern>,
    /// CEL expression over `object` as it was saved, under its old namespace. The transform counts only where it is true,
    /// and not where it asks for a field that the object does not have. Absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// JSON Patch (RFC 6902): a list of operations. One that does not fit makes the object fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Vec<Json>>,
    /// JSON merge patch (RFC 7386): a mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<Json>,
    /// What a `test` operation of `json` means that does not hold. Absent: `Fail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failed_test: Option<OnFailedTest>,
}

/// What a `test` operation means that does not hold, because the field has another value or is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnFailedTest {
    /// The object fails, as for every other operation that does not fit.
    #[default]
    Fail,
    /// The object goes on without this transform.
    Skip,
}

/// A transform whose patterns, condition and patch are read.
#[derive(Clone, Debug)]
pub struct Transform {
    name: String,
    /// Absent: every kind.
    kinds: Option<KindMatcher>,
    when: Option<Expression>,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    Json(json_patch::Patch, OnFailedTest),
    Merge(Json),
}

/// Why a transform cannot be made of an object. No value of the object is repeated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its condition has no answer.
    #[error("cannot evaluate `when` of transform {name:?}")]
    When {
        /// Transform.
        name: String,
        /// Why.
        source: EvalError,
    },
    /// An operation does not fit the object.
    #[error("cannot carry out transform {name:?}: operation {operation} does not fit")]
    Unfit {
        /// Transform.
        name: String,
        /// Its number and path, such as `1 at /spec/replicas`.
        operation: String,
    },
    /// What it made is another object, or none.
    #[error(
        "cannot carry out transform {name:?}: apiVersion, kind, name and namespace must stay as they are"
    )]
    Identity {
        /// Transform.
        name: String,
    },
}

impl Transform {
    /// Reads a transform.
    ///
    /// # Errors
    /// Every field that is wrong, with its pointer below the transform.
    pub fn compile(spec: &TransformSpec) -> Result<Self, Vec<FieldError>> {
        let mut errors = check_patch(spec.json.as_ref(), spec.merge.as_ref(), "a transform");
        if spec.on_failed_test.is_some() && spec.json.is_none() {
            errors.push(FieldError::new("/onFailedTest", "only `json` has operations that test"));
        }
        errors.extend(check_kinds("/kinds", &spec.kinds));
        if spec.name.is_empty() {
            errors.push(FieldError::new("/name", "a transform needs a name"));
        }
        let parsed = spec.when.as_deref().map(Expression::parse).transpose();
        let when = parsed.map_err(|error| errors.push(FieldError::new("/when", error))).ok().flatten();
        let steps = spec.json.clone().map(|steps| serde_json::from_value(Json::Array(steps)));
        let change = match (steps, &spec.merge) {
            (Some(Ok(patch)), _) => Some(Change::Json(patch, spec.on_failed_test.unwrap_or_default())),
            (_, merge) => merge.clone().map(Change::Merge),
        };
        match (change, KindMatcher::new(&spec.kinds)) {
            (Some(change), Ok(kinds)) if errors.is_empty() => {
                let kinds = (!spec.kinds.is_empty()).then_some(kinds);
                Ok(Self { name: spec.name.clone(), kinds, when, change })
            }
            _ => Err(errors),
        }
    }

    /// Whether it is made of an object, given as it was saved.
    ///
    /// # Errors
    /// [`Error::When`].
    pub fn counts(&self, resource: &Resource, saved: &Manifest) -> Result<bool, Error> {
        let fits =
            |kinds: &KindMatcher| kinds.matches(&resource.gvk.group, &resource.gvk.kind, &resource.plural);
        if !self.kinds.as_ref().is_none_or(fits) {
            return Ok(false);
        }
        match self.when.as_ref().map(|when| when.test(saved)) {
            None => Ok(true),
            Some(Ok(answer)) => Ok(answer),
            Some(Err(EvalError::MissingField(_))) => Ok(false),
            Some(Err(source)) => Err(Error::When { name: self.name.clone(), source }),
        }
    }

    /// Makes the change: all of it or nothing. The object stays as it is where a `test` says so, under `Skip`.
    ///
    /// # Errors
    /// [`Error::Unfit`], and [`Error::Identity`] where it would make another object.
    pub fn change(&self, object: Manifest) -> Result<Manifest, Error> {
        let (gvk, key) = (object.gvk(), object.key());
        let name = || self.name.clone();
        let mut tree = object.into_json();
        match &self.change {
            Change::Merge(patch) => json_patch::merge(&mut tree, patch),
            Change::Json(patch, on_failed_test) => match json_patch::patch(&mut tree, patch) {
                Ok(()) => {}
                Err(error) if *on_failed_test == OnFailedTest::Skip && is_test(patch, error.operation) => {}
                Err(error) => {
                    let operation = format!("{} at {}", error.operation + 1, error.path);
                    return Err(Error::Unfit { name: name(), operation });
                }
            },
        }
        let made = Manifest::parse(tree).map_err(|_| Error::Identity { name: name() })?;
        if made.gvk() == gvk && made.key() == key { Ok(made) } else { Err(Error::Identity { name: name() }) }
    }
}

fn is_test(patch: &json_patch::Patch, operation: usize) -> bool {
    patch.get(operation).is_some_and(|step| matches!(step, json_patch::PatchOperation::Test(_)))
}

/// What is wrong with a patch of either form. `what` needs it, such as `a transform`.
pub fn check_patch(json: Option<&Vec<Json>>, merge: Option<&Json>, what: &str) -> Vec<FieldError> {
    match (json, merge) {
        (Some(steps), None) => {
            let wrong =
                |step: &Json| serde_json::from_value::<json_patch::PatchOperation>(step.clone()).err();
            let each = steps.iter().enumerate();
            each.filter_map(|(i, s)| wrong(s).map(|e| FieldError::new(format!("/json/{i}"), e))).collect()
        }
        (None, Some(merge)) if !merge.is_object() => {
            vec![FieldError::new("/merge", "a merge patch is a mapping")]
        }
        (None, Some(_)) => Vec::new(),
        _ => vec![FieldError::new("", format!("{what} needs exactly one of `json` and `merge`"))],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::object::Gvk;

    fn transform(rest: &Json) -> Result<Transform, Vec<FieldError>> {
        let mut spec = json!({"name": "t"});
        spec.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        Transform::compile(&serde_json::from_value(spec).unwrap())
    }

    fn web() -> (Resource, Manifest) {
        let gvk = Gvk::new("apps/v1", "Deployment");
        let resource =
            Resource { gvk, plural: "deployments".into(), namespaced: true, verbs: vec![], served: vec![] };
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop"}, "spec": {"replicas": 3, "secret": "hunter2"}});
        (resource, Manifest::parse(object).unwrap())
    }

    #[test]
    fn kinds_and_the_condition_decide() {
        let (resource, saved) = web();
        let merge = json!({"spec": {"replicas": 1}});
        for (rest, expected) in [
            (json!({}), true),
            (json!({"kinds": ["Deployment"]}), true),
            (json!({"kinds": ["deployments.apps"], "when": "object.spec.replicas > 2"}), true),
            (json!({"kinds": ["StatefulSet"]}), false),
            (json!({"when": "object.metadata.namespace == 'other'"}), false),
            (json!({"when": "object.spec.absent == 1"}), false),
        ] {
            let mut rest = rest;
            rest["merge"] = merge.clone();
            assert_eq!(transform(&rest).unwrap().counts(&resource, &saved).unwrap(), expected, "{rest}");
        }
    }

    #[test]
    fn both_forms_of_patches_change_the_object() {
        let (_, object) = web();
        let merged = transform(&json!({"merge": {"spec": {"replicas": 1, "secret": null}}})).unwrap();
        assert_eq!(merged.change(object.clone()).unwrap().at("/spec"), Some(&json!({"replicas": 1})));
        let patched =
            transform(&json!({"json": [{"op": "replace", "path": "/spec/replicas", "value": 0}]})).unwrap();
        assert_eq!(patched.change(object).unwrap().at("/spec/replicas"), Some(&json!(0)));
    }

    #[test]
    fn what_does_not_fit_is_an_error_without_values() {
        let (_, object) = web();
        let steps = json!([{"op": "add", "path": "/spec/a", "value": 1}, {"op": "test", "path": "/spec/secret", "value": "x"}]);
        let error = transform(&json!({"json": steps})).unwrap().change(object.clone()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot carry out transform \"t\": operation 2 at /spec/secret does not fit"
        );
        for merge in [
            json!({"kind": "Pod"}),
            json!({"metadata": {"name": null}}),
            json!({"metadata": {"namespace": "x"}}),
        ] {
            let error = transform(&json!({"merge": merge})).unwrap().change(object.clone()).unwrap_err();
            assert!(matches!(error, Error::Identity { .. }), "{error}");
        }
    }

    #[test]
    fn a_test_that_does_not_hold_leaves_the_object_as_it_is_when_asked() {
        let (_, object) = web();
        let tested = |test: Json, rest: Json| {
            let steps = json!([{"op": "add", "path": "/spec/a", "value": 1}, test, rest]);
            transform(&json!({"json": steps, "onFailedTest": "Skip"})).unwrap().change(object.clone())
        };
        let fits = json!({"op": "replace", "path": "/spec/replicas", "value": 0});
        for path in ["/spec/replicas", "/spec/absent", "/spec/absent/deep"] {
            let test = json!({"op": "test", "path": path, "value": 2});
            assert_eq!(tested(test, fits.clone()).unwrap(), object, "{path}");
        }
        let holds = json!({"op": "test", "path": "/spec/replicas", "value": 3});
        assert_eq!(tested(holds.clone(), fits).unwrap().at("/spec/replicas"), Some(&json!(0)));
        let unfit = json!({"op": "remove", "path": "/spec/absent"});
        assert!(matches!(tested(holds, unfit).unwrap_err(), Error::Unfit { .. }));
        let no_test = transform(&json!({"merge": {}, "onFailedTest": "Skip"})).unwrap_err();
        assert_eq!(no_test[0].pointer, "/onFailedTest");
    }

    #[test]
    fn every_mistake_is_named() {
        let mistakes =
            transform(&json!({"name": "", "kinds": ["[a"], "when": "object.", "json": [{"op": "nothing"}]}));
        let fields: Vec<String> = mistakes.unwrap_err().iter().map(|e| e.pointer.clone()).collect();
        assert_eq!(fields, ["/json/0", "/kinds/0", "/name", "/when"]);
        assert!(transform(&json!({})).unwrap_err()[0].to_string().contains("exactly one of"));
        assert!(transform(&json!({"merge": {}, "json": []})).is_err());
    }
}

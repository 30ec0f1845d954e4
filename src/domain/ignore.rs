//! What a policy leaves out of its mirror or takes in all the same.
//!
//! In: `MirrorRules` · Out: `MirrorFilter` · Touches: nothing

use super::field::FieldError;
use super::object::Resource;
use super::path::FieldPath;
use super::pattern::KindMatcher;
use super::policy::MirrorRules;

/// The mirror rules of a policy, compiled. The default leaves nothing out and takes nothing in.
#[derive(Clone, Debug, Default)]
pub struct MirrorFilter {
    ignore: Vec<(KindMatcher, Vec<FieldPath>)>,
    include: KindMatcher,
}

/// What the mirror rules say about one kind.
#[derive(Clone, Debug, Default)]
pub struct KindFilter<'f> {
    /// Whether no object of the kind goes into the mirror.
    pub ignored: bool,
    /// Whether objects go in although a controller made them or the catalog leaves them out.
    pub included: bool,
    /// Fields left out.
    pub drop: Vec<&'f FieldPath>,
}

impl MirrorFilter {
    /// Reads patterns and paths.
    ///
    /// # Errors
    /// Every field that is wrong, with its pointer below `mirror`.
    pub fn compile(rules: &MirrorRules) -> Result<Self, Vec<FieldError>> {
        let mut filter = Self::default();
        let mut errors = Vec::new();
        for (index, rule) in rules.ignore.iter().enumerate() {
            let mut fields = Vec::new();
            for (place, text) in rule.fields.iter().enumerate() {
                match FieldPath::parse(text) {
                    Ok(path) => fields.push(path),
                    Err(e) => errors.push(FieldError::new(format!("/ignore/{index}/fields/{place}"), e)),
                }
            }
            match KindMatcher::new(&rule.kinds) {
                Ok(kinds) => filter.ignore.push((kinds, fields)),
                Err(error) => errors.push(FieldError::new(format!("/ignore/{index}/kinds"), error)),
            }
        }
        match KindMatcher::new(&rules.include) {
            Ok(include) => filter.include = include,
            Err(error) => errors.push(FieldError::new("/include", error)),
        }
        if errors.is_empty() { Ok(filter) } else { Err(errors) }
    }

    /// What the rules say about a kind.
    pub fn kind(&self, resource: &Resource) -> KindFilter<'_> {
        let is =
            |kinds: &KindMatcher| kinds.matches(&resource.gvk.group, &resource.gvk.kind, &resource.plural);
        let mine: Vec<_> = self.ignore.iter().filter(|(kinds, _)| is(kinds)).collect();
        KindFilter {
            ignored: mine.iter().any(|(_, fields)| fields.is_empty()),
            included: is(&self.include),
            drop: mine.into_iter().flat_map(|(_, fields)| fields).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::object::Gvk;
    use super::super::policy::IgnoreRule;
    use super::*;

    fn rules(kinds: &str, fields: &[&str], include: &str) -> MirrorRules {
        MirrorRules {
            ignore: vec![IgnoreRule {
                kinds: vec![kinds.into()],
                fields: fields.iter().map(|f| (*f).into()).collect(),
            }],
            include: vec![include.into()],
        }
    }

    fn deployments() -> Resource {
        Resource {
            gvk: Gvk::new("apps/v1", "Deployment"),
            plural: "deployments".into(),
            namespaced: true,
            verbs: Vec::new(),
            served: Vec::new(),
        }
    }

    #[test]
    fn a_rule_without_fields_leaves_the_whole_object_out() {
        let whole = MirrorFilter::compile(&rules("Deployment", &[], "pods")).unwrap();
        assert!(whole.kind(&deployments()).ignored && !whole.kind(&deployments()).included);
        let field = MirrorFilter::compile(&rules("*", &["/spec/replicas"], "*.apps")).unwrap();
        let kind = field.kind(&deployments());
        assert!(!kind.ignored && kind.included && kind.drop.len() == 1);
    }

    #[test]
    fn every_wrong_field_is_told() {
        let told = MirrorFilter::compile(&rules("a/b", &["/spec", "spec"], "")).unwrap_err();
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        /ignore/0/fields/1: a field path is a JSON pointer such as /spec/replicas, not "spec"
        /ignore/0/kinds: "a/b" is not a pattern: write a Kind (`Deployment`) or `resource.group` (`deployments.apps`), without a version
        /include: "" is not a pattern: it is empty
        "#);
    }
}

//! Claims about modifiers that cannot be converted.

use super::tests::{TEMPLATE, converted, refused};

pub(super) const WRONG: &str = include_str!("wrong.yaml");

#[test]
fn every_mistake_is_named_with_its_place_and_what_to_do() {
    assert_eq!(refused(WRONG) + "\n", include_str!("wrong.txt"));
}

#[test]
fn a_config_map_with_one_key_holds_rules_too_and_mistakes_have_the_lines_of_the_file() {
    let map = |data: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m, namespace: velero}}\ndata:\n{data}")
    };
    let indented: Vec<String> = TEMPLATE.lines().map(|line| format!("    {line}\n")).collect();
    let block = map(&format!("  modifiers.yaml: |\n\n{}", indented.concat()));
    assert_eq!(converted(&block), converted(TEMPLATE));
    let wrong = block.replace("remove", "delete").replace("resourceNameRegex", "resourceNameRegexp");
    insta::assert_snapshot!(refused(&wrong), @r#"
    rules.yaml:11:9: resourceModifierRules[0].conditions.resourceNameRegexp: there is no field `resourceNameRegexp`
      help: did you mean `resourceNameRegex`?
    rules.yaml:20:20: resourceModifierRules[0].patches[1].operation: "delete" is none of add, remove, replace, move, copy, test
    "#);
    insta::assert_snapshot!(refused(&map("  m: \"version: v1\\nresourceModifierRules:\\n- a\\n\"")), @"rules.yaml (m):3:3: resourceModifierRules[0]: must be a mapping, not a text");
    insta::assert_snapshot!([
        map("  a: x\n  b: y"), map("  {}"), map("  a: [1]"), map("  a: |\n    version: [\n"),
        "kind: Restore\n".into(), "a: 1\n---\nb: 2\n".into(), String::new(), "- 1".into(), "version: v1\nresourceModifierRules: []".into(),
    ].map(|text: String| refused(&text)).join("\n"), @"
    rules.yaml:4:1: data: a ConfigMap with resource modifiers has exactly one key in `data`
    rules.yaml:4:1: data: a ConfigMap with resource modifiers has exactly one key in `data`
    rules.yaml:5:3: data.a: must be a text
    rules.yaml:6:14: cannot read YAML: unclosed bracket '['
    rules.yaml:1:7: kind: a Restore holds no resource modifiers
      help: give the rules (`version: v1` and `resourceModifierRules`) or the ConfigMap that holds them
    rules.yaml:3:1: there is more than one document in it
    rules.yaml: there is no document in it
    rules.yaml:1:1: must be a mapping, not a list
    rules.yaml:2:1: resourceModifierRules: needs at least 1 element
    ");
}

//! Claims about templates and their parameters.

use super::*;

fn filled(text: &str) -> String {
    fill(text, &BTreeMap::from([("a", "1"), ("b-c", "$(a)")]))
}

#[test]
fn parameters_are_filled_in_once_and_shells_keep_theirs() {
    for (text, expected) in [
        ("$(a)", "1"),
        ("x$(a)y$(b-c)z", "x1y$(a)z"),
        ("$$(a)", "$(a)"),
        ("$(hostname -f) $(a", "$(hostname -f) $(a"),
        ("$(none) $( $(a))", "$(none) $( 1)"),
        ("$5 $", "$5 $"),
    ] {
        assert_eq!(filled(text), expected, "{text}");
    }
}

#[test]
fn a_use_says_where_and_the_template_says_what() {
    let template = "
parameters: [{name: database}, {name: app, default: db}]
hook: {when: PreBackup, labelSelector: {matchLabels: {app: $(app)}}, exec: {command: [pg_dump, $(database)]}, timeout: 5m}
";
    let template: HookTemplateSpec = serde_saphyr::from_str(template).unwrap();
    assert_eq!(template.check(), []);
    let used = "{name: dump, template: t, parameters: {database: shop}, namespaces: [a], weight: 3, onError: Continue}";
    let used: HookUse = serde_saphyr::from_str(used).unwrap();
    assert_eq!(used.check_template(&template), []);
    let hook = used.filled(&template);
    assert_eq!(hook.spec.exec.unwrap().command, ["pg_dump", "shop"]);
    assert_eq!(hook.spec.label_selector.unwrap().match_labels["app"], "db");
    assert_eq!((hook.spec.namespaces, hook.spec.weight), (vec!["a".to_owned()], 3));
    assert_eq!((hook.spec.on_error, hook.spec.timeout.unwrap().as_seconds()), (OnError::Continue, 300));
}

#[test]
fn what_a_parameter_makes_of_a_hook_is_checked_where_it_is_used() {
    let template = "{parameters: [{name: url}], hook: {when: PreBackup, http: {url: $(url)}}}";
    let template: HookTemplateSpec = serde_saphyr::from_str(template).unwrap();
    assert_eq!(template.check(), []);
    let used: HookUse = serde_saphyr::from_str("{name: a, template: t, parameters: {url: ftp://x}}").unwrap();
    let told = used.check_template(&template);
    assert!(told[0].message.contains("/http/url: the address must begin"), "{told:?}");
}

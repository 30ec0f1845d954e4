//! What conditions answer, and what they refuse.

use serde_json::json;

use super::*;

fn pod() -> Manifest {
    let value = json!({"apiVersion":"v1","kind":"Pod",
        "metadata":{"name":"web","labels":{"app":"shop"},"annotations":{"kubernetes.io/config.mirror":"x"}},
        "spec":{"nodeName":"n1","priority":0,"big":18_446_744_073_709_551_615_u64,"containers":[{"name":"a"},{"name":"b"}]},
        "status":{"phase":"Succeeded","reason":null}});
    Manifest::parse(value).unwrap()
}

fn answer(text: &str) -> String {
    match Expression::parse(text) {
        Err(error) => format!("refused: {error}"),
        Ok(expression) => match expression.test(&pod()) {
            Ok(truth) => truth.to_string(),
            Err(error) => format!("error: {error}"),
        },
    }
}

fn table(texts: &[&str]) -> String {
    texts.iter().map(|t| format!("{t}  ->  {}", answer(t))).collect::<Vec<_>>().join("\n")
}

#[test]
fn conditions_read_the_object() {
    insta::assert_snapshot!(table(&[
        "object.status.phase in ['Succeeded', 'Failed']",
        "object.metadata.name.startsWith('we')",
        "object.metadata.annotations['kubernetes.io/config.mirror'] == 'x'",
        "'kubernetes.io/config.mirror' in object.metadata.annotations",
        "object.spec.containers.exists(c, c.name == 'b')",
        "object.spec.containers.all(c, c.name == 'b')",
        "size(object.spec.containers) == 2 && object.spec.priority == 0",
        "object.spec.big == 18446744073709551615u",
        "object.metadata.name.matches('^w.b$')",
        "object.metadata.name.lowerAscii() == 'web' && sets.contains([1, 2], [2])",
        "quantity('1Gi').isGreaterThan(quantity('1Mi'))",
        "object.status.reason == null",
    ]), @"
    object.status.phase in ['Succeeded', 'Failed']  ->  true
    object.metadata.name.startsWith('we')  ->  true
    object.metadata.annotations['kubernetes.io/config.mirror'] == 'x'  ->  true
    'kubernetes.io/config.mirror' in object.metadata.annotations  ->  true
    object.spec.containers.exists(c, c.name == 'b')  ->  true
    object.spec.containers.all(c, c.name == 'b')  ->  false
    size(object.spec.containers) == 2 && object.spec.priority == 0  ->  true
    object.spec.big == 18446744073709551615u  ->  true
    object.metadata.name.matches('^w.b$')  ->  true
    object.metadata.name.lowerAscii() == 'web' && sets.contains([1, 2], [2])  ->  true
    quantity('1Gi').isGreaterThan(quantity('1Mi'))  ->  true
    object.status.reason == null  ->  true
    ");
}

#[test]
fn a_missing_field_is_an_error_that_names_it_unless_the_other_side_decides() {
    insta::assert_snapshot!(table(&[
        "object.spec.replicas > 1",
        "has(object.spec.replicas) && object.spec.replicas > 1",
        "has(object.spec.strategy.type)",
        "has(object.spec.strategy) && has(object.spec.strategy.type)",
        "object.spec.nodeName == 'n1' || object.spec.replicas > 1",
        "object.spec.nodeName == 'n2' && object.spec.replicas > 1",
        "object.metadata.labels[object.spec.nodeName] == 'x'",
    ]), @r#"
    object.spec.replicas > 1  ->  error: the object has no field "replicas"; ask with has() first
    has(object.spec.replicas) && object.spec.replicas > 1  ->  false
    has(object.spec.strategy.type)  ->  error: the object has no field "strategy"; ask with has() first
    has(object.spec.strategy) && has(object.spec.strategy.type)  ->  false
    object.spec.nodeName == 'n1' || object.spec.replicas > 1  ->  true
    object.spec.nodeName == 'n2' && object.spec.replicas > 1  ->  false
    object.metadata.labels[object.spec.nodeName] == 'x'  ->  error: the object has no field "(computed)"; ask with has() first
    "#);
}

#[test]
fn what_is_no_condition_is_refused_when_it_is_read() {
    insta::assert_snapshot!(table(&[
        "",
        "object.spec.",
        "object.spec = 1",
        "self.spec.x == 1",
        "pod.name.startsWith('x')",
        "object.name.fooBar()",
        "nope(object)",
        "sets.nope([1], [2])",
        "Foo{a: 1}",
        "object.?spec.x == 1",
    ]), @r#"
      ->  refused: not a CEL expression: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER} (line 1, column 1)
    object.spec.  ->  refused: not a CEL expression: Syntax error: no viable alternative at input '.' (line 1, column 13)
    object.spec = 1  ->  refused: not a CEL expression: Syntax error: token recognition error at: '= ' (line 1, column 13)
    self.spec.x == 1  ->  refused: unknown variable "self" in a CEL expression; the object is called `object`
    pod.name.startsWith('x')  ->  refused: unknown variable "pod" in a CEL expression; the object is called `object`
    object.name.fooBar()  ->  refused: unknown function "fooBar" in a CEL expression
    nope(object)  ->  refused: unknown function "nope" in a CEL expression
    sets.nope([1], [2])  ->  refused: unknown function "sets.nope" in a CEL expression
    Foo{a: 1}  ->  refused: a message literal cannot be used in a CEL expression
    object.?spec.x == 1  ->  refused: not a CEL expression: unsupported syntax '.?' (line 1, column 7)
    "#);
}

#[test]
fn an_error_repeats_no_value_of_the_object() {
    insta::assert_snapshot!(table(&[
        "object.metadata.name",
        "object.metadata.name + 1",
        "object.spec.containers",
        "object.metadata.name > 3",
        "int(object.metadata.name) == 1",
        "object.spec.containers[7].name == 'x'",
        "1 / object.spec.priority == 1",
    ]), @"
    object.metadata.name  ->  error: the result is a text, not true or false
    object.metadata.name + 1  ->  error: types do not go together
    object.spec.containers  ->  error: the result is a list, not true or false
    object.metadata.name > 3  ->  error: types do not go together
    int(object.metadata.name) == 1  ->  error: a function does not take this value
    object.spec.containers[7].name == 'x'  ->  error: a list has no such element
    1 / object.spec.priority == 1  ->  error: a division by zero
    ");
}

#[test]
fn only_the_fields_an_expression_reads_are_converted() {
    let needs = |text| Expression::parse(text).unwrap().needs;
    let Needs::Fields(fields) = needs("has(object.a.b) && object.c['d'].e == 1") else { panic!("all") };
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(needs("size(object) == 1"), Needs::All);
    assert_eq!(needs("[1].exists(x, object['kind' + 'x'] == x)"), Needs::All);
}

#[test]
fn deep_and_long_texts_are_refused_without_a_crash() {
    for text in [
        "(".repeat(4000),
        format!("{}true", "!".repeat(4001)),
        format!("object{}", ".a".repeat(2000)),
        format!("{}1{}", "[".repeat(2000), "]".repeat(2000)),
        "true ? ".repeat(500),
        "1 + ".repeat(1000) + "1 == 2",
        "true".repeat(5000),
    ] {
        let _ = Expression::parse(&text).map(|e| e.test(&pod()));
    }
}

#[test]
fn an_expression_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Expression>();
}

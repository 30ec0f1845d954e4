use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::object::JsonMap;

fn back(tree: &Json) -> Json {
    parse(&emit(tree).unwrap()).unwrap()
}

#[test]
fn an_object_is_written_for_people() {
    let tree = json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":{"on":"yes","rev":"1e3"}},
        "data":{"run.sh":"#!/bin/sh\necho hi\n","one":"012","date":"2024-01-01","long":"word ".repeat(30),"empty":""},
        "list":[{"a":1,"b":[]},{}],"none":null});
    insta::assert_snapshot!(emit(&tree).unwrap(), @r#"
    apiVersion: v1
    kind: ConfigMap
    metadata:
      name: a
      labels:
        "on": "yes"
        rev: "1e3"
    data:
      run.sh: |
        #!/bin/sh
        echo hi
      one: "012"
      date: "2024-01-01"
      long: "word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word "
      empty: ""
    list:
    - a: 1
      b: []
    - {}
    none: null
    "#);
}

#[test]
fn numbers_stay_what_they_are() {
    let tree = json!({"big":u64::MAX,"small":i64::MIN,"whole":1.0,"tiny":1e-9,"huge":1e300,"no":-0.0});
    assert_eq!(back(&tree).to_string(), tree.to_string());
}

#[test]
fn what_kubectl_users_write_is_read_as_kubectl_reads_it() {
    let read = |text: &str| parse(&format!("a: {text}\n")).unwrap()["a"].clone();
    assert_eq!(read("0644"), json!(420));
    assert_eq!(read("0o644"), json!(420));
    assert_eq!(read("yes"), json!(true));
    assert_eq!(read("2024-01-01"), json!("2024-01-01"));
    assert_eq!(read("12:30"), json!("12:30"));
    assert_eq!(read("&x {b: 1}"), json!({"b":1}));
    assert_eq!(parse("x: &x {p: 1}\na:\n  <<: *x\n  q: 2\n").unwrap()["a"], json!({"q":2,"p":1}));
}

#[test]
fn many_documents_come_in_order_and_empty_ones_are_left_out() {
    let all = parse_all("---\na: 1\n---\n---\n# nothing\n---\na: 2\n...\n").unwrap();
    assert_eq!(all, vec![json!({"a":1}), json!({"a":2})]);
    assert!(parse("a: 1\n---\na: 2\n").is_err());
}

#[test]
fn errors_name_the_place_and_not_the_text() {
    let bad = parse("kind: Secret\ndata:\n  password: \"hunter2\n  x: [\n").unwrap_err();
    assert!(bad.line >= 3 && !bad.to_string().contains("hunter2"), "{bad}");
    let twice = parse("a: 1\nb: 2\na: 3\n").unwrap_err();
    assert_eq!((twice.line, twice.column), (3, 1));
    assert!(twice.message.contains("duplicate mapping key: a"), "{twice}");
    let second = parse_all("a: 1\n---\na: 1\na: 2\n").unwrap_err();
    assert_eq!(second.line, 4);
}

#[test]
fn bombs_are_stopped() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for i in 1..12 {
        writeln!(bomb, "a{i}: &a{i} [{}]", vec![format!("*a{}", i - 1); 9].join(",")).unwrap();
    }
    assert!(parse(&bomb).is_err());
    let deep: String = (0..500).fold(String::new(), |text, i| text + &" ".repeat(i) + "a:\n");
    assert!(parse(&deep).is_err());
    assert!(parse(&"[".repeat(10_000)).is_err());
    let fine: String = (0..150).fold(String::new(), |text, i| text + &" ".repeat(i) + "a:\n");
    assert!(parse(&fine).is_ok());
}

/// Strings that some YAML reader takes for something else.
const TRICKY: &[&str] = &[
    "yes",
    "No",
    "on",
    "OFF",
    "y",
    "N",
    "true",
    "null",
    "~",
    "",
    "1e3",
    "1.",
    ".5",
    "+1",
    "0x10",
    "0o17",
    "012",
    "08",
    "1_000",
    "0b10",
    "190:20:30",
    "1:30",
    "2024-01-01",
    ".inf",
    "-.INF",
    ".nan",
    "=",
    "<<",
    "!tag",
    "&a",
    "*a",
    "- x",
    "-",
    "--",
    "? x",
    ":",
    "a: b",
    "x #y",
    "#x",
    "%x",
    "@x",
    "`x",
    "|",
    ">",
    "'",
    "\"",
    "\\",
    "it's",
    "a,b",
    "[a]",
    "{a}",
    " a",
    "a ",
    "\n",
    "\n\n",
    "a\nb",
    "a\nb\n\n",
    "\nlead",
    "\n  lead2\n",
    "  in\nx\n",
    "x\n   \ny\n",
    "trail \nx\n",
    "\t",
    "a\tb\nc",
    "\0",
    "\u{1b}[31m",
    "\u{7f}",
    "\u{85}",
    "a\u{2028}b\nc",
    "\u{feff}x\ny",
    "\r",
    "a\r\nb\r\n",
    "😀\n😀\n",
    "---",
    "...",
    "--- a\n...\n",
    "123456789012345678901234567890",
    "1.2.3",
    "5m",
    "0777",
    "00",
    "a\n# no comment\nb",
];

#[test]
fn strings_stay_strings_as_value_as_element_and_as_key() {
    for text in TRICKY {
        let mut key = JsonMap::new();
        key.insert((*text).into(), json!("v"));
        for tree in [json!({"v":text}), json!([text, {"a":[text]}]), Json::Object(key)] {
            assert_eq!(back(&tree), tree, "{text:?}");
        }
    }
}

fn trees() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_filter("JSON", |f| f.is_finite()).prop_map(Json::from),
        any::<String>().prop_map(Json::from),
        "[ \t\n\r#:|>'\"a-c&*!-]{0,24}".prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::vec(("[ \na-z:#-]{0,8}", inner), 0..6)
                .prop_map(|pairs| Json::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_tree_is_read_back_as_it_was_written(tree in trees()) {
        prop_assert_eq!(back(&json!({ "tree": tree })), json!({ "tree": tree }));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[ \na-c:#|>'\"\\[\\]{},&*!%?-]{0,80}") {
        let _ = parse_all(&text);
    }
}

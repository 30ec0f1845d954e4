use std::fs;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::engine::seal::age;
use crate::engine::yaml;

struct Keys {
    to: Recipients,
    identities: Identities,
    file: String,
    name: String,
}

fn keys() -> Keys {
    let pair = age::generate("2026-11-21T06:30:00Z".parse().unwrap());
    let mut identities = Identities::default();
    identities.add("key.txt", &pair.file).unwrap();
    let to = Recipients::parse(std::slice::from_ref(&pair.recipient)).unwrap();
    Keys { to, identities, file: pair.file.to_string(), name: pair.recipient }
}

fn secret_fields() -> Fields {
    Fields::new(["stringData".to_owned(), "data".to_owned()])
}

fn now() -> Timestamp {
    "2026-11-21T06:30:00.123Z".parse().unwrap()
}

fn sample() -> Json {
    json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","labels":{"on":"yes","rev":"1e3"},"annotations":{"multi":"a\nb\n"}},
        "type":"Opaque","immutable":true,
        "data":{"password":"aHVudGVyMg==","empty":"","none":null,"unicode":"ZcOp","ключ":"в"},
        "stringData":{"yes":"no","num":"0x10","multi":"one\ntwo\n","colon:key":"v","crlf":"a\r\nb","big":"x".repeat(300)},
        "spec":{"list":[1,"two",{"data":["a",true,3,4.5,1e300,9_223_372_036_854_775_807_i64,null,[],{}]}]}})
}

fn sealed(keys: &Keys) -> Json {
    encrypt(sample(), &secret_fields(), &keys.to, now()).unwrap()
}

#[test]
fn a_document_opens_again_and_shows_nothing_before() {
    let keys = keys();
    let document = sealed(&keys);
    let text = yaml::emit(&document).unwrap();
    for value in ["aHVudGVyMg==", "ZcOp", "\"0x10", "one\ntwo", "xxxx"] {
        assert!(!text.contains(value), "{value} is in the clear");
    }
    assert!(text.contains("name: s\n") && text.contains("rev: \"1e3\"") && text.contains("empty: \"\""));
    assert!(is_encrypted(&document) && !is_encrypted(&sample()));
    assert_eq!(recipients(&document), [keys.name.as_str()]);
    assert_eq!(decrypt(yaml::parse(&text).unwrap(), &keys.identities).unwrap(), sample());
}

#[test]
fn the_block_is_what_sops_writes() {
    let keys = keys();
    let block = sealed(&keys)["sops"].clone();
    let names: Vec<&String> = block.as_object().unwrap().keys().collect();
    assert_eq!(names, ["age", "encrypted_regex", "lastmodified", "mac", "mac_only_encrypted", "version"]);
    assert_eq!(block["encrypted_regex"], "^(data|stringData)$");
    assert_eq!(block["lastmodified"], "2026-11-21T06:30:00Z");
}

#[test]
fn a_wrong_identity_is_told_the_recipients() {
    let (first, other) = (keys(), keys());
    let error = decrypt(sealed(&first), &other.identities).unwrap_err();
    assert!(matches!(&error, Error::WrongIdentity(names) if names.as_slice() == [first.name.as_str()]));
}

#[test]
fn any_change_of_an_encrypted_value_is_seen() {
    let keys = keys();
    let document = sealed(&keys);
    let change = |edit: &dyn Fn(&mut JsonMap)| {
        let mut changed = document.clone();
        edit(changed.as_object_mut().unwrap());
        decrypt(changed, &keys.identities).unwrap_err()
    };
    let moved = change(&|doc| {
        let value = doc["data"]["password"].clone();
        doc["data"]["unicode"] = value;
    });
    assert_eq!(moved.to_string(), "cannot decrypt the field data.unicode");
    assert!(matches!(change(&|doc| doc["data"]["password"] = "".into()), Error::Mac));
    assert!(matches!(
        change(&|doc| drop(doc["data"].as_object_mut().unwrap().remove("password"))),
        Error::Mac
    ));
    assert!(matches!(change(&|doc| doc["data"]["password"] = "aHVudGVyMw==".into()), Error::Field { .. }));
    assert!(matches!(change(&|doc| doc["data"]["password"] = json!(3)), Error::Field { .. }));
    assert!(matches!(change(&|doc| doc["sops"]["mac_only_encrypted"] = json!(false)), Error::Mac));
    assert!(matches!(change(&|doc| doc["sops"]["lastmodified"] = json!("2026-11-21T06:30:01Z")), Error::Mac));
    assert!(matches!(
        change(&|doc| drop(doc["sops"].as_object_mut().unwrap().remove("mac"))),
        Error::Block(_)
    ));
    let sealed_text = document["data"]["password"].as_str().unwrap().to_owned();
    for at in 0..sealed_text.len() {
        let mut bytes = sealed_text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(bytes).unwrap();
        change(&|doc| doc["data"]["password"] = text.clone().into());
    }
}

#[test]
fn a_plain_label_may_be_edited_by_hand() {
    let keys = keys();
    let mut document = sealed(&keys);
    document["metadata"]["labels"]["on"] = json!("no");
    assert_eq!(decrypt(document, &keys.identities).unwrap()["metadata"]["labels"]["on"], "no");
}

#[test]
fn keys_that_age_does_not_hold_are_named() {
    let keys = keys();
    let said = |block: Json| {
        let mut document = sealed(&keys);
        for (name, value) in block.as_object().unwrap() {
            document["sops"][name] = value.clone();
        }
        decrypt(document, &keys.identities).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        [
            said(json!({"age":[],"pgp":[{"fp":"x"}],"kms":[{"arn":"y"}]})),
            said(json!({"key_groups":[{"age":[]},{"age":[]}]})),
            said(json!({"age":[]})),
            said(json!({"age":[{"recipient":"age1x"}]})),
            said(json!({"unencrypted_suffix":"_x"})),
            said(json!({"encrypted_regex":"("})),
        ].join("\n"),
        @r"
    cannot decrypt a document whose key is held by pgp, kms: only age recipients are supported
    cannot decrypt a document whose key is held by several key groups: only age recipients are supported
    cannot decrypt: it names no recipient
    cannot decrypt: an age recipient in it has no key
    cannot decrypt: it has more than one rule for what is encrypted
    cannot decrypt: its rule is no regular expression that can be used
    ");
    assert!(matches!(encrypt(sealed(&keys), &secret_fields(), &keys.to, now()), Err(Error::NotPlain)));
    assert!(matches!(decrypt(sample(), &keys.identities), Err(Error::Block("it has no field sops"))));
}

#[test]
fn field_names_are_no_patterns() {
    let fields = Fields::new(["a.b".to_owned(), "a.b".to_owned(), "c|d".to_owned()]);
    assert_eq!(fields.regex(), r"^(a\.b|c\|d)$");
    let keys = keys();
    let tree = json!({"a.b":"1","axb":"2","c":"3","c|d":"4"});
    let document = encrypt(tree.clone(), &fields, &keys.to, now()).unwrap();
    assert!(
        document["axb"] == "2" && document["c"] == "3" && document["a.b"] != "1" && document["c|d"] != "4"
    );
    assert_eq!(decrypt(document, &keys.identities).unwrap(), tree);
}

/// The program, where it is installed.
fn sops() -> Option<String> {
    let named = std::env::var("BACKSTAY_E2E_BIN").map(|folder| format!("{folder}/sops"));
    let mut programs = named.into_iter().chain(["sops".to_owned()]);
    programs.find(|p| Command::new(p).args(["--version", "--disable-version-check"]).output().is_ok())
}

fn run(program: &str, keys: &Keys, args: &[&str]) -> String {
    let mut command = Command::new(program);
    let output =
        command.args(args).env("SOPS_AGE_KEY", &keys.file).env("SOPS_CONFIG", "/dev/null").output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn sops_itself_opens_what_is_written_here() {
    let Some(program) = sops() else { return eprintln!("skipped: there is no program sops") };
    let (keys, folder) = (keys(), tempfile::tempdir().unwrap());
    let file = folder.path().join("s.yaml");
    let empty = json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"none"},"data":{}});
    for tree in [sample(), empty] {
        let document = encrypt(tree.clone(), &secret_fields(), &keys.to, now()).unwrap();
        fs::write(&file, yaml::emit(&document).unwrap()).unwrap();
        let opened = run(&program, &keys, &["-d", "--output-type", "json", file.to_str().unwrap()]);
        assert_eq!(serde_json::from_str::<Json>(&opened).unwrap(), tree);
        let opened = run(&program, &keys, &["-d", file.to_str().unwrap()]);
        assert_eq!(yaml::parse(&opened).unwrap(), tree);
    }
}

#[test]
fn what_sops_wrote_opens_here() {
    let Some(program) = sops() else { return eprintln!("skipped: there is no program sops") };
    let (keys, folder) = (keys(), tempfile::tempdir().unwrap());
    let file = folder.path().join("s.yaml");
    let plain = folder.path().join("plain.yaml");
    fs::write(
        &plain,
        yaml::emit(&sample()).unwrap()
            + "open_unencrypted: {a: 1}\nwhen: 2024-01-01\nhex: 0x10\nbig: 1e21\n# note\n",
    )
    .unwrap();
    let rules: &[&[&str]] = &[
        &[],
        &["--mac-only-encrypted"],
        &["--encrypted-regex", "^(data|stringData)$"],
        &["--encrypted-regex", "^da"],
        &["--encrypted-suffix", "Data", "--mac-only-encrypted"],
        &["--unencrypted-suffix", "a"],
        &["--unencrypted-regex", "^(api|kind|meta)", "--mac-only-encrypted"],
    ];
    for rule in rules {
        let mut args = vec!["-e", "--age", &keys.name, "--output", file.to_str().unwrap()];
        args.extend_from_slice(rule);
        args.push(plain.to_str().unwrap());
        run(&program, &keys, &args);
        let opened = yaml::parse(&run(&program, &keys, &["-d", file.to_str().unwrap()])).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let mut here = decrypt(yaml::parse(&text).unwrap(), &keys.identities).unwrap();
        here["when"] = opened["when"].clone();
        assert_eq!(
            here.to_string().replace("1e+21", "1e21"),
            opened.to_string().replace("1e+21", "1e21"),
            "{rule:?}"
        );
    }
}

#[test]
fn a_file_of_many_documents_is_one_to_sops() {
    let Some(program) = sops() else { return eprintln!("skipped: there is no program sops") };
    let (keys, folder) = (keys(), tempfile::tempdir().unwrap());
    let file = folder.path().join("s.yaml");
    fs::write(&file, "a: 1\nb: [x, true]\n---\na: 2\nc: \"\"\n").unwrap();
    run(&program, &keys, &["-e", "-i", "--age", &keys.name, file.to_str().unwrap()]);
    let documents = yaml::parse_all(&fs::read_to_string(&file).unwrap()).unwrap();
    let opened = decrypt_all(documents, &keys.identities).unwrap();
    assert_eq!(opened, [json!({"a":1,"b":["x",true]}), json!({"a":2,"c":""})]);
}

fn leaves() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_filter("JSON", |f| f.is_finite()).prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::vec(("(data|a:b|[a-z]{0,3})", inner), 0..5)
                .prop_map(|pairs| Json::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_tree_opens_to_what_it_was(data in leaves(), open in leaves()) {
        let keys = keys();
        let tree = json!({"data": data, "open": open});
        let document = encrypt(tree.clone(), &secret_fields(), &keys.to, now()).unwrap();
        let read = yaml::parse(&yaml::emit(&document).unwrap()).unwrap();
        prop_assert_eq!(decrypt(read, &keys.identities).unwrap(), tree);
    }

    #[test]
    fn no_block_makes_the_reader_panic(block in leaves(), name in "(mac|age|enc|lastmodified|version|encrypted_regex)") {
        let keys = keys();
        let mut document = sealed(&keys);
        document["sops"][name] = block;
        let _ = decrypt(document, &keys.identities);
    }
}

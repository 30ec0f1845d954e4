use serde_json::json;

use super::*;
use crate::domain::object::Gvk;
use crate::engine::seal::age::{self, Identities};

fn kind(group: &str, kind: &str, plural: &str) -> Resource {
    let gvk = Gvk { group: group.into(), version: "v1".into(), kind: kind.into() };
    Resource { gvk, plural: plural.into(), namespaced: true, verbs: Vec::new(), served: Vec::new() }
}

fn secrets() -> Resource {
    kind("", "Secret", "secrets")
}

fn secret(data: &Json) -> Manifest {
    let tree =
        json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"db","namespace":"shop"},"data":data});
    Manifest::parse(tree).unwrap().sorted()
}

fn config(data: &Json) -> Manifest {
    Manifest::parse(json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":data}))
        .unwrap()
}

fn rule(kinds: &[&str], fields: &[&str]) -> EncryptRule {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    EncryptRule { kinds: owned(kinds), fields: owned(fields) }
}

fn encryptor(rules: &[EncryptRule]) -> (Encryptor, Identities) {
    let pair = age::generate("2026-11-21T06:30:00Z".parse().unwrap());
    let mut identities = Identities::default();
    identities.add("key", &pair.file).unwrap();
    let recipients = Recipients::parse(&[pair.recipient]).unwrap();
    (Encryptor::new(Rules::new(rules).unwrap(), recipients, DigestKey::generate()), identities)
}

fn now() -> Timestamp {
    "2026-11-21T06:30:00Z".parse().unwrap()
}

fn pem(label: &str) -> String {
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7".repeat(3)
    )
}

#[test]
fn a_secret_is_stored_encrypted_and_opens_again() {
    let (encryptor, identities) = encryptor(&[]);
    let object = secret(&json!({"password":"aHVudGVyMg==","empty":"","none":null}));
    let fields = encryptor.fields(&secrets()).unwrap();
    assert_eq!(fields.names(), ["data", "stringData"]);
    let file = encryptor.sealed(&fields, &object, now()).unwrap();
    let text = std::str::from_utf8(file.bytes()).unwrap();
    assert!(!text.contains("aHVudGVyMg==") && text.contains("name: db"));
    assert_eq!(&sops::decrypt(yaml::parse(text).unwrap(), &identities).unwrap(), object.as_json());
}

#[test]
fn a_policy_adds_fields_of_other_kinds() {
    let (encryptor, _) = encryptor(&[rule(&["ConfigMap"], &["data"]), rule(&["*.example.com"], &["spec"])]);
    assert_eq!(encryptor.fields(&kind("", "ConfigMap", "configmaps")).unwrap().names(), ["data"]);
    assert_eq!(encryptor.fields(&kind("example.com", "Thing", "things")).unwrap().names(), ["spec"]);
    assert!(encryptor.fields(&kind("apps", "Deployment", "deployments")).is_none());
    assert!(
        encryptor.fields(&kind("example.org", "Secret", "secrets")).is_none(),
        "not the Secret of Kubernetes"
    );
    assert!(Rules::new(&[rule(&["[a"], &["data"])]).is_err());
}

#[test]
fn a_secret_that_no_rule_encrypts_is_refused() {
    let (encryptor, _) = encryptor(&[]);
    let refused = |data| encryptor.plain(&secret(&data)).map(|_| ()).unwrap_err().to_string();
    assert_eq!(refused(json!({"a":{"b":["x"]}})), "a value of a Secret in /data/a/b/0 would be in the clear");
    assert_eq!(refused(json!({"n":1})), "a value of a Secret in /data/n would be in the clear");
    assert_eq!(refused(json!({"n":"ENC[no]"})), "a value of a Secret in /data/n would be in the clear");
    assert!(encryptor.plain(&secret(&json!({"empty":"","none":null}))).is_ok());
}

#[test]
fn private_keys_are_refused_wherever_they_stand() {
    let (encryptor, _) = encryptor(&[]);
    let refused = |data| encryptor.plain(&config(&data)).map(|_| ()).unwrap_err().to_string();
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
        let said = refused(json!({"tls/key":[pem(label)]}));
        assert_eq!(said, "a private key in /data/tls~1key/0 would be in the clear");
    }
    let old =
        pem("RSA PRIVATE KEY").replacen('\n', "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123\n\n", 1);
    assert!(refused(json!({"k":old})).starts_with("a private key in /data/k"));
    assert!(refused(json!({"k":BASE64.encode(pem("PRIVATE KEY"))})).starts_with("a private key in /data/k"));
    let identity = age::generate(now()).file.to_string();
    assert_eq!(refused(json!({"k":identity})), "an age identity in /data/k would be in the clear");
}

#[test]
fn texts_that_only_speak_of_keys_and_public_parts_are_stored() {
    let (encryptor, _) = encryptor(&[]);
    for text in [
        "PEM, begins with -----BEGIN PRIVATE KEY----- and ends with -----END PRIVATE KEY-----".to_owned(),
        "AGE-SECRET-KEY-1… is what a key looks like".to_owned(),
        pem("CERTIFICATE"),
        pem("PUBLIC KEY"),
        BASE64.encode(pem("CERTIFICATE")),
        age::generate(now()).recipient,
    ] {
        assert!(encryptor.plain(&config(&json!({"k":text}))).is_ok(), "{text}");
    }
}

#[test]
fn a_copy_of_the_object_in_an_annotation_is_refused() {
    let (encryptor, _) = encryptor(&[]);
    let with = |object: Manifest| {
        object.edit(|tree| tree["metadata"]["annotations"] = json!({LAST_APPLIED:"{}"})).unwrap()
    };
    let said = "a copy of the whole object in /metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration would be in the clear";
    assert_eq!(encryptor.plain(&with(config(&json!({})))).map(|_| ()).unwrap_err().to_string(), said);
    let fields = encryptor.fields(&secrets()).unwrap();
    let sealed = encryptor.sealed(&fields, &with(secret(&json!({}))), now());
    assert_eq!(sealed.map(|_| ()).unwrap_err().to_string(), said);
}

#[test]
fn the_digest_changes_with_everything_that_matters() {
    let (first, _) = encryptor(&[]);
    let (other_recipients, _) = encryptor(&[]);
    let other_recipients = Encryptor { key: first.key.clone(), ..other_recipients };
    let other_key = Encryptor { key: DigestKey::generate(), ..first.clone() };
    let fields = first.fields(&secrets()).unwrap();
    let more = Fields::new(["data".to_owned()]);
    let (object, changed) = (secret(&json!({"a":"1"})), secret(&json!({"a":"2"})));
    let digest = first.digest(&fields, &object, "b1");
    assert_eq!(digest, first.digest(&fields, &object, "b1"));
    for other in [
        first.digest(&fields, &changed, "b1"),
        first.digest(&fields, &object, "b2"),
        first.digest(&more, &object, "b1"),
        other_recipients.digest(&fields, &object, "b1"),
        other_key.digest(&fields, &object, "b1"),
    ] {
        assert_ne!(digest, other);
    }
}

#[test]
fn a_digest_key_is_kept_as_hex_and_not_shown() {
    let key = DigestKey::generate();
    let again = DigestKey::from_hex(&key.to_hex()).unwrap();
    assert_eq!((key.to_hex().len(), key.to_hex()), (64, again.to_hex()));
    for bad in ["", "abc", &"g".repeat(64), &"ä".repeat(32)] {
        assert!(DigestKey::from_hex(bad).is_none());
    }
    assert_eq!(format!("{key:?}"), "DigestKey");
}

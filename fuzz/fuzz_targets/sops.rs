//! Any bytes as an encrypted file: of a mirror, of a policy repository, and several documents under one key. The answer is
//! objects or an error, never a panic, and no error repeats what an opened value holds.
#![no_main]

use std::sync::LazyLock;

use backstay::domain::object::Json;
use backstay::engine::seal::age::Identities;
use backstay::engine::seal::sops;
use backstay::engine::policy::source;
use backstay::engine::yaml;
use libfuzzer_sys::fuzz_target;

/// Opens the seeds, so that mutations of them reach what stands behind the data key. It guards nothing else.
static IDENTITIES: LazyLock<Identities> = LazyLock::new(|| {
    let mut identities = Identities::default();
    identities.add("fuzz/key.txt", include_str!("../key.txt")).expect("fuzz/key.txt holds an age identity");
    identities
});

/// Every secret value of the seeds contains this.
const SECRET: &str = "hunter2";

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(document) = yaml::parse(&text) {
        let _ = sops::is_encrypted(&document);
        let _ = sops::recipients(&document);
        open(vec![document], &text);
    }
    if let Ok(nodes) = source::read(&text) {
        open(nodes.iter().map(source::Node::to_json).collect(), &text);
    }
});

fn open(documents: Vec<Json>, text: &str) {
    let count = documents.len();
    match sops::decrypt_all(documents, &IDENTITIES) {
        Ok(opened) => assert_eq!(opened.len(), count),
        Err(error) => assert!(text.contains(SECRET) || !format!("{error:?} {error}").contains(SECRET)),
    }
}

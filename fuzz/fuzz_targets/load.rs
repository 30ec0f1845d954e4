//! Any bytes as a file of a policy repository: a set or a list of problems, never a panic, and no problem without a place.
#![no_main]

use backstay::engine::seal::age::Identities;
use backstay::engine::policy::load::load;
use backstay::engine::policy::repository::{FileContent, Repository, SourceFile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let file = SourceFile { path: "fuzz.yaml".into(), content: FileContent::Bytes(bytes.to_vec()) };
    let repository = Repository { place: "fuzz".into(), files: vec![file], revision: None };
    if let Err(invalid) = load(&repository, &Identities::default()) {
        assert!(!invalid.problems.is_empty());
        let text = invalid.to_string();
        assert!(text.lines().all(|line| !line.is_empty() && line.len() < 1_000_000));
    }
});

//! Any bytes as a file of a policy repository: a set or a list of problems, never a panic, and no problem without a place.
#![no_main]

use backstay::engine::seal::age::Identities;
use backstay::engine::policy::load::load;
use backstay::engine::policy::repository;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let files = [("fuzz.yaml".to_owned(), bytes.to_vec())];
    let Ok(repository) = repository::memory(files.into(), "") else { return };
    if let Err(invalid) = load(&repository, &Identities::default()) {
        assert!(!invalid.problems.is_empty());
        let text = invalid.to_string();
        assert!(text.lines().all(|line| !line.is_empty() && line.len() < 1_000_000));
    }
});

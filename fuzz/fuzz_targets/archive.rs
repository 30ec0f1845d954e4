//! Any bytes as a file of an archive. The first byte says as which: a sealed file, what is sealed, the tar of a part, an
//! index, or a record in the clear. The answer is what is in it or an error, never a panic or more than the limits allow.
#![no_main]

use std::io::Write;
use std::sync::LazyLock;

use backstay::adapters::memory::bucket::MemoryBucket;
use backstay::domain::report::BackupReport;
use backstay::domain::snapshot::Index;
use backstay::engine::seal::age::{Identities, Recipients};
use backstay::engine::archive::part::{self, OBJECT_BYTES, PartReader};
use backstay::engine::seal::age;
use backstay::engine::archive::layout;
use backstay::ports::bucket::Bucket;
use bytes::Bytes;
use futures::executor::block_on;
use libfuzzer_sys::fuzz_target;

static KEYS: LazyLock<(Identities, Recipients)> = LazyLock::new(|| {
    let mut identities = Identities::default();
    identities.add("fuzz/key.txt", include_str!("../key.txt")).expect("fuzz/key.txt holds an age identity");
    let names: Vec<String> = identities.recipients().map(str::to_owned).collect();
    let recipients = Recipients::parse(&names).expect("an identity knows its recipient");
    (identities, recipients)
});

fuzz_target!(|bytes: &[u8]| {
    let Some((form, bytes)) = bytes.split_first() else { return };
    match form % 5 {
        0 => read_part(Bytes::copy_from_slice(bytes)),
        1 => read_part(sealed(bytes)),
        2 => read_part(sealed(&compressed(bytes))),
        3 => read_values(&sealed(&compressed(bytes))),
        _ => read_record(bytes),
    }
});

fn compressed(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory takes everything")
}

fn sealed(bytes: &[u8]) -> Bytes {
    let mut sealer: age::Sealer<Vec<u8>> = KEYS.1.seal(Vec::new()).expect("there is a recipient");
    sealer.write_all(bytes).expect("memory takes everything");
    sealer.finish().expect("memory takes everything").into()
}

fn read_part(bytes: Bytes) {
    let Ok(mut reader) = PartReader::open(bytes, &KEYS.0) else { return };
    while let Ok(Some((path, content))) = reader.next(|path| !path.ends_with("skipped")) {
        assert!(!path.ends_with("skipped"));
        assert!(content.len() as u64 <= OBJECT_BYTES);
    }
}

fn read_values(bytes: &Bytes) {
    let _ = part::open_json::<Index>(bytes.clone(), &KEYS.0);
    let _ = part::open_json::<BackupReport>(bytes.clone(), &KEYS.0);
}

/// The record is the one file of an archive whose text is trusted by nobody and read by everybody.
fn read_record(bytes: &[u8]) {
    let bucket = MemoryBucket::new();
    let folder = "clusters/fuzz/snapshots/shop-20261121t063000z-kwpa";
    let key = format!("{folder}/{}", layout::RECORD);
    block_on(bucket.create(&key, Bytes::copy_from_slice(bytes))).expect("the bucket is empty");
    let listing = block_on(layout::list(&bucket, None)).expect("memory can be listed");
    assert_eq!(listing.records.len() + listing.unreadable.len(), 1);
    for record in &listing.records {
        assert!(record.parts.iter().all(|part| !part.name.contains('/')));
    }
}

//! What every bucket must do: one suite for the memory fake, a folder and the real servers.
//!
//! In: an empty bucket · Out: a panic that names the broken promise · Touches: bucket

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::{Bucket, Entry, Error};

/// Checks every promise of the port. The bucket must be empty at the start, and is empty at the end.
///
/// # Panics
/// When a promise is broken.
pub async fn holds(bucket: &dyn Bucket) {
    assert!(!bucket.describe().is_empty());
    nothing_is_there_at_first(bucket).await;
    what_is_created_can_be_read(bucket).await;
    a_key_is_created_once(bucket).await;
    one_of_many_racing_creators_wins(bucket).await;
    listings_are_sorted_and_stay_in_their_folder(bucket).await;
    folders_are_the_next_level_only(bucket).await;
    many_keys_are_listed_and_deleted(bucket).await;
    bad_keys_are_refused(bucket).await;
    what_is_not_there_counts_as_deleted(bucket).await;
    let left: Vec<String> = bucket.list("").await.unwrap().into_iter().map(|entry| entry.key).collect();
    bucket.delete(&left).await.unwrap();
    assert_eq!(bucket.list("").await.unwrap(), []);
    assert!(bucket.folders("").await.unwrap().is_empty(), "an empty folder is no folder");
}

async fn nothing_is_there_at_first(bucket: &dyn Bucket) {
    assert_eq!(bucket.list("").await.unwrap(), [], "the suite needs an empty bucket");
    assert_eq!(bucket.list("no/such/folder").await.unwrap(), []);
    assert!(bucket.folders("no/such/folder").await.unwrap().is_empty());
    let missing = bucket.read("no/such/key").await;
    assert!(matches!(&missing, Err(Error::NotFound(key)) if key == "no/such/key"), "{missing:?}");
}

async fn what_is_created_can_be_read(bucket: &dyn Bucket) {
    let big: Bytes = (0..3_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    for (key, content) in
        [("a.txt", Bytes::from_static(b"hello")), ("deep/down/Empty_1.x-y", Bytes::new()), ("big", big)]
    {
        bucket.create(key, content.clone()).await.unwrap();
        assert_eq!(bucket.read(key).await.unwrap(), content, "{key}");
    }
}

async fn a_key_is_created_once(bucket: &dyn Bucket) {
    let again = bucket.create("a.txt", Bytes::from_static(b"other")).await;
    assert!(matches!(&again, Err(Error::AlreadyExists(key)) if key == "a.txt"), "{again:?}");
    assert_eq!(bucket.read("a.txt").await.unwrap(), Bytes::from_static(b"hello"), "the first content stays");
}

async fn one_of_many_racing_creators_wins(bucket: &dyn Bucket) {
    let racers: FuturesUnordered<_> = (0..8)
        .map(|number| async move { bucket.create("race/lock", Bytes::from(format!("racer {number}"))).await })
        .collect();
    let results: Vec<_> = racers.collect().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert!(results.iter().all(|r| matches!(r, Ok(()) | Err(Error::AlreadyExists(_)))), "{results:?}");
}

async fn listings_are_sorted_and_stay_in_their_folder(bucket: &dyn Bucket) {
    for key in ["l/b", "l/a/2", "l/a/10", "l/a.x", "l2/other"] {
        bucket.create(key, Bytes::from_static(b"xyz")).await.unwrap();
    }
    let entry = |key: &str| (key.to_owned(), 3);
    let list = async |under| -> Vec<(String, u64)> {
        bucket.list(under).await.unwrap().into_iter().map(|Entry { key, bytes, .. }| (key, bytes)).collect()
    };
    let wanted = [entry("l/a.x"), entry("l/a/10"), entry("l/a/2"), entry("l/b")];
    assert_eq!(list("l").await, wanted);
    assert_eq!(list("l/").await, wanted, "a slash at the end changes nothing");
    assert_eq!(list("l/a").await, [entry("l/a/10"), entry("l/a/2")]);
}

async fn folders_are_the_next_level_only(bucket: &dyn Bucket) {
    assert_eq!(bucket.folders("l").await.unwrap(), ["a"]);
    assert_eq!(bucket.folders("").await.unwrap(), ["deep", "l", "l2", "race"]);
}

async fn many_keys_are_listed_and_deleted(bucket: &dyn Bucket) {
    let keys: Vec<String> = (0..1_050).map(|number| format!("many/{:02}/k{number:04}", number % 7)).collect();
    let writes = futures::stream::iter(keys.clone())
        .map(|key| async move { bucket.create(&key, Bytes::from_static(b"k")).await });
    let results: Vec<_> = writes.buffer_unordered(16).collect().await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(bucket.list("many").await.unwrap().len(), keys.len());
    bucket.delete(&keys).await.unwrap();
    assert_eq!(bucket.list("many").await.unwrap(), []);
}

async fn bad_keys_are_refused(bucket: &dyn Bucket) {
    for key in
        ["", "/", "/abs", "a//b", "a/../b", "..", "./a", "a/", "ä", "a b", "a%2fb", "a:b", "a#1", "a\0"]
    {
        let answer = bucket.create(key, Bytes::from_static(b"x")).await;
        assert!(matches!(answer, Err(Error::BadKey(_))), "create {key:?}: {answer:?}");
        let answer = bucket.read(key).await;
        assert!(matches!(answer, Err(Error::BadKey(_))), "read {key:?}: {answer:?}");
        let answer = bucket.delete(&[key.to_owned()]).await;
        assert!(matches!(answer, Err(Error::BadKey(_))), "delete {key:?}: {answer:?}");
    }
    for folder in ["..", "a/../../b", "/etc", "a b"] {
        let answer = bucket.list(folder).await;
        assert!(matches!(answer, Err(Error::BadKey(_))), "list {folder:?}: {answer:?}");
    }
}

async fn what_is_not_there_counts_as_deleted(bucket: &dyn Bucket) {
    bucket.delete(&[]).await.unwrap();
    bucket.delete(&["never/was".to_owned(), "a.txt".to_owned(), "nor/this".to_owned()]).await.unwrap();
    assert!(matches!(bucket.read("a.txt").await, Err(Error::NotFound(_))));
    bucket.delete(&["a.txt".to_owned()]).await.unwrap();
}

//! The contract of a bucket on a folder, and, where a test run has them, on real servers.

use std::collections::BTreeMap;

use super::super::connect::connect;
use super::super::credentials::Credentials;
use super::*;
use crate::domain::location::ArchiveTarget;
use crate::ports::bucket::contract;

fn target(url: String) -> ArchiveTarget {
    ArchiveTarget {
        url,
        region: None,
        endpoint: None,
        force_path_style: None,
        ca_cert: None,
        part_size_mib: None,
    }
}

fn folder(path: &std::path::Path) -> StoredBucket {
    let url = url::Url::from_directory_path(path).unwrap().to_string();
    connect(&target(url), &Credentials::default(), None).unwrap()
}

#[tokio::test]
async fn a_folder_keeps_the_contract_of_a_bucket() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["plain", "not yet/there", "bäckup ü #1 100%"] {
        contract::holds(&folder(&temp.path().join(name))).await;
    }
}

#[tokio::test]
async fn reading_makes_no_folder() {
    let temp = tempfile::tempdir().unwrap();
    let bucket = folder(&temp.path().join("absent"));
    assert_eq!(bucket.list("").await.unwrap(), []);
    assert!(matches!(bucket.read("a").await, Err(Error::NotFound(_))));
    bucket.delete(&["a".to_owned()]).await.unwrap();
    assert!(!temp.path().join("absent").exists());
}

#[tokio::test]
async fn foreign_files_in_a_folder_are_not_seen() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("with space"), "x").unwrap();
    std::fs::write(temp.path().join("objects#1"), "half an upload").unwrap();
    std::fs::create_dir(temp.path().join("a folder")).unwrap();
    let bucket = folder(temp.path());
    assert_eq!(bucket.list("").await.unwrap(), []);
    assert!(bucket.folders("").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_file_in_place_of_the_folder_is_a_clear_error() {
    let temp = tempfile::NamedTempFile::new().unwrap();
    let error = folder(temp.path()).list("").await.unwrap_err();
    assert!(error.to_string().ends_with("it is not a folder"), "{error}");
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_named_soon() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let bucket = s3(&format!("http://127.0.0.1:{port}"), "key", "bucket");
    let before = std::time::Instant::now();
    let error = bucket.read("a").await.unwrap_err();
    let wanted =
        format!("cannot use the storage: s3://bucket/p: http://127.0.0.1:{port} refuses the connection");
    assert_eq!(error.to_string(), wanted);
    assert!(before.elapsed() < Duration::from_secs(30));
}

fn s3(endpoint: &str, secret: &str, bucket: &str) -> StoredBucket {
    let mut target = target(format!("s3://{bucket}/p"));
    target.endpoint = Some(endpoint.to_owned());
    let pairs = [("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", secret)];
    let credentials = Credentials::new(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    connect(&target, &credentials, None).unwrap()
}

/// The variables that `e2e/cluster/up` writes.
fn e2e() -> BTreeMap<String, String> {
    std::env::vars().filter(|(name, _)| name.starts_with("BACKSTAY_E2E_")).collect()
}

fn real_s3(
    endpoint: &str,
    change: impl Fn(&mut ArchiveTarget, &mut BTreeMap<String, String>),
) -> StoredBucket {
    let e2e = e2e();
    let run = std::process::id();
    let mut target =
        target(format!("s3://{}/contract-{run}/{}", e2e["BACKSTAY_E2E_S3_BUCKET"], endpoint.len()));
    target.endpoint = Some(e2e[endpoint].clone());
    target.region = e2e.get("BACKSTAY_E2E_S3_REGION").cloned();
    let mut pairs = BTreeMap::from([
        ("AWS_ACCESS_KEY_ID".to_owned(), e2e["BACKSTAY_E2E_S3_ACCESS_KEY"].clone()),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), e2e["BACKSTAY_E2E_S3_SECRET_KEY"].clone()),
        ("CA".to_owned(), e2e["BACKSTAY_E2E_S3_CA"].clone()),
    ]);
    change(&mut target, &mut pairs);
    let pem = pairs.remove("CA").map(|file| std::fs::read(file).unwrap());
    connect(&target, &Credentials::new(pairs), pem.as_deref()).unwrap()
}

const PLAIN: &str = "BACKSTAY_E2E_S3_ENDPOINT";
const TLS: &str = "BACKSTAY_E2E_S3_HTTPS_ENDPOINT";

#[tokio::test]
#[ignore = "needs the real servers; run by e2e"]
async fn s3_keeps_the_contract_of_a_bucket() {
    contract::holds(&real_s3(PLAIN, |_, _| {})).await;
}

#[tokio::test]
#[ignore = "needs the real servers; run by e2e"]
async fn s3_over_tls_with_its_own_authority_keeps_the_contract() {
    contract::holds(&real_s3(TLS, |_, _| {})).await;
}

#[tokio::test]
#[ignore = "needs the real servers; run by e2e"]
async fn s3_faults_have_clear_messages() {
    let faults = [
        real_s3(PLAIN, |_, keys| {
            keys.insert("AWS_SECRET_ACCESS_KEY".into(), "wrong".into());
        }),
        real_s3(PLAIN, |_, keys| {
            keys.insert("AWS_ACCESS_KEY_ID".into(), "UNKNOWN".into());
        }),
        real_s3(PLAIN, |target, _| target.url = "s3://no-such-bucket/p".into()),
        real_s3(TLS, |_, keys| {
            keys.remove("CA");
        }),
        real_s3(PLAIN, |target, _| {
            target.endpoint = Some(target.endpoint.take().unwrap().replace("http:", "https:"));
        }),
    ];
    let mut lines = Vec::new();
    for bucket in &faults {
        let text = |error: Option<Error>| error.map_or("fine".to_owned(), |error| error.to_string());
        lines.push(format!("list: {}", text(bucket.list("").await.err())));
        lines.push(format!("read: {}", text(bucket.read("a").await.err())));
        lines.push(format!("create: {}", text(bucket.create("a", "x".into()).await.err())));
        lines.push(format!("delete: {}", text(bucket.delete(&["a".to_owned()]).await.err())));
    }
    let port = |name: &str| e2e()[name].rsplit_once(':').unwrap().1.to_owned();
    let text = lines.join("\n").replace(&port(PLAIN), "PLAIN").replace(&port(TLS), "TLS");
    insta::assert_snapshot!(text.replace(&std::process::id().to_string(), "RUN"), @r#"
    list: access denied: s3://backstay/contract-RUN/24: the secret key does not belong to the access key id
    read: access denied: s3://backstay/contract-RUN/24: the secret key does not belong to the access key id
    create: access denied: s3://backstay/contract-RUN/24: the secret key does not belong to the access key id
    delete: access denied: s3://backstay/contract-RUN/24: the secret key does not belong to the access key id
    list: access denied: s3://backstay/contract-RUN/24: the access key id is not known there
    read: access denied: s3://backstay/contract-RUN/24: the access key id is not known there
    create: access denied: s3://backstay/contract-RUN/24: the access key id is not known there
    delete: access denied: s3://backstay/contract-RUN/24: the access key id is not known there
    list: cannot use the storage: bucket no-such-bucket does not exist in http://127.0.0.1:PLAIN
    read: cannot use the storage: bucket no-such-bucket does not exist in http://127.0.0.1:PLAIN
    create: cannot use the storage: bucket no-such-bucket does not exist in http://127.0.0.1:PLAIN
    delete: cannot use the storage: bucket no-such-bucket does not exist in http://127.0.0.1:PLAIN
    list: cannot use the storage: s3://backstay/contract-RUN/30: the certificate of https://127.0.0.1:TLS is not signed by a known authority; set caCert
    read: cannot use the storage: s3://backstay/contract-RUN/30: the certificate of https://127.0.0.1:TLS is not signed by a known authority; set caCert
    create: cannot use the storage: s3://backstay/contract-RUN/30: the certificate of https://127.0.0.1:TLS is not signed by a known authority; set caCert
    delete: cannot use the storage: s3://backstay/contract-RUN/30: the certificate of https://127.0.0.1:TLS is not signed by a known authority; set caCert
    list: cannot use the storage: s3://backstay/contract-RUN/24: https://127.0.0.1:PLAIN does not speak TLS
    read: cannot use the storage: s3://backstay/contract-RUN/24: https://127.0.0.1:PLAIN does not speak TLS
    create: cannot use the storage: s3://backstay/contract-RUN/24: https://127.0.0.1:PLAIN does not speak TLS
    delete: cannot use the storage: s3://backstay/contract-RUN/24: https://127.0.0.1:PLAIN does not speak TLS
    "#);
}

#[tokio::test]
#[ignore = "needs the real servers; run by e2e"]
async fn azure_keeps_the_contract_of_a_bucket() {
    let e2e = e2e();
    let (url, account) = (&e2e["BACKSTAY_E2E_AZURE_URL"], &e2e["BACKSTAY_E2E_AZURE_ACCOUNT"]);
    let container = &e2e["BACKSTAY_E2E_AZURE_CONTAINER"];
    let bucket = |container: &str, key: &str| {
        let mut target = target(format!("az://{container}/contract-{}", std::process::id()));
        target.endpoint = Some(url.clone());
        let pairs = [("AZURE_STORAGE_ACCOUNT_NAME", account.as_str()), ("AZURE_STORAGE_ACCOUNT_KEY", key)];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        connect(&target, &Credentials::new(pairs), None).unwrap()
    };
    contract::holds(&bucket(container, &e2e["BACKSTAY_E2E_AZURE_KEY"])).await;
    let error = bucket("absent", &e2e["BACKSTAY_E2E_AZURE_KEY"]).list("").await.unwrap_err();
    assert!(error.to_string().contains("bucket absent does not exist in http://"), "{error}");
    let error = bucket(container, "d3Jvbmc=").list("").await.unwrap_err();
    assert!(error.to_string().starts_with("access denied: az://backstay/contract-"), "{error}");
}

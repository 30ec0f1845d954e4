//! What a location must be before any call is made.

use super::*;

fn refusal(url: &str, endpoint: Option<&str>, pairs: &[(&str, &str)]) -> String {
    let target = ArchiveTarget {
        url: url.into(),
        region: None,
        endpoint: endpoint.map(Into::into),
        force_path_style: Some(false),
        ca_cert: None,
        part_size_mib: None,
    };
    let credentials = Credentials::new(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())));
    match connect(&target, &credentials, None) {
        Ok(_) => "fine".into(),
        Err(error) => error.to_string(),
    }
}

/// Address, endpoint, credentials.
type Case<'a> = (&'a str, Option<&'a str>, &'a [(&'a str, &'a str)]);

#[test]
fn what_is_wrong_with_an_address_is_said() {
    let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    let cases: [Case; 17] = [
        ("s3://bucket/prefix", None, &keys),
        ("s3://bucket", Some("minio.internal:9000"), &keys),
        ("s3://", None, &keys),
        (
            "s3://bucket/p",
            None,
            &[
                ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1"),
                ("AWS_ACCESS_KEY_ID", "a"),
                ("AWS_SECRET_ACCESS_KEY", "b"),
            ],
        ),
        ("s3://bucket/p", None, &[]),
        ("s3://bucket/p", None, &keys[..1]),
        ("s3://bucket/p", None, &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "arn:x")]),
        ("s3://a:hunter2@bucket/p", None, &keys),
        ("s3://bucket/p?versionId=1", None, &keys),
        ("gs://bucket/p", None, &[]),
        ("gs://bucket/p", Some("http://127.0.0.1:1"), &[("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")]),
        ("az://container/p", None, &[]),
        ("az://container/p", None, &[("AZURE_STORAGE_ACCOUNT_NAME", "acc")]),
        (
            "az://container/p",
            None,
            &[("AZURE_STORAGE_ACCOUNT_NAME", "acc"), ("AZURE_STORAGE_ACCOUNT_KEY", "hunter2 no base64")],
        ),
        ("ftp://bucket/p", None, &keys),
        ("backups", None, &keys),
        ("file:///", None, &[]),
    ];
    let lines: Vec<String> =
        cases.iter().map(|(url, endpoint, keys)| refusal(url, *endpoint, keys)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    fine
    cannot use s3://bucket as an archive: the endpoint must start with https:// or http://
    cannot use s3:// as an archive: the name of the bucket is missing
    fine
    there are no credentials for s3://bucket/p: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, or AWS_EC2_METADATA_DISABLED=false for the machine's own role
    there are no credentials for s3://bucket/p: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, or AWS_EC2_METADATA_DISABLED=false for the machine's own role
    fine
    cannot use s3://… as an archive: credentials do not belong into the address
    cannot use s3://bucket/p?versionId=1 as an archive: an address has no ? and no #
    there are no credentials for gs://bucket/p: set GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT_KEY, or GCE_METADATA_HOST=metadata.google.internal for workload identity
    fine
    there are no credentials for az://container/p: set AZURE_STORAGE_ACCOUNT_NAME
    there are no credentials for az://container/p: set AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, AZURE_CLIENT_ID with AZURE_CLIENT_SECRET (or AZURE_FEDERATED_TOKEN_FILE) and AZURE_TENANT_ID, or IDENTITY_ENDPOINT
    cannot use az://container/p as an archive: Invalid Access Key: Invalid symbol 32, offset 7.
    cannot use ftp://bucket/p as an archive: it must start with s3://, gs://, az:// or file:///
    cannot use backups as an archive: it must start with s3://, gs://, az:// or file:///
    cannot use file:/// as an archive: a folder is written as file:///path/to/folder
    "#);
    assert!(!lines.concat().contains("hunter2"));
}

#[test]
fn a_file_without_certificates_is_refused() {
    let target = ArchiveTarget {
        url: "s3://bucket".into(),
        region: None,
        endpoint: None,
        force_path_style: None,
        ca_cert: Some("ca.pem".into()),
        part_size_mib: None,
    };
    let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let keys = Credentials::new(keys.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let refusal = |pem: &str| match connect(&target, &keys, Some(pem.as_bytes())) {
        Ok(_) => "fine".to_owned(),
        Err(error) => error.to_string(),
    };
    let pems = ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"];
    insta::assert_snapshot!(pems.map(refusal).join("\n"), @r#"
    cannot use the certificates of caCert: there is no PEM certificate in the file
    cannot use the certificates of caCert: there is no PEM certificate in the file
    cannot use s3://bucket as an archive: builder error: invalid peer certificate: BadEncoding
    "#);
}

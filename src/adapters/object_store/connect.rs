//! From a location to its bucket: address, credentials, certificates, patience.
//!
//! In: `ArchiveTarget`, `Credentials` · Out: `StoredBucket` · Touches: nothing yet, no call is made

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use ::object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use ::object_store::gcp::GoogleCloudStorageBuilder;
use ::object_store::path::Path;
use ::object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use super::credentials::Credentials;
use super::failure::Place;
use super::store::StoredBucket;
use crate::domain::location::ArchiveTarget;

/// Why a location cannot be used at all. No message holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none of the known ones.
    #[error("cannot use {url} as an archive: {reason}")]
    BadUrl {
        /// As written, without credentials.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// No credentials were given. Backstay does not ask the machine's metadata service unless told to.
    #[error("there are no credentials for {url}: set {wanted}")]
    NoCredentials {
        /// As written.
        url: String,
        /// Variables of which one set is needed.
        wanted: &'static str,
    },
    /// The certificate file holds none.
    #[error("cannot use the certificates of caCert: {0}")]
    BadCertificates(String),
    /// The library refuses the settings.
    #[error("cannot use {url} as an archive: {reason}")]
    Refused {
        /// As written.
        url: String,
        /// What it said.
        reason: String,
    },
}

/// Makes the bucket of a location. `ca_pem` is the content of the file that `caCert` names.
///
/// No network call is made, so a wrong key or an absent bucket shows with the first call.
///
/// # Errors
/// Bad addresses, absent credentials, unreadable certificates.
pub fn connect(
    target: &ArchiveTarget,
    credentials: &Credentials,
    ca_pem: Option<&[u8]>,
) -> Result<StoredBucket, Error> {
    let bad = |reason: &str| Error::BadUrl { url: target.url.clone(), reason: reason.to_owned() };
    let schemes = "it must start with s3://, gs://, az:// or file:///";
    let url = Url::parse(&target.url).map_err(|_| bad(schemes))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::BadUrl {
            url: format!("{}://…", url.scheme()),
            reason: "credentials do not belong into the address".into(),
        });
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("an address has no ? and no #"));
    }
    if url.scheme() == "file" {
        return folder(target, &url);
    }
    let asked = match url.scheme() {
        "s3" => credentials.get("AWS_ENDPOINT_URL_S3"),
        "gs" => credentials.get("STORAGE_EMULATOR_HOST"),
        _ => None,
    };
    let endpoint = target.endpoint.as_deref().or(asked);
    let options = client(target, endpoint, ca_pem)?;
    let setup = Setup { target, credentials, endpoint, options, bucket: host(target, &url)? };
    let (store, endpoint) = match url.scheme() {
        "s3" => setup.s3()?,
        "gs" => setup.gs()?,
        "az" => setup.az()?,
        _ => return Err(bad(schemes)),
    };
    let prefix = Path::from_url_path(url.path()).map_err(|error| bad(&error.to_string()))?;
    let place = Place { url: target.url.clone(), bucket: format!("bucket {}", setup.bucket), endpoint };
    Ok(StoredBucket::remote(store, prefix, place))
}

fn folder(target: &ArchiveTarget, url: &Url) -> Result<StoredBucket, Error> {
    let reason = "a folder is written as file:///path/to/folder";
    let bad = || Error::BadUrl { url: target.url.clone(), reason: reason.into() };
    let folder: PathBuf = url.to_file_path().map_err(|()| bad())?;
    let folder: PathBuf = folder.components().collect(); // without the slash at the end
    if folder.parent().is_none() {
        return Err(bad());
    }
    let place = Place {
        url: target.url.clone(),
        bucket: format!("folder {}", folder.display()),
        endpoint: "this machine".into(),
    };
    Ok(StoredBucket::folder(folder, place))
}

fn host(target: &ArchiveTarget, url: &Url) -> Result<String, Error> {
    let reason = "the name of the bucket is missing";
    let missing = || Error::BadUrl { url: target.url.clone(), reason: reason.into() };
    url.host_str().filter(|host| !host.is_empty()).map(ToOwned::to_owned).ok_or_else(missing)
}

/// Time for one attempt grows with the size of a part; a connection is given up after five seconds.
fn client(
    target: &ArchiveTarget,
    endpoint: Option<&str>,
    ca_pem: Option<&[u8]>,
) -> Result<ClientOptions, Error> {
    let mib = u64::from(target.part_size_mib.unwrap_or(8));
    let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let mut options = ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(5))
        .with_timeout(Duration::from_secs(30 + 8 * mib))
        .with_allow_http(plain);
    if let Some(pem) = ca_pem {
        let certificates = Certificate::from_pem_bundle(pem);
        let certificates = certificates.map_err(|error| Error::BadCertificates(error.to_string()))?;
        if certificates.is_empty() {
            return Err(Error::BadCertificates("there is no PEM certificate in the file".into()));
        }
        for certificate in certificates {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

fn retries() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(200),
        max_backoff: Duration::from_secs(5),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: 4, retry_timeout: Duration::from_secs(30) }
}

struct Setup<'a> {
    target: &'a ArchiveTarget,
    credentials: &'a Credentials,
    /// The address that is asked instead of the cloud's own.
    endpoint: Option<&'a str>,
    options: ClientOptions,
    bucket: String,
}

/// A store and the address that is asked.
type Connected = (Arc<dyn ObjectStore>, String);

impl Setup<'_> {
    fn s3(&self) -> Result<Connected, Error> {
        let keys = self.credentials;
        let endpoint = self.endpoint;
        let region = self.target.region.as_deref();
        let region =
            region.or_else(|| keys.first(&["AWS_REGION", "AWS_DEFAULT_REGION"])).unwrap_or("us-east-1");
        let path_style = self.target.force_path_style.unwrap_or(endpoint.is_some());
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_region(region)
            .with_virtual_hosted_style_request(!path_style)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_client_options(self.options.clone())
            .with_retry(retries());
        if let Some(endpoint) = endpoint {
            builder =
                builder.with_endpoint(if path_style { endpoint.to_owned() } else { self.hosted(endpoint)? });
        }
        for (key, value) in self.s3_credentials()? {
            builder = builder.with_config(key, value);
        }
        let store = builder.build().map_err(|error| self.refused(&error))?;
        let asked = endpoint.map_or_else(|| format!("https://s3.{region}.amazonaws.com"), ToOwned::to_owned);
        Ok((Arc::new(store), asked))
    }

    /// The endpoint with the bucket in its host name.
    fn hosted(&self, endpoint: &str) -> Result<String, Error> {
        match endpoint.split_once("://") {
            Some((scheme, host)) => Ok(format!("{scheme}://{}.{host}", self.bucket)),
            None => Err(self.refuse("the endpoint must start with https:// or http://")),
        }
    }

    /// Static keys, else a web identity, else a container's credentials, else, if asked for, the machine's.
    fn s3_credentials(&self) -> Result<Vec<(AmazonS3ConfigKey, String)>, Error> {
        use AmazonS3ConfigKey as Key;
        let ways: [&[(Key, &str)]; 4] = [
            &[(Key::AccessKeyId, "AWS_ACCESS_KEY_ID"), (Key::SecretAccessKey, "AWS_SECRET_ACCESS_KEY")],
            &[(Key::WebIdentityTokenFile, "AWS_WEB_IDENTITY_TOKEN_FILE"), (Key::RoleArn, "AWS_ROLE_ARN")],
            &[
                (Key::ContainerCredentialsFullUri, "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
                (Key::ContainerAuthorizationTokenFile, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
            ],
            &[(Key::ContainerCredentialsRelativeUri, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")],
        ];
        let extras = [(Key::Token, "AWS_SESSION_TOKEN"), (Key::RoleSessionName, "AWS_ROLE_SESSION_NAME")];
        for way in ways {
            if way.iter().all(|(_, name)| self.credentials.get(name).is_some()) {
                let all = way.iter().chain(&extras);
                let set = all.filter_map(|(key, name)| Some((*key, self.credentials.get(name)?.to_owned())));
                return Ok(set.collect());
            }
        }
        if self.credentials.get("AWS_EC2_METADATA_DISABLED") == Some("false") {
            return Ok(Vec::new());
        }
        Err(self.missing(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, \
             or AWS_EC2_METADATA_DISABLED=false for the machine's own role",
        ))
    }

    fn gs(&self) -> Result<Connected, Error> {
        let keys = self.credentials;
        let endpoint = self.endpoint;
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&self.bucket)
            .with_client_options(self.options.clone())
            .with_retry(retries());
        if let Some(endpoint) = endpoint {
            builder = builder.with_base_url(endpoint);
        }
        builder = if let Some(key) = keys.get("GOOGLE_SERVICE_ACCOUNT_KEY") {
            builder.with_service_account_key(key)
        } else if let Some(file) = keys.get("GOOGLE_SERVICE_ACCOUNT") {
            builder.with_service_account_path(file)
        } else if let Some(file) = keys.get("GOOGLE_APPLICATION_CREDENTIALS") {
            builder.with_application_credentials(file)
        } else if keys.get("STORAGE_EMULATOR_HOST").is_some() {
            builder.with_skip_signature(true).with_bearer_token("emulator")
        } else if keys.get("GCE_METADATA_HOST").is_some() {
            builder
        } else {
            return Err(self.missing(
                "GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT_KEY, \
                 or GCE_METADATA_HOST=metadata.google.internal for workload identity",
            ));
        };
        let store = builder.build().map_err(|error| self.refused(&error))?;
        Ok((Arc::new(store), endpoint.unwrap_or("https://storage.googleapis.com").to_owned()))
    }

    fn az(&self) -> Result<Connected, Error> {
        let account = self.credentials.first(&["AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"]);
        let account = account.ok_or_else(|| self.missing("AZURE_STORAGE_ACCOUNT_NAME"))?;
        let mut builder = MicrosoftAzureBuilder::new()
            .with_account(account)
            .with_container_name(&self.bucket)
            .with_client_options(self.options.clone())
            .with_retry(retries());
        if let Some(endpoint) = self.endpoint {
            builder = builder.with_endpoint(endpoint.to_owned());
        }
        for (key, value) in self.az_credentials()? {
            builder = builder.with_config(key, value);
        }
        let store = builder.build().map_err(|error| self.refused(&error))?;
        let public = || format!("https://{account}.blob.core.windows.net");
        Ok((Arc::new(store), self.endpoint.map_or_else(public, ToOwned::to_owned)))
    }

    /// The account's key, else a token, else an application's secret, else a federated token, else, if asked for,
    /// the machine's identity.
    fn az_credentials(&self) -> Result<Vec<(AzureConfigKey, String)>, Error> {
        use AzureConfigKey as Key;
        let ways: [&[(Key, &[&str])]; 5] = [
            &[(Key::AccessKey, &["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"])],
            &[(Key::SasKey, &["AZURE_STORAGE_SAS_TOKEN"])],
            &[
                (Key::ClientId, &["AZURE_CLIENT_ID"]),
                (Key::ClientSecret, &["AZURE_CLIENT_SECRET"]),
                (Key::AuthorityId, &["AZURE_TENANT_ID"]),
            ],
            &[
                (Key::ClientId, &["AZURE_CLIENT_ID"]),
                (Key::FederatedTokenFile, &["AZURE_FEDERATED_TOKEN_FILE"]),
                (Key::AuthorityId, &["AZURE_TENANT_ID"]),
            ],
            &[(Key::MsiEndpoint, &["IDENTITY_ENDPOINT"])],
        ];
        let value = |names: &[&str]| self.credentials.first(names).map(ToOwned::to_owned);
        let complete = ways.iter().find(|way| way.iter().all(|(_, names)| value(names).is_some()));
        let way = complete.ok_or_else(|| {
            self.missing(
                "AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, AZURE_CLIENT_ID with AZURE_CLIENT_SECRET \
                 (or AZURE_FEDERATED_TOKEN_FILE) and AZURE_TENANT_ID, or IDENTITY_ENDPOINT",
            )
        })?;
        let host: (Key, &[&str]) = (Key::AuthorityHost, &["AZURE_AUTHORITY_HOST"]);
        let all = way.iter().chain(std::iter::once(&host));
        Ok(all.filter_map(|(key, names)| Some((*key, value(names)?))).collect())
    }

    fn missing(&self, wanted: &'static str) -> Error {
        Error::NoCredentials { url: self.target.url.clone(), wanted }
    }

    fn refuse(&self, reason: &str) -> Error {
        Error::Refused { url: self.target.url.clone(), reason: reason.to_owned() }
    }

    fn refused(&self, error: &::object_store::Error) -> Error {
        let mut reason = Vec::new();
        let mut cause = std::error::Error::source(error);
        while let Some(next) = cause {
            reason.push(next.to_string());
            cause = next.source();
        }
        reason.dedup_by(|inner, outer| outer.contains(inner.as_str()));
        self.refuse(&reason.join(": "))
    }
}

#[cfg(test)]
mod tests;

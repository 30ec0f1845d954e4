//! What opens a bucket: the well-known variables of the clouds' own tools, and nothing else.
//!
//! In: names and values · Out: `Credentials` · Touches: nothing

use std::collections::BTreeMap;
use std::fmt;

/// Variables that are taken over, from the environment or from the keys of a Secret.
const KNOWN: [&str; 29] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_STORAGE_ACCOUNT",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_TENANT_ID",
    "GCE_METADATA_HOST",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "IDENTITY_ENDPOINT",
    "STORAGE_EMULATOR_HOST",
];

/// Credentials for object storage under the names the clouds' tools use. `Debug` prints names, no values.
#[derive(Clone, Default)]
pub struct Credentials(BTreeMap<String, String>);

impl Credentials {
    /// Takes the variables it knows; empty values count as absent.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let known = |(name, value): &(String, String)| KNOWN.contains(&name.as_str()) && !value.is_empty();
        Self(pairs.into_iter().filter(known).collect())
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of the first of these variables that is there.
    pub(super) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_variables_are_taken_and_none_is_printed() {
        let pairs = [("AWS_SECRET_ACCESS_KEY", "hunter2"), ("AWS_REGION", ""), ("HOME", "/root")];
        let credentials = Credentials::new(pairs.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(format!("{credentials:?}"), r#"{"AWS_SECRET_ACCESS_KEY"}"#);
        assert_eq!(credentials.get("AWS_SECRET_ACCESS_KEY"), Some("hunter2"));
    }
}

//! What the command line and the environment say, gathered once.
//!
//! In: options, environment variables · Out: `Settings` · Touches: the environment

use std::collections::BTreeMap;
use std::path::PathBuf;

use etcetera::BaseStrategy;

use crate::adapters::otlp::{Address, Endpoint};

/// Everything a command may want to know that is not an argument of its own.
#[derive(Clone)]
pub struct Settings {
    /// Policy repository: a folder or a URL.
    pub policy_repo: String,
    /// Whether somebody said where the policy repository is.
    pub has_policy_repo: bool,
    /// Branch, tag or commit of the policy repository.
    pub policy_ref: Option<String>,
    /// Folder inside of the policy repository; absent: all of it.
    pub policy_path: Option<String>,
    /// Name of the cluster; absent: the context's name.
    pub cluster_name: Option<String>,
    /// Kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    pub context: Option<String>,
    /// Namespace of credential Secrets.
    pub namespace: String,
    /// Files with identities.
    pub identities: Vec<PathBuf>,
    /// Folder for what can be fetched again.
    pub cache: PathBuf,
    /// Folder for what must stay: digest keys.
    pub state: PathBuf,
    /// Where the digest keys of mirrors are kept.
    pub keys: Keys,
    /// File or folder with the keys of those who may sign commits of the policy repository; absent: commits need no
    /// signature.
    pub allowed_signers: Option<PathBuf>,
    /// Environment variables; values are secret.
    pub variables: BTreeMap<String, String>,
}

/// Where digest keys are kept: every process that writes a mirror needs the same one, or its Secrets are encrypted anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// In a file of the state folder.
    Folder,
    /// In a Secret of Backstay's namespace, which all replicas share.
    Cluster,
}

impl Settings {
    /// A variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Where spans go: the address given, else that of the OpenTelemetry specification's variables. `/v1/traces` is added, but not
    /// to the variable that is for traces alone.
    pub fn traces(&self, given: Option<&str>) -> Option<Endpoint> {
        let says = |name: &str, word: &str| self.variable(name).is_some_and(|v| v.eq_ignore_ascii_case(word));
        if says("OTEL_SDK_DISABLED", "true") {
            return None;
        }
        let base = |by, text: &str| Some(Endpoint { by, address: Address::Base(text.to_owned()) });
        if let Some(given) = given {
            return base("--otlp-endpoint", given);
        }
        if says("OTEL_TRACES_EXPORTER", "none") {
            return None;
        }
        let (alone, all) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
        if let Some(text) = self.variable(alone) {
            return Some(Endpoint { by: alone, address: Address::Whole(text.to_owned()) });
        }
        self.variable(all).and_then(|text| base(all, text))
    }

    /// The person's home folder, if there is one.
    pub fn home(&self) -> Option<PathBuf> {
        self.variable("HOME").map(PathBuf::from)
    }
}

/// The environment of the process; variables that are not text are left out.
pub fn environment() -> BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// The folders for cache and state by the XDG rules; below the temporary folder where there is no home.
pub fn folders() -> (PathBuf, PathBuf) {
    let fallback = || std::env::temp_dir().join("backstay");
    match etcetera::choose_base_strategy() {
        Ok(base) => {
            let state = base.state_dir().unwrap_or_else(|| base.data_dir());
            (base.cache_dir().join("backstay"), state.join("backstay"))
        }
        Err(_) => (fallback().join("cache"), fallback().join("state")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(given: Option<&str>, variables: &[(&str, &str)]) -> String {
        let (cache, state) = folders();
        let settings = Settings {
            policy_repo: ".".into(),
            has_policy_repo: false,
            policy_ref: None,
            policy_path: None,
            cluster_name: None,
            kubeconfig: None,
            context: None,
            namespace: "backstay".into(),
            identities: Vec::new(),
            cache,
            state,
            keys: Keys::Folder,
            allowed_signers: None,
            variables: variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        };
        let Some(endpoint) = settings.traces(given) else { return "off".into() };
        match endpoint.url() {
            Ok(url) => url.to_string(),
            Err(error) => format!("{error}; next: {}", error.next()),
        }
    }

    #[test]
    fn spans_go_where_the_option_or_the_standard_variables_say_and_nowhere_by_default() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318/");
        let alone = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/in");
        assert_eq!(url(None, &[]), "off");
        assert_eq!(url(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), "off");
        assert_eq!(url(None, &[base]), "http://all:4318/v1/traces");
        assert_eq!(url(None, &[base, alone]), "http://traces:4318/in");
        assert_eq!(url(Some("https://given"), &[base, alone]), "https://given/v1/traces");
        assert_eq!(url(None, &[base, ("OTEL_TRACES_EXPORTER", "none")]), "off");
        assert_eq!(url(Some("https://given"), &[("OTEL_SDK_DISABLED", "TRUE")]), "off");
    }

    #[test]
    fn an_address_that_spans_cannot_go_to_is_refused_by_the_name_of_who_said_it() {
        let (all, alone) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let cases = [
            url(Some("http://"), &[]),
            url(Some("http:///x"), &[]),
            url(Some("collector:4318"), &[]),
            url(Some("ftp://collector"), &[]),
            url(Some("http://collector:65536"), &[]),
            url(Some("http://collector:4318?key=geheim"), &[]),
            url(Some("http://collector:4318/#geheim"), &[]),
            url(Some("http://collector:4318/v1/traces/"), &[]),
            url(None, &[(all, "collector:4318")]),
            url(None, &[(all, "https://collector/v1/traces")]),
            url(None, &[(alone, "http://")]),
            url(None, &[(alone, "https://collector/v1/traces?key=1")]),
            url(Some("http://[::1]:4318/in/"), &[]),
        ];
        insta::assert_snapshot!(cases.join("\n"), @"
        cannot use the address of the OpenTelemetry collector in --otlp-endpoint: it is no http or https URL with a host; next: name a collector as http://HOST:4318
        cannot use the address of the OpenTelemetry collector in --otlp-endpoint: it is no http or https URL with a host; next: name a collector as http://HOST:4318
        cannot use the address of the OpenTelemetry collector in --otlp-endpoint: it is no http or https URL with a host; next: name a collector as http://HOST:4318
        cannot use the address of the OpenTelemetry collector in --otlp-endpoint: it is no http or https URL with a host; next: name a collector as http://HOST:4318
        cannot use the address of the OpenTelemetry collector in --otlp-endpoint: it is no http or https URL with a host; next: name a collector as http://HOST:4318
        cannot use the address of the OpenTelemetry collector in --otlp-endpoint: it has a query or a fragment; next: leave out what begins with ? or #; what it is for may be said in OTEL_EXPORTER_OTLP_HEADERS
        cannot use the address of the OpenTelemetry collector in --otlp-endpoint: it has a query or a fragment; next: leave out what begins with ? or #; what it is for may be said in OTEL_EXPORTER_OTLP_HEADERS
        cannot use the address of the OpenTelemetry collector in --otlp-endpoint: it ends with /v1/traces; next: leave out /v1/traces: it is added
        cannot use the address of the OpenTelemetry collector in OTEL_EXPORTER_OTLP_ENDPOINT: it is no http or https URL with a host; next: name a collector as http://HOST:4318
        cannot use the address of the OpenTelemetry collector in OTEL_EXPORTER_OTLP_ENDPOINT: it ends with /v1/traces; next: leave out /v1/traces: it is added
        cannot use the address of the OpenTelemetry collector in OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: it is no http or https URL with a host; next: name a collector as http://HOST:4318
        https://collector/v1/traces?key=1
        http://[::1]:4318/in/v1/traces
        ");
    }
}

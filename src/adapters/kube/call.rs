//! One request to an API server: its path, its sending, and its answer as bytes or as the port's error.
//!
//! In: a path, a query, a body · Out: bytes · Touches: the API server

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, Request};
use kube::client::Body;
use url::form_urlencoded;

use super::connect::ApiServer;
use super::failure::{Refusal, unanswered};
use super::scrub::Content;
use crate::domain::object::Resource;
use crate::ports::cluster::Error;

/// What is sent.
#[derive(Debug)]
pub struct Call {
    /// HTTP method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// `Accept` header.
    pub accept: &'static str,
    /// Body and its `Content-Type`.
    pub body: Option<(&'static str, Vec<u8>)>,
}

impl Call {
    /// A `GET` that takes JSON.
    pub fn get(path: String) -> Self {
        Self { method: Method::GET, path, accept: "application/json", body: None }
    }

    /// A write that takes JSON.
    pub fn write(method: Method, path: String, kind: &'static str, body: Vec<u8>) -> Self {
        Self { method, path, accept: "application/json", body: Some((kind, body)) }
    }
}

/// What came back, whatever its status.
#[derive(Debug)]
pub struct Reply {
    code: u16,
    after: Option<Duration>,
    body: Bytes,
}

impl Reply {
    /// The body of a successful answer.
    ///
    /// # Errors
    /// Everything but a status of 200 to 299, as the port's error.
    pub fn success(self, content: Content) -> Result<Bytes, Error> {
        if (200..300).contains(&self.code) { Ok(self.body) } else { Err(self.refusal().error(content)) }
    }

    /// The answer as a refusal.
    pub fn refusal(&self) -> Refusal<'_> {
        Refusal { code: self.code, after: self.after, body: &self.body }
    }
}

/// Sends one request and waits for the whole answer. Repeats nothing.
///
/// # Errors
/// [`Error::Unreachable`] without a connection, [`Error::Busy`] where it was lost or silent, and
/// [`Error::Unauthorized`] where a credential plugin failed.
pub async fn send(server: &ApiServer, call: Call) -> Result<Reply, Error> {
    let mut request = Request::builder().method(call.method).uri(call.path).header(ACCEPT, call.accept);
    let mut body = Vec::new();
    if let Some((kind, bytes)) = call.body {
        request = request.header(CONTENT_TYPE, kind);
        body = bytes;
    }
    let request = request
        .body(Body::from(body))
        .map_err(|_| Error::Invalid("a name that cannot stand in a URL".into()))?;
    let failed = |error: kube::Error| unanswered(&error, server.url());
    let answer = server.client.send(request).await.map_err(failed)?;
    let code = answer.status().as_u16();
    let after = retry_after(answer.headers());
    let body = answer.into_body().collect_bytes().await.map_err(failed)?;
    Ok(Reply { code, after, body })
}

/// `Retry-After` in seconds; a date, which API servers do not send, counts as absent.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// `/api/v1/namespaces/shop/secrets`; without a namespace, `/apis/apps/v1/deployments`.
pub fn collection(resource: &Resource, namespace: Option<&str>) -> String {
    let root = if resource.gvk.group.is_empty() { "/api" } else { "/apis" };
    let mut path = format!("{root}/{}", resource.gvk.api_version());
    if let Some(namespace) = namespace.filter(|_| resource.namespaced) {
        path = format!("{path}/namespaces/{}", segment(namespace));
    }
    format!("{path}/{}", segment(&resource.plural))
}

/// The collection's path and one name in it.
///
/// # Errors
/// [`Error::Invalid`] for names that a URL gives another meaning, and for a missing namespace.
pub fn item(resource: &Resource, namespace: Option<&str>, name: &str) -> Result<String, Error> {
    if matches!(name, "" | "." | "..") || name.contains('/') {
        return Err(Error::Invalid("metadata.name: this cannot be a name".into()));
    }
    if resource.namespaced && namespace.is_none_or(str::is_empty) {
        return Err(Error::Invalid("metadata.namespace: required".into()));
    }
    Ok(format!("{}/{}", collection(resource, namespace), segment(name)))
}

/// Path and query.
pub fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.is_empty() { path.into() } else { format!("{path}?{query}") }
}

/// One segment of a path, escaped where RFC 3986 demands it; `system:node` stays as it is.
fn segment(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:@!$&'()*+,;=".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
pub mod stub;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::object::Gvk;

    fn resource(api_version: &str, plural: &str, namespaced: bool) -> Resource {
        Resource {
            gvk: Gvk::new(api_version, "X"),
            plural: plural.into(),
            namespaced,
            verbs: Vec::new(),
            served: Vec::new(),
        }
    }

    #[test]
    fn paths_follow_the_group_the_scope_and_the_name() {
        let pods = resource("v1", "pods", true);
        let roles = resource("rbac.authorization.k8s.io/v1", "clusterroles", false);
        assert_eq!(collection(&pods, None), "/api/v1/pods");
        assert_eq!(item(&pods, Some("shop"), "web").unwrap(), "/api/v1/namespaces/shop/pods/web");
        let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a%20%C3%A4%3F";
        assert_eq!(item(&roles, Some("ignored"), "system:a ä?").unwrap(), path);
        assert_eq!(with_query("/x", &[("a", "b c"), ("d", "e=f,!g")]), "/x?a=b+c&d=e%3Df%2C%21g");
    }

    #[test]
    fn names_cannot_lead_elsewhere() {
        let pods = resource("v1", "pods", true);
        for bad in ["", ".", "..", "a/b", "../../secrets/x"] {
            assert!(matches!(item(&pods, Some("shop"), bad), Err(Error::Invalid(_))), "{bad}");
        }
        assert!(matches!(item(&pods, None, "web"), Err(Error::Invalid(_))));
    }
}

//! Runs commands in containers, through the WebSocket subprotocol of `pods/exec`.
//!
//! Source: `k8s.io/apimachinery/pkg/util/remotecommand`, subprotocols `v5.channel.k8s.io` and `v4.channel.k8s.io`.
//!
//! In: a container and a command · Out: its exit code, its output as it comes · Touches: the API server

use std::time::Duration;

use async_trait::async_trait;
use futures::future::{Either, join, select};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::AttachParams;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::call::{Call, item, send, with_query};
use super::connect::ApiServer;
use super::failure::{Refusal, unanswered};
use super::scrub::{self, Content};
use crate::domain::object::{Placed, Resource};
use crate::ports::cluster;
use crate::ports::exec::{Container, Ended, Error, Exec, KEPT, LINES, Transcript};

/// How long the rest of the output is waited for once the command has ended.
const REST: Duration = Duration::from_secs(5);

#[async_trait]
impl Exec for ApiServer {
    async fn exec(
        &self,
        container: &Container,
        command: &[String],
        transcript: &Transcript,
    ) -> Result<Ended, Error> {
        // The name is checked as every other one, before it stands in a path.
        item(&pods(), Some(&container.namespace), &container.pod)?;
        let params = AttachParams {
            container: Some(container.name.clone()),
            stdin: false,
            stdout: true,
            stderr: true,
            tty: false,
            max_stdout_buf_size: Some(KEPT),
            max_stderr_buf_size: Some(KEPT),
            ..AttachParams::default()
        };
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &container.namespace);
        let program = command.first().map(String::as_str).unwrap_or_default();
        let started = api.exec(&container.pod, command.to_vec(), &params).await;
        let mut process = started.map_err(|error| refused(&error, container, self.url()))?;
        let (output, errors) = (process.stdout(), process.stderr());
        let Some(status) = process.take_status() else { return Err(lost()) };
        let read = Box::pin(join(
            drain(output, |bytes| transcript.output(bytes)),
            drain(errors, |bytes| transcript.errors(bytes)),
        ));
        let status = match select(Box::pin(status), read).await {
            // The streams end after the status, but not where the connection is lost.
            Either::Left((Some(status), rest)) => {
                tokio::time::timeout(REST, rest).await.ok();
                Some(status)
            }
            Either::Left((None, _)) => None,
            Either::Right((_, status)) => status.await,
        };
        status.map_or_else(|| Err(lost()), |status| ended(&status, program))
    }

    async fn logs(&self, container: &Container) -> Result<Vec<u8>, cluster::Error> {
        let path = format!("{}/log", item(&pods(), Some(&container.namespace), &container.pod)?);
        let lines = LINES.to_string();
        let query = [("container", container.name.as_str()), ("tailLines", lines.as_str())];
        let reply = send(self, Call::get(with_query(&path, &query))).await?;
        let bytes = reply.success(Content::None)?;
        Ok(bytes[bytes.len().saturating_sub(KEPT)..].to_vec())
    }
}

async fn drain(stream: Option<impl AsyncRead + Unpin>, take: impl Fn(&[u8])) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; KEPT];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        take(&buffer[..count]);
    }
}

fn lost() -> Error {
    Error::Lost("the API server or the node closed it".into())
}

/// How the command ended, as the kubelet says it at the end of the connection.
fn ended(status: &Status, program: &str) -> Result<Ended, Error> {
    if status.status.as_deref() == Some("Success") {
        return Ok(Ended::Code(0));
    }
    let causes = status.details.iter().flat_map(|details| details.causes.iter().flatten());
    let mut code = causes.filter(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = code.find_map(|cause| cause.message.as_deref()?.parse().ok());
    match code {
        Some(code) => Ok(Ended::Code(code)),
        None => Err(not_begun(status.message.as_deref().unwrap_or_default(), program)),
    }
}

/// Why a container runtime did not begin a command.
///
/// Source: the texts of runc, crun, containerd and CRI-O, which have no other form.
fn not_begun(message: &str, program: &str) -> Error {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&[
        "executable file not found",
        "no such file or directory",
        "permission denied",
        "exec format error",
    ]) {
        return Error::NoProgram(program.to_owned());
    }
    let text = scrub::line(message, Content::None);
    if has(&["container not found", "not running", "stopped container", "is not created or running"]) {
        return Error::NotRunning(text);
    }
    Error::Lost(text)
}

/// Why the API server did not let a command begin.
fn refused(error: &kube::Error, container: &Container, url: &str) -> Error {
    let kube::Error::Api(status) = error else { return unanswered(error, url).into() };
    let text = || scrub::line(&status.message, Content::None);
    // A ValidatingAdmissionPolicy and a webhook choose their own status code.
    if status.message.contains("denied request") || status.message.contains("denied the request") {
        return Error::Denied(text());
    }
    if status.message.contains("is not valid for pod") {
        return Error::NoContainer(container.name.clone());
    }
    if ["container not found", "does not have a host", "not running"]
        .iter()
        .any(|w| status.message.contains(w))
    {
        return Error::NotRunning(text());
    }
    let body = serde_json::to_vec(status).unwrap_or_default();
    Refusal { code: status.code, after: None, body: &body }.error(Content::None).into()
}

fn pods() -> Resource {
    Resource::well_known("v1", "Pod", "pods", Placed::InNamespaces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: &str) -> String {
        let status: Status = serde_json::from_str(status).unwrap();
        format!("{:?}", ended(&status, "pg_dump"))
    }

    #[test]
    fn the_last_message_tells_how_the_command_ended() {
        let code = r#"{"status":"Failure","reason":"NonZeroExitCode","message":"command terminated with non-zero exit code",
            "details":{"causes":[{"reason":"ExitCode","message":"3"}]}}"#;
        let runc = r#"{"status":"Failure","reason":"InternalError","code":500,"message":"Internal error occurred: error executing command in container: failed to exec in container: failed to start exec \"e1\": OCI runtime exec failed: exec failed: unable to start container process: exec: \"pg_dump\": executable file not found in $PATH"}"#;
        let stopped = r#"{"status":"Failure","message":"container not found (\"web\")"}"#;
        for (status, expected) in [
            (r#"{"status":"Success"}"#, "Ok(Code(0))"),
            (code, "Ok(Code(3))"),
            (runc, "Err(NoProgram(\"pg_dump\"))"),
            (stopped, r#"Err(NotRunning("container not found (\"web\")"))"#),
            (r#"{"status":"Failure","message":"stream error"}"#, r#"Err(Lost("stream error"))"#),
        ] {
            assert_eq!(said(status), expected);
        }
    }

    #[test]
    fn refusals_have_names_of_their_own() {
        let container = Container { namespace: "shop".into(), pod: "db".into(), name: "psql".into() };
        let told = |code: u16, message: &str| {
            let mut status = kube::core::Status::failure(message, "x");
            status.code = code;
            format!("{:?}", refused(&kube::Error::Api(status.boxed()), &container, "https://x"))
        };
        for (code, message, expected) in [
            (
                422,
                "pods \"db\" is forbidden: ValidatingAdmissionPolicy 'no-exec' with binding 'b' denied request: no",
                "Denied(",
            ),
            (403, "admission webhook \"k\" denied the request: no", "Denied("),
            (
                403,
                "pods \"db\" is forbidden: User \"u\" cannot create resource \"pods/exec\"",
                "Cluster(Forbidden(",
            ),
            (400, "container psql is not valid for pod db", "NoContainer(\"psql\")"),
            (404, "pods \"db\" not found", "Cluster(NotFound("),
            (500, "unable to upgrade connection: container not found (\"psql\")", "NotRunning("),
        ] {
            let shown = told(code, message);
            assert!(shown.starts_with(expected), "{shown}");
        }
    }
}

//! Runs a Job and waits for its end. It is deleted afterwards; the cluster itself deletes one that was left behind.
//!
//! In: a `JobHook`, a namespace · Out: `Attempt` · Touches: cluster (read and write), containers (logs), clock

use std::time::Duration;

use serde_json::json;

use super::attempt::Attempt;
use super::doors::Doors;
use super::survey::pods;
use crate::domain::fixup::Propagation;
use crate::domain::hook::JobHook;
use crate::domain::hook_report::HookResult;
use crate::domain::object::{Json, Manifest, Placed, Resource};
use crate::engine::gather::listing;
use crate::engine::retry::{after, persist};
use crate::ports::cluster::{self, Mode, Place, Scope};
use crate::ports::exec::{Container, KEPT, LINES};

/// How often the Job is read.
const LOOK: Duration = Duration::from_secs(1);

/// Seconds after its end until the cluster deletes a Job that was left behind.
const LEFT: u64 = 3600;

/// Runs the Job.
pub async fn attempt(
    doors: &Doors<'_>,
    (hook, job): (&str, &JobHook),
    namespace: &str,
    timeout: Duration,
) -> Attempt {
    let reach = doors.reach;
    let object = match manifest(&name(hook, &reach.clock.letters()), namespace, (job, timeout)) {
        Ok(object) => object,
        Err(error) => return Attempt::refused("making the Job", &error),
    };
    let jobs = jobs();
    let call = async || reach.writer.create(&jobs, &object, Mode::Real).await;
    if let Err(error) = persist(reach.clock, reach.patience, call).await.result {
        return Attempt::refused("creating the Job", &error);
    }
    let mut attempt = wait(doors, &object, timeout).await;
    if let Some(bytes) = logs(doors, &object).await {
        let lines = bytes.split(|byte| *byte == b'\n').count();
        let cut = bytes.len() >= KEPT || lines >= LINES;
        attempt.stdout = (bytes, cut);
    }
    let place = Place { namespace: object.namespace(), name: object.name(), subresource: "" };
    let call = async || reach.writer.delete(&jobs, place, Propagation::Background).await;
    match persist(reach.clock, reach.patience, call).await.result {
        Ok(()) | Err(cluster::Error::NotFound(_)) => {}
        Err(error) => attempt.notes.push(format!("the Job was not deleted: {error}")),
    }
    attempt
}

fn name(hook: &str, letters: &str) -> String {
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let short: String = hook.to_ascii_lowercase().chars().map(plain).take(40).collect();
    format!("backstay-{}-{letters}", short.trim_matches('-'))
}

/// A Job that fits the restricted Pod Security Standard, but for the user, which is the image's unless the hook says one.
fn manifest(
    name: &str,
    namespace: &str,
    (job, timeout): (&JobHook, Duration),
) -> Result<Manifest, cluster::Error> {
    let mut container = json!({
        "name": "hook", "image": job.image, "command": job.command,
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    if let Some(secret) = &job.env_from_secret {
        container["envFrom"] = json!([{"secretRef": {"name": secret}}]);
    }
    let mut pod = json!({
        "restartPolicy": "Never", "containers": [container],
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
    });
    if let Some(account) = &job.service_account {
        pod["serviceAccountName"] = json!(account);
    }
    if let Some(user) = job.run_as_user {
        pod["securityContext"]["runAsUser"] = json!(user);
        pod["securityContext"]["runAsNonRoot"] = json!(user != 0);
    }
    let labels = json!({"app.kubernetes.io/managed-by": "backstay", "backstay.dev/hook": "job",
        "backstay.dev/exclude": "true"});
    let object = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"backoffLimit": 0, "activeDeadlineSeconds": timeout.as_secs().max(1),
            "ttlSecondsAfterFinished": LEFT,
            "template": {"metadata": {"labels": labels}, "spec": pod}},
    });
    Manifest::parse(object).map_err(|error| cluster::Error::Garbled(error.to_string()))
}

async fn wait(doors: &Doors<'_>, object: &Manifest, timeout: Duration) -> Attempt {
    let reach = doors.reach;
    // The cluster ends the Job in time; it needs some time to say so.
    let deadline = after(reach.clock.now(), timeout + Duration::from_secs(10));
    loop {
        let get = async || reach.reader.get(&jobs(), object.namespace(), object.name()).await;
        match persist(reach.clock, reach.patience, get).await.result {
            Err(error) => return Attempt::refused("reading the Job", &error),
            Ok(None) => return Attempt::failed(HookResult::JobFailed, "somebody deleted the Job"),
            Ok(Some(job)) => {
                if let Some(attempt) = judge(&job) {
                    return attempt;
                }
            }
        }
        if doors.calm.is_asked() {
            return Attempt::failed(HookResult::Interrupted, "the run was stopped, and the Job with it");
        }
        if reach.clock.now() >= deadline {
            let text = format!("the Job has not ended within {} seconds", timeout.as_secs());
            return Attempt::failed(HookResult::TimedOut, text);
        }
        reach.progress.waiting(&format!("Job {}", object.key().place()));
        reach.clock.sleep(LOOK).await;
    }
}

/// How a Job ended, if it has.
fn judge(job: &Manifest) -> Option<Attempt> {
    let conditions = job.at("/status/conditions").and_then(Json::as_array)?;
    let holds = |kind: &str| {
        conditions.iter().find(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    if holds("Complete").is_some() {
        return Some(Attempt::fine());
    }
    let failed = holds("Failed")?;
    let text = |field: &str| failed[field].as_str().unwrap_or_default();
    let result =
        if text("reason") == "DeadlineExceeded" { HookResult::TimedOut } else { HookResult::JobFailed };
    Some(Attempt::failed(result, format!("{}: {}", text("reason"), text("message"))))
}

/// What the Job's pod has printed; nothing where it has none or may not be asked.
async fn logs(doors: &Doors<'_>, job: &Manifest) -> Option<Vec<u8>> {
    let namespace = job.namespace()?.to_owned();
    let scope = Scope::Namespace(namespace.clone());
    let labels = format!("batch.kubernetes.io/job-name={}", job.name());
    let mut found = Vec::new();
    let take = |pod: Manifest| found.push(pod.name().to_owned());
    listing::each(doors.reach.reader, &pods(), &scope, &labels, take).await.ok()?;
    let container = Container { namespace, pod: found.into_iter().next()?, name: "hook".to_owned() };
    doors.exec.logs(&container).await.ok()
}

fn jobs() -> Resource {
    Resource::well_known("batch/v1", "Job", "jobs", Placed::InNamespaces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_after_its_hook_and_fits_a_restricted_namespace() {
        assert_eq!(name("Dump Shop!", "abcd"), "backstay-dump-shop-abcd");
        let job = JobHook {
            image: "i".into(),
            command: vec!["c".into()],
            namespace: None,
            service_account: Some("dumper".into()),
            env_from_secret: Some("db".into()),
            run_as_user: Some(1000),
        };
        let made = manifest("x", "shop", (&job, Duration::from_secs(90))).unwrap();
        let pod = made.at("/spec/template/spec").unwrap();
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["containers"][0]["envFrom"][0]["secretRef"]["name"], "db");
        assert_eq!(
            (made.at("/spec/activeDeadlineSeconds").unwrap(), made.label("backstay.dev/exclude")),
            (&json!(90), Some("true"))
        );
    }

    #[test]
    fn its_conditions_say_how_it_ended() {
        let told = |conditions: Json| {
            let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x", "namespace": "y"},
                "status": {"conditions": conditions}});
            judge(&Manifest::parse(job).unwrap()).map(|a| (a.result, a.reason.unwrap_or_default()))
        };
        assert_eq!(told(json!([])), None);
        assert_eq!(told(json!([{"type": "SuccessCriteriaMet", "status": "True"}])), None);
        assert_eq!(told(json!([{"type": "Complete", "status": "True"}])).unwrap().0, HookResult::Succeeded);
        let failed =
            json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}]);
        assert_eq!(told(failed).unwrap(), (HookResult::JobFailed, "BackoffLimitExceeded: m".to_owned()));
        let late =
            json!([{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "m"}]);
        assert_eq!(told(late).unwrap().0, HookResult::TimedOut);
    }
}

//! Hooks that pods ask for by Velero's annotations, with their documented meaning.
//!
//! Other than Velero: without a named container the hook goes into no known sidecar; no wait is endless; a failure under
//! `on-error=Continue` is a warning; a restore's hooks of one pod never stop those of another.
//!
//! Source: <https://velero.io/docs/main/backup-hooks/> and <https://velero.io/docs/main/restore-hooks/>
//!
//! In: a `Pod` · Out: `PodHook`s · Touches: nothing

use std::time::Duration;

use serde_json::json;

use super::pod::Pod;
use crate::domain::duration;
use crate::domain::hook::{ExecHook, HookScope, HookSpec, HookWhen, InitHook, OnError, PodState, PodWait};

/// Name in reports of all hooks that pods ask for by annotation.
pub const NAME: &str = "velero-annotations";

/// How long a pod is waited for where the annotation sets no bound.
pub const WAIT: duration::Duration = duration::Duration::seconds(600);

/// The hook that a pod asks for at a moment, if it asks for one.
///
/// # Errors
/// What is wrong with its annotations.
pub fn hook(pod: &Pod, when: HookWhen) -> Option<Result<HookSpec, String>> {
    match when {
        HookWhen::PreBackup => {
            exec(pod, "pre.hook.backup.velero.io", when).or_else(|| exec(pod, "hook.backup.velero.io", when))
        }
        HookWhen::PostBackup => exec(pod, "post.hook.backup.velero.io", when),
        HookWhen::PostRestore => exec(pod, "post.hook.restore.velero.io", when),
        HookWhen::PreRestore => None,
    }
}

/// The init container that a restored pod asks for, if it asks for one.
///
/// # Errors
/// What is wrong with its annotations.
pub fn init(pod: &Pod) -> Option<Result<InitHook, String>> {
    let prefix = "init.hook.restore.velero.io";
    let command = pod.annotations.get(&format!("{prefix}/command"))?;
    let text = |field: &str| pod.annotations.get(&format!("{prefix}/{field}"));
    let Some(image) = text("container-image").filter(|image| !image.is_empty()) else {
        return Some(Err(format!("annotation {prefix}/container-image is missing")));
    };
    let name = text("container-name").cloned().unwrap_or_else(|| "velero-restore-init".to_owned());
    let container = json!({"name": name, "image": image, "command": words(command)});
    let serde_json::Value::Object(container) = container else { return None };
    Some(Ok(InitHook { containers: vec![container] }))
}

fn exec(pod: &Pod, prefix: &str, when: HookWhen) -> Option<Result<HookSpec, String>> {
    let text =
        |field: &str| pod.annotations.get(&format!("{prefix}/{field}")).filter(|text| !text.is_empty());
    let command = words(text("command")?);
    if command.iter().all(String::is_empty) {
        return Some(Err(format!("annotation {prefix}/command holds no command")));
    }
    let restore = when == HookWhen::PostRestore;
    let read = || {
        let length = |field: &str| {
            let value = text(field).map(|value| length(value).ok_or((field, value))).transpose();
            value.map_err(|(field, value)| format!("annotation {prefix}/{field}: {value:?} is no duration"))
        };
        let usual = if restore { OnError::Continue } else { OnError::Fail };
        let on_error = match text("on-error").map(String::as_str) {
            None => usual,
            Some("Fail") => OnError::Fail,
            Some("Continue") => OnError::Continue,
            Some(other) => {
                return Err(format!("annotation {prefix}/on-error: {other:?} is neither Fail nor Continue"));
            }
        };
        let ready = match text("wait-for-ready").map(String::as_str) {
            Some("true") => PodState::Ready,
            _ => PodState::Running,
        };
        let bound = length("wait-timeout")?.filter(|bound| bound.as_seconds() > 0);
        let wait = PodWait { until: ready, timeout: bound.unwrap_or(WAIT) };
        let timeout = if restore { length("exec-timeout")? } else { length("timeout")? };
        let exec = ExecHook { container: text("container").cloned(), command };
        let timeout = timeout.filter(|timeout| timeout.as_seconds() > 0);
        Ok(HookSpec { wait: restore.then_some(wait), timeout, on_error, ..spec(when, exec) })
    };
    Some(read())
}

/// A hook that does nothing, for a moment at which all annotations are wrong.
pub fn nothing(when: HookWhen) -> HookSpec {
    spec(when, ExecHook { container: None, command: Vec::new() })
}

/// A hook in every pod, with nothing said but what it runs.
pub fn spec(when: HookWhen, exec: ExecHook) -> HookSpec {
    HookSpec {
        when,
        scope: Some(HookScope::Pod),
        namespaces: Vec::new(),
        exclude_namespaces: Vec::new(),
        label_selector: None,
        exec: Some(exec),
        job: None,
        scale: None,
        http: None,
        init: None,
        wait: None,
        weight: 0,
        timeout: None,
        on_error: OnError::Fail,
        retries: 0,
        required: false,
    }
}

/// A JSON list of words, or one word.
fn words(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| vec![text.to_owned()])
}

/// A duration as Go writes it, in whole seconds at least: `1h30m`, `90s`, `1500ms`.
pub fn length(text: &str) -> Option<duration::Duration> {
    if text == "0" {
        return Some(duration::Duration::seconds(0));
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let units = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let unit = match &rest[digits..units] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            "us" | "µs" | "ns" => 0.0,
            _ => return None,
        };
        total += Duration::try_from_secs_f64(number * unit).ok()?;
        rest = &rest[units..];
    }
    let up = total.as_secs() + u64::from(total.subsec_nanos() > 0);
    (!text.is_empty()).then_some(duration::Duration::seconds(up))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::object::Manifest;

    fn pod(annotations: &serde_json::Value) -> Pod {
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "db-0", "namespace": "shop", "annotations": annotations},
            "spec": {"containers": [{"name": "db"}]}});
        Pod::read(&Manifest::parse(pod).unwrap())
    }

    fn told(annotations: &serde_json::Value, when: HookWhen) -> String {
        match hook(&pod(annotations), when) {
            None => "none".into(),
            Some(Err(wrong)) => wrong,
            Some(Ok(spec)) => {
                let exec = spec.exec.clone().unwrap();
                let wait = spec.wait.map(|wait| format!(" after {:?} within {}", wait.until, wait.timeout));
                format!(
                    "{:?} in {:?} within {:?}, {:?}{}",
                    exec.command,
                    exec.container,
                    spec.timeout(),
                    spec.on_error,
                    wait.unwrap_or_default()
                )
            }
        }
    }

    #[test]
    fn annotations_mean_what_velero_says() {
        let pre = json!({"pre.hook.backup.velero.io/command": "[\"/sbin/fsfreeze\", \"--freeze\", \"/data\"]",
            "pre.hook.backup.velero.io/container": "freezer", "pre.hook.backup.velero.io/timeout": "1m30s",
            "pre.hook.backup.velero.io/on-error": "Continue", "post.hook.backup.velero.io/command": "sync"});
        assert_eq!(
            told(&pre, HookWhen::PreBackup),
            r#"["/sbin/fsfreeze", "--freeze", "/data"] in Some("freezer") within 90s, Continue"#
        );
        assert_eq!(told(&pre, HookWhen::PostBackup), r#"["sync"] in None within 30s, Fail"#);
        assert_eq!(told(&pre, HookWhen::PostRestore), "none");
        let old = json!({"hook.backup.velero.io/command": "sync"});
        assert_eq!(told(&old, HookWhen::PreBackup), r#"["sync"] in None within 30s, Fail"#);
        let restore = json!({"post.hook.restore.velero.io/command": "load",
            "post.hook.restore.velero.io/exec-timeout": "500ms", "post.hook.restore.velero.io/wait-for-ready": "true",
            "post.hook.restore.velero.io/wait-timeout": "2m"});
        assert_eq!(
            told(&restore, HookWhen::PostRestore),
            r#"["load"] in None within 1s, Continue after Ready within 2m"#
        );
        let endless = json!({"post.hook.restore.velero.io/command": "load"});
        assert!(told(&endless, HookWhen::PostRestore).ends_with("after Running within 10m"));
    }

    #[test]
    fn wrong_annotations_are_named() {
        let wrong = json!({"pre.hook.backup.velero.io/command": "sync", "pre.hook.backup.velero.io/timeout": "soon",
            "post.hook.backup.velero.io/command": "sync", "post.hook.backup.velero.io/on-error": "continue"});
        assert_eq!(
            told(&wrong, HookWhen::PreBackup),
            "annotation pre.hook.backup.velero.io/timeout: \"soon\" is no duration"
        );
        assert!(told(&wrong, HookWhen::PostBackup).contains("neither Fail nor Continue"));
    }

    #[test]
    fn an_init_container_needs_an_image() {
        let whole = json!({"init.hook.restore.velero.io/command": "[\"sh\"]", "init.hook.restore.velero.io/container-image": "busybox"});
        let made = init(&pod(&whole)).unwrap().unwrap();
        assert_eq!(
            serde_json::Value::from(made.containers[0].clone()),
            json!({"name": "velero-restore-init", "image": "busybox", "command": ["sh"]})
        );
        let lacking = json!({"init.hook.restore.velero.io/command": "sh"});
        assert!(init(&pod(&lacking)).unwrap().unwrap_err().ends_with("container-image is missing"));
        assert_eq!(init(&pod(&json!({}))), None);
    }
}

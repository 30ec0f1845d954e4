//! Carries a hook out on one target, with its retries.
//!
//! In: a `Hook`, a `Target` · Out: `Attempt` · Touches: containers, cluster, services, clock

use std::time::Duration;

use jiff::Timestamp;

use super::attempt::Attempt;
use super::command;
use super::doors::Doors;
use super::targets::{Fault, Target};
use super::{job, scale};
use crate::domain::duration;
use crate::domain::hook::{ExecHook, HookSpec, HookWhen, HttpHook, PodState, PodWait};
use crate::domain::hook_report::HookResult;

/// What a restored pod is waited for where the hook says nothing.
const RESTORED: PodWait = PodWait { until: PodState::Running, timeout: duration::Duration::seconds(300) };

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(30);

/// What one target came to.
#[derive(Clone, Debug)]
pub struct Stepped {
    /// The last attempt.
    pub attempt: Attempt,
    /// How long it took.
    pub took: Duration,
    /// Attempts.
    pub attempts: u32,
}

/// Carries it out; `by` is whom a workload that is scaled down remembers.
pub async fn step(doors: &Doors<'_>, (name, spec): (&str, &HookSpec), target: &Target, by: &str) -> Stepped {
    if let Some(fault) = &target.fault {
        return Stepped { attempt: faulty(fault), took: Duration::ZERO, attempts: 0 };
    }
    if let Err(attempt) = ready(doors, spec, target).await {
        return Stepped { attempt, took: Duration::ZERO, attempts: 0 };
    }
    let _busy = doors.calm.busy();
    let clock = doors.reach.clock;
    let mut pause = Duration::from_secs(1);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let started = clock.now();
        let attempt = act(doors, (name, spec), target, by).await;
        let took = since(started, clock.now());
        if attempts > spec.retries || !attempt.is_worth_another(spec.exec.is_some()) {
            return Stepped { attempt, took, attempts };
        }
        clock.sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

fn since(started: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(started)).unwrap_or_default()
}

fn faulty(fault: &Fault) -> Attempt {
    match fault {
        Fault::NoContainer(name) => {
            Attempt::failed(HookResult::NoSuchContainer, format!("the pod has no container {name}"))
        }
        Fault::NoPod => Attempt::failed(HookResult::NoPod, "the workload has no pod"),
        Fault::Annotation(wrong) => Attempt::failed(HookResult::Error, wrong.clone()),
    }
}

/// Waits for the pod of a command, where the hook or the moment says so.
async fn ready(doors: &Doors<'_>, spec: &HookSpec, target: &Target) -> Result<(), Attempt> {
    let (Some(_), Some(pod), Some(container)) = (&spec.exec, &target.pod, &target.target.container) else {
        return Ok(());
    };
    let restores = matches!(spec.when, HookWhen::PreRestore | HookWhen::PostRestore);
    match spec.wait.or(restores.then_some(RESTORED)) {
        Some(wait) => command::wait(doors, pod, container, &wait).await,
        None => Ok(()),
    }
}

async fn act(doors: &Doors<'_>, (name, spec): (&str, &HookSpec), target: &Target, by: &str) -> Attempt {
    let HookSpec { exec, job, scale, http, init, .. } = spec;
    let place = target.target.key.as_ref();
    match (exec, job, scale, http, init) {
        (Some(exec), ..) => run(doors, exec, target, spec.timeout()).await,
        (_, Some(job), ..) => {
            let inside = place.map(|namespace| namespace.name.as_str());
            let namespace = inside.or(job.namespace.as_deref()).unwrap_or(doors.home);
            job::attempt(doors, (name, job), namespace, spec.timeout()).await
        }
        (_, _, Some(scale), ..) => match place {
            Some(key) => scale::down(doors, key, (by, scale.replicas), spec.timeout()).await,
            None => Attempt::failed(HookResult::Error, "there is no workload"),
        },
        (_, _, _, Some(http), _) => ask(doors, http, spec.timeout()).await,
        _ => Attempt::failed(HookResult::Error, "the hook does nothing"),
    }
}

async fn run(doors: &Doors<'_>, exec: &ExecHook, target: &Target, timeout: Duration) -> Attempt {
    let (Some(pod), Some(container)) = (&target.pod, &target.target.container) else {
        return Attempt::failed(HookResult::Error, "there is no container");
    };
    match command::place(pod, container) {
        Ok(place) => command::attempt(doors, pod, &place, (&exec.command, timeout)).await,
        Err(error) => Attempt::refused("running a command", &error),
    }
}

async fn ask(doors: &Doors<'_>, http: &HttpHook, timeout: Duration) -> Attempt {
    let clock = doors.reach.clock;
    let work = doors.http.call(http);
    match futures::future::select(work, clock.sleep(timeout)).await {
        futures::future::Either::Right(((), _)) => {
            let text = format!("there was no answer within {} seconds", timeout.as_secs());
            Attempt::failed(HookResult::TimedOut, text)
        }
        futures::future::Either::Left((Err(error), _)) => {
            Attempt::failed(HookResult::Unreachable, error.to_string())
        }
        futures::future::Either::Left((Ok(answer), _)) => {
            let code = Some(i32::from(answer.status));
            let attempt = if (200..300).contains(&answer.status) {
                Attempt::fine()
            } else {
                Attempt::failed(HookResult::HttpStatus, format!("the answer was {}", answer.status))
            };
            Attempt { code, ..attempt }
        }
    }
}

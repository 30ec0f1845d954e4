//! Runs a command in a container, once, and ends it when it takes too long.
//!
//! In: a pod, a container, an `ExecHook` · Out: `Attempt` · Touches: containers, cluster (read), clock

use std::future::Future;
use std::time::Duration;

use futures::future::{Either, select};

use super::attempt::Attempt;
use super::doors::Doors;
use super::pod::Pod;
use super::survey;
use super::wrapped::plain_program;
use super::wrapped::{SHELL, STILL, is_there, printed, process, signal, wrapped};
use crate::domain::hook::{PodState, PodWait};
use crate::domain::hook_report::HookResult;
use crate::engine::retry::{after, persist};
use crate::ports::cluster;
use crate::ports::exec::{Container, Ended, Error, Transcript};

/// How often a pod that is waited for is read.
const LOOK: Duration = Duration::from_secs(1);

/// How long a command may take to end after SIGTERM, before SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// How often it is looked whether it has ended.
const PULSE: Duration = Duration::from_millis(250);

/// Shells: what they do not find is not their own name.
const SHELLS: [&str; 6] = ["sh", "/bin/sh", "bash", "/bin/bash", "ash", "dash"];

/// How long a signal may take to be sent.
const SIGNAL: Duration = Duration::from_secs(10);

/// Waits until a command can run in the container.
///
/// # Errors
/// The pod is gone or has ended, or takes too long.
pub async fn wait(doors: &Doors<'_>, pod: &Pod, container: &str, wait: &PodWait) -> Result<(), Attempt> {
    let clock = doors.reach.clock;
    let deadline = after(clock.now(), wait.timeout.as_std());
    loop {
        let Some(now) = look(doors, pod).await? else {
            return Err(Attempt::failed(HookResult::PodGone, "the pod was deleted"));
        };
        if now.has_ended() {
            return Err(Attempt::failed(HookResult::NotRunning, format!("the pod is {}", now.phase)));
        }
        let Some(why) = now.lacks(container, wait.until) else { return Ok(()) };
        if doors.calm.is_asked() {
            return Err(Attempt::failed(HookResult::Interrupted, format!("the run was stopped; {why}")));
        }
        if clock.now() >= deadline {
            let text = format!("{why}; it was waited for {}", wait.timeout);
            return Err(Attempt::failed(HookResult::NotReadyInTime, text));
        }
        doors.reach.progress.waiting(&format!("{}: {why}", pod.key));
        clock.sleep(LOOK).await;
    }
}

/// The pod as it is now; `None` where it is gone, or another one has its name.
async fn look(doors: &Doors<'_>, pod: &Pod) -> Result<Option<Pod>, Attempt> {
    let reach = doors.reach;
    let get = async || reach.reader.get(&survey::pods(), pod.key.namespace.as_deref(), &pod.key.name).await;
    let found = persist(reach.clock, reach.patience, get).await.result;
    let found = found.map_err(|error| Attempt::refused("reading the pod", &error))?;
    Ok(found.map(|found| Pod::read(&found)).filter(|found| found.uid == pod.uid))
}

/// Runs the command, wrapped so that it can be ended; in a container without a shell as it is.
pub async fn attempt(
    doors: &Doors<'_>,
    pod: &Pod,
    container: &Container,
    (command, timeout): (&[String], Duration),
) -> Attempt {
    if let Some(why) = pod.lacks(&container.name, PodState::Running) {
        // What was listed may be old by now.
        match look(doors, pod).await {
            Err(attempt) => return attempt,
            Ok(None) => return Attempt::failed(HookResult::PodGone, "the pod was deleted"),
            Ok(Some(now)) if now.lacks(&container.name, PodState::Running).is_some() => {
                return Attempt::failed(HookResult::NotRunning, why);
            }
            Ok(Some(_)) => {}
        }
    }
    let done = match bounded(doors, container, &wrapped(command), timeout).await {
        Done::Failed(Error::NoProgram(program)) if program == SHELL => {
            plain(doors, container, command, timeout).await
        }
        done => judged(doors, container, command, (done, timeout)).await,
    };
    explained(doors, pod, done).await
}

/// A command that came to an end, or did not.
enum Done {
    Ended(i32, Transcript),
    Failed(Error),
    TimedOut(Transcript),
    Interrupted(Transcript),
}

/// Runs a command until it ends, takes too long, or everything should end.
async fn bounded(doors: &Doors<'_>, container: &Container, command: &[String], timeout: Duration) -> Done {
    let clock = doors.reach.clock;
    let asked = Box::pin(doors.calm.asked(clock));
    within(doors, container, command, select(clock.sleep(timeout), asked)).await
}

/// The same for a command that is never interrupted.
async fn insisting(doors: &Doors<'_>, container: &Container, command: &[String]) -> Done {
    let never = std::future::pending::<()>();
    within(doors, container, command, select(doors.reach.clock.sleep(SIGNAL), never)).await
}

async fn within<A, B>(
    doors: &Doors<'_>,
    container: &Container,
    command: &[String],
    bound: impl Future<Output = Either<A, B>> + Unpin,
) -> Done {
    let transcript = Transcript::default();
    let ended = {
        let work = doors.exec.exec(container, command, &transcript);
        match select(work, bound).await {
            Either::Left((ended, _)) => Ok(ended),
            Either::Right((Either::Left(_), _)) => Err(false),
            Either::Right((Either::Right(_), _)) => Err(true),
        }
    };
    match ended {
        Ok(Ok(Ended::Code(code))) => Done::Ended(code, transcript),
        Ok(Err(error)) => Done::Failed(error),
        Err(false) => Done::TimedOut(transcript),
        Err(true) => Done::Interrupted(transcript),
    }
}

async fn judged(
    doors: &Doors<'_>,
    container: &Container,
    command: &[String],
    (done, timeout): (Done, Duration),
) -> Attempt {
    match done {
        Done::Failed(Error::NoProgram(program)) => {
            Attempt::failed(HookResult::CommandNotFound, no_program(&program))
        }
        Done::Failed(error) => Attempt::unended(&error),
        Done::Ended(code, transcript) => ended(code, command, &transcript),
        Done::TimedOut(transcript) => {
            let how = ending(doors, container, &transcript).await;
            let reason = format!("it took longer than {}; {how}", shown(timeout));
            told(Attempt::failed(HookResult::TimedOut, reason), &transcript)
        }
        Done::Interrupted(transcript) => {
            let how = ending(doors, container, &transcript).await;
            told(Attempt::failed(HookResult::Interrupted, format!("the run was stopped; {how}")), &transcript)
        }
    }
}

/// Ends a command that was begun, and says how.
async fn ending(doors: &Doors<'_>, container: &Container, transcript: &Transcript) -> String {
    match process(&transcript.seen().0) {
        Some(process) => end(doors, container, process).await,
        None => format!("{STILL}: it had not said its process number"),
    }
}

/// A container without a shell: nothing can end the command there but itself.
async fn plain(doors: &Doors<'_>, container: &Container, command: &[String], timeout: Duration) -> Attempt {
    let note = "the container has no shell: the command ran without one and could not be ended";
    let attempt = match bounded(doors, container, command, timeout).await {
        Done::Ended(code, transcript) => ended(code, command, &transcript),
        Done::Failed(Error::NoProgram(program)) => {
            let shell = SHELLS.contains(&program.as_str());
            let text = if shell { "the container has no shell: " } else { "" };
            Attempt::failed(HookResult::CommandNotFound, format!("{text}{}", no_program(&program)))
        }
        Done::Failed(error) => Attempt::unended(&error),
        Done::TimedOut(transcript) => {
            let why = "the container has no shell with which it could be ended";
            let reason = format!("it took longer than {}; {STILL}: {why}", shown(timeout));
            told(Attempt::failed(HookResult::TimedOut, reason), &transcript)
        }
        Done::Interrupted(transcript) => {
            let why = "the container has no shell with which it could be ended";
            let reason = format!("the run was stopped; {STILL}: {why}");
            told(Attempt::failed(HookResult::Interrupted, reason), &transcript)
        }
    };
    let notes = if attempt.result == HookResult::Succeeded { vec![note.to_owned()] } else { Vec::new() };
    Attempt { notes, ..attempt }
}

fn ended(code: i32, command: &[String], transcript: &Transcript) -> Attempt {
    if code == 0 {
        return told(Attempt { code: Some(0), ..Attempt::fine() }, transcript);
    }
    let program = command.first().map(String::as_str).unwrap_or_default();
    let said = String::from_utf8_lossy(&transcript.seen().1.last).into_owned();
    let absent = [126, 127].contains(&code)
        && !SHELLS.contains(&program)
        && said.contains(program)
        && ["not found", "No such file", "Permission denied"].iter().any(|words| said.contains(words));
    let attempt = if absent {
        Attempt::failed(HookResult::CommandNotFound, no_program(program))
    } else {
        Attempt::failed(HookResult::ExitCode, format!("exit code {code}"))
    };
    told(Attempt { code: Some(code), ..attempt }, transcript)
}

fn no_program(program: &str) -> String {
    Error::NoProgram(plain_program(program).to_owned()).to_string()
}

/// The attempt with what the command itself has printed.
fn told(attempt: Attempt, transcript: &Transcript) -> Attempt {
    let (output, errors) = transcript.seen();
    let (stdout, cut) = printed(&output);
    Attempt { stdout: (stdout.to_vec(), cut), stderr: (errors.last.clone(), errors.is_cut()), ..attempt }
}

/// Ends the process group of a command, and says how.
async fn end(doors: &Doors<'_>, container: &Container, process: u32) -> String {
    for (name, patience) in [("TERM", GRACE), ("KILL", GRACE)] {
        match insisting(doors, container, &signal(process, name)).await {
            Done::Ended(0, _) => {}
            // It has ended by itself in the meantime.
            Done::Ended(_, _) if !alive(doors, container, process).await => {
                return "its process group has ended".to_owned();
            }
            Done::Ended(..) | Done::Failed(_) | Done::TimedOut(_) | Done::Interrupted(_) => {
                return format!("{STILL}: no signal reached it");
            }
        }
        let deadline = after(doors.reach.clock.now(), patience);
        while doors.reach.clock.now() < deadline {
            if !alive(doors, container, process).await {
                return format!("its process group was ended with SIG{name}");
            }
            doors.reach.clock.sleep(PULSE).await;
        }
    }
    format!("{STILL}: it survived SIGKILL")
}

async fn alive(doors: &Doors<'_>, container: &Container, process: u32) -> bool {
    !matches!(insisting(doors, container, &is_there(process)).await, Done::Ended(1.., _))
}

/// Says that the pod is gone, where that is why a command failed.
async fn explained(doors: &Doors<'_>, pod: &Pod, attempt: Attempt) -> Attempt {
    let suspicious = match attempt.result {
        HookResult::ExitCode => matches!(attempt.code, Some(137 | 143)),
        HookResult::Unreachable | HookResult::NotRunning | HookResult::PodGone | HookResult::Error => true,
        _ => false,
    };
    if !suspicious {
        return attempt;
    }
    match look(doors, pod).await {
        Ok(Some(now)) if !now.deleting => attempt,
        Ok(_) => {
            let reason = Some("the pod was deleted before the command had ended".to_owned());
            Attempt { result: HookResult::PodGone, reason, ..attempt }
        }
        Err(_) => attempt,
    }
}

fn shown(length: Duration) -> String {
    crate::domain::duration::Duration::seconds(length.as_secs()).to_string()
}

/// The container of a target.
///
/// # Errors
/// The pod has no namespace, which no API server says.
pub fn place(pod: &Pod, container: &str) -> Result<Container, cluster::Error> {
    let namespace = pod.key.namespace.clone();
    let namespace = namespace.ok_or_else(|| cluster::Error::Garbled("a pod without a namespace".into()))?;
    Ok(Container { namespace, pod: pod.key.name.clone(), name: container.to_owned() })
}

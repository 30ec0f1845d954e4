//! Containers of the memory cluster: they know a handful of words of a shell, and whatever a test teaches them.
//!
//! Known: `true`, `false`, `echo WORDS`, `sleep SECONDS`, `exit CODE`, `cat` of what was echoed into a file, and `sh -c` with a
//! list of these between `;`, each perhaps with `>&2` or `> FILE`. A command that sleeps can be ended by the signals that
//! wrapped commands are ended with. Images that hold the word `distroless` have no shell.
//!
//! In: commands · Out: exit codes and output · Touches: nothing

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::object::{Json, Manifest, Placed, Resource};
use crate::ports::clock::Clock;
use crate::ports::cluster::{self, Reader};
use crate::ports::exec::{Container, Ended, Error, Exec, Transcript};

use super::cluster::Cluster;

/// Containers of a cluster in memory. Clones share them.
#[derive(Clone)]
pub struct Containers {
    cluster: Cluster,
    clock: Arc<dyn Clock>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    files: BTreeMap<(Container, String), String>,
    processes: BTreeMap<u32, Process>,
    calls: Vec<String>,
    denied: Option<String>,
}

/// Programs that every container has.
const KNOWN: [&str; 7] = ["sh", "true", "false", "echo", "sleep", "cat", "exit"];

/// A command that was begun.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Process {
    Running,
    Ended,
}

impl Containers {
    /// The containers of a cluster's pods.
    pub fn new(cluster: Cluster, clock: Arc<dyn Clock>) -> Self {
        Self { cluster, clock, shared: Arc::default() }
    }

    /// Commands so far, such as `shop/db-0/db: pg_dump shop`; those that end others are not among them.
    pub fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    /// Lets an admission policy refuse every command from now on.
    pub fn deny(&self, reason: &str) {
        self.lock().denied = Some(reason.to_owned());
    }

    /// How many commands still run.
    pub fn running(&self) -> usize {
        self.lock().processes.values().filter(|process| **process == Process::Running).count()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn image(&self, container: &Container) -> Result<String, Error> {
        let found = self.cluster.get(&pods(), Some(&container.namespace), &container.pod).await?;
        let absent = || cluster::Error::NotFound(format!("pods {}", container.pod));
        let pod = found.ok_or_else(absent)?;
        let list = |at: &str| pod.at(at).and_then(Json::as_array).cloned().unwrap_or_default();
        let own = |one: &&Json| one["name"] == container.name.as_str();
        let all = list("/spec/containers");
        let spec = all.iter().find(own).ok_or_else(|| Error::NoContainer(container.name.clone()))?;
        let statuses = list("/status/containerStatuses");
        let runs = |one: &Json| one["name"] == container.name.as_str() && one["state"]["running"].is_object();
        if !statuses.iter().any(runs) {
            return Err(Error::NotRunning(format!("container not found (\"{}\")", container.name)));
        }
        Ok(spec["image"].as_str().unwrap_or_default().to_owned())
    }

    /// Whether a command ends others, and what comes of that.
    fn signal(&self, command: &[String]) -> Option<Ended> {
        let [shell, flag, script] = command else { return None };
        let script = script.strip_prefix("kill -s ").filter(|_| shell == "sh" && flag == "-c")?;
        let (name, rest) = script.split_once(" -- -")?;
        let process: u32 = rest.split_whitespace().next()?.parse().ok()?;
        let mut shared = self.lock();
        let found = shared.processes.get_mut(&process).filter(|found| **found == Process::Running);
        let Some(found) = found else { return Some(Ended::Code(1)) };
        if name != "0" {
            *found = Process::Ended;
        }
        Some(Ended::Code(0))
    }

    async fn script(
        &self,
        container: &Container,
        (script, process): (&str, u32),
        transcript: &Transcript,
    ) -> Option<i32> {
        let mut code = 0;
        for part in script.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (part, file) = part.split_once(" > ").map_or((part, None), |(part, file)| (part, Some(file)));
            let (part, errors) = part.strip_suffix(">&2").map_or((part, false), |part| (part.trim(), true));
            let (word, rest) = part.split_once(' ').unwrap_or((part, ""));
            code = match word {
                "true" => 0,
                "false" => 1,
                "exit" => return rest.parse().ok(),
                "echo" => {
                    let text = format!("{}\n", rest.trim_matches('"').replace("$$", &process.to_string()));
                    match file {
                        Some(file) => {
                            self.lock().files.insert((container.clone(), file.to_owned()), text);
                        }
                        None if errors => transcript.errors(text.as_bytes()),
                        None => transcript.output(text.as_bytes()),
                    }
                    0
                }
                "cat" => {
                    let found = self.lock().files.get(&(container.clone(), rest.to_owned())).cloned();
                    found.inspect(|text| transcript.output(text.as_bytes())).map_or(1, |_| 0)
                }
                "sleep" => self.sleep(rest.parse().ok()?, process).await,
                other => {
                    transcript.errors(format!("sh: {other}: not found\n").as_bytes());
                    127
                }
            };
        }
        Some(code)
    }

    /// Sleeps until it is over or the process is ended.
    async fn sleep(&self, seconds: u64, process: u32) -> i32 {
        for _ in 0..seconds * 4 {
            if self.lock().processes.get(&process) == Some(&Process::Ended) {
                return 143;
            }
            self.clock.sleep(Duration::from_millis(250)).await;
        }
        0
    }
}

#[async_trait]
impl Exec for Containers {
    async fn exec(
        &self,
        container: &Container,
        command: &[String],
        transcript: &Transcript,
    ) -> Result<Ended, Error> {
        if let Some(reason) = self.lock().denied.clone() {
            return Err(Error::Denied(reason));
        }
        let image = self.image(container).await?;
        if let Some(ended) = self.signal(command) {
            return Ok(ended);
        }
        let shellless = image.contains("distroless");
        if shellless && command.first().is_some_and(|program| program == "sh") {
            return Err(Error::NoProgram("sh".into()));
        }
        let process = {
            let mut shared = self.lock();
            let process = 100 + u32::try_from(shared.processes.len()).unwrap_or_default();
            shared.processes.insert(process, Process::Running);
            process
        };
        let mut words = command;
        let direct = !(command.len() > 4 && command[0] == "sh" && command[2].contains("exec \"$@\""));
        if let [shell, flag, script, _, rest @ ..] = command
            && shell == "sh"
            && flag == "-c"
            && script.contains("exec \"$@\"")
        {
            let mark = script.split('"').nth(1).unwrap_or_default().replace("$$", &process.to_string());
            transcript.output(format!("{mark}\n").as_bytes());
            words = rest;
        }
        let said = words.join(" ");
        let place = format!("{}/{}/{}", container.namespace, container.pod, container.name);
        self.lock().calls.push(format!("{place}: {said}"));
        let program = words.first().cloned().unwrap_or_default();
        let script = match words {
            [shell, flag, script, ..] if shell == "sh" && flag == "-c" => script.clone(),
            _ => said,
        };
        if direct && !KNOWN.contains(&program.as_str()) {
            self.lock().processes.insert(process, Process::Ended);
            return Err(Error::NoProgram(program));
        }
        let code = self.script(container, (&script, process), transcript).await;
        self.lock().processes.insert(process, Process::Ended);
        // A pod that went while the command ran took it along.
        self.image(container).await?;
        code.map(Ended::Code).ok_or(Error::NoProgram(program))
    }

    async fn logs(&self, container: &Container) -> Result<Vec<u8>, cluster::Error> {
        let found = self.cluster.get(&pods(), Some(&container.namespace), &container.pod).await?;
        let absent = || cluster::Error::NotFound(format!("pods {}", container.pod));
        found.map(|_: Manifest| Vec::new()).ok_or_else(absent)
    }
}

fn pods() -> Resource {
    Resource::well_known("v1", "Pod", "pods", Placed::InNamespaces)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::adapters::memory::clock::FakeClock;
    use crate::ports::cluster::{Mode, Writer};
    use crate::ports::exec::contract;

    #[tokio::test]
    async fn containers_in_memory_keep_the_contract() {
        let clock: Arc<dyn Clock> = Arc::new(FakeClock::at("2026-11-27T06:30:00Z".parse().unwrap()));
        let cluster = Cluster::new(clock.clone());
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"containers": [{"name": "main", "image": "busybox"}]}});
        cluster.create(&pods(), &Manifest::parse(pod).unwrap(), Mode::Real).await.unwrap();
        clock.sleep(Duration::from_secs(30)).await;
        let container = Container { namespace: "default".into(), pod: "web".into(), name: "main".into() };
        contract::holds(&Containers::new(cluster, clock), &container).await;
    }
}

//! A simulated day of the reconciler: fifty policies on the cluster in memory. Is every due run done once, and is memory flat?

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay::adapters::memory::clock::FakeClock;
use backstay::adapters::memory::cluster::Cluster;
use backstay::adapters::memory::exec::Containers;
use backstay::app::settings::{Keys, Settings};
use backstay::app::wiring::{App, Connected};
use backstay::domain::custom_resource::KINDS;
use backstay::domain::identity::SnapshotId;
use backstay::domain::object::Manifest;
use backstay::domain::schedule::Schedule;
use backstay::engine::seal::age::generate;
use backstay::ports::clock::Clock;
use backstay::ports::cluster::{Mode, Reader, Writer};
use backstay::reconcile::board::Board;
use backstay::reconcile::desk;
use backstay::reconcile::run::{Lines, run};
use backstay::work::stop::Stop;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::measure::{Row, resident};

const POLICIES: usize = 50;
const START: &str = "2026-11-27T23:59:30Z";
const HOME: &str = "backstay";

/// How much memory may grow from the twelfth hour, when nearly every policy keeps as many snapshots as it may, to the last one.
const FLAT: f64 = 1.15;

/// The due times at which a policy made a snapshot, by the names of all snapshots that were ever seen.
type Seen = BTreeSet<String>;

type Anyhow<T> = Result<T, Box<dyn std::error::Error>>;

/// Schedules of the policies: every half hour, hour, three hours, and day, spread over the minutes.
fn schedule(number: usize) -> String {
    let minute = number % 30;
    match number % 4 {
        0 => format!("{minute},{} * * * *", minute + 30),
        1 => format!("{minute} * * * *"),
        2 => format!("{minute} */3 * * *"),
        _ => format!("{minute} {} * * *", number % 24),
    }
}

/// Lets a day pass.
pub async fn day(dir: &Path) -> Anyhow<Vec<Row>> {
    let (folder, began) = (dir.join("day"), Instant::now());
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(folder.join("policy"))?;
    let clock = Arc::new(FakeClock::at(START.parse()?));
    let cluster = filled(clock.clone()).await?;
    let pair = generate(clock.now());
    documents(&folder, &pair.recipient)?;
    let written_down = cluster.clone();
    let app = app(&folder, clock.clone(), cluster);
    let (_knock, knocks) = tokio::sync::mpsc::channel(1);
    let lines = Lines {
        board: Arc::new(Board::default()),
        knocks,
        stop: Stop::never(),
        repository: None,
        receivers: Vec::new(),
    };
    let (mut early, mut seen) = (0, Seen::new());
    let watch = async {
        let start: Timestamp = START.parse()?;
        let hours = |hours: i64| start + jiff::SignedDuration::from_hours(hours);
        while clock.now() < hours(24) {
            clock.sleep(Duration::from_secs(1)).await;
            // What the stand-in remembers for tests would grow all day.
            written_down.forget_calls();
            if clock.now().as_second() % 60 == 0 {
                seen.extend(snapshots(&folder));
            }
            if early == 0 && clock.now() > hours(12) {
                early = resident()?;
            }
        }
        Anyhow::Ok(())
    };
    tokio::select! {
        done = watch => done?,
        ended = run(app, settings(), lines) => return Err(format!("the reconciler ended: {:?}", ended.err()).into()),
    }
    let late = resident()?;
    let (due, wrong) = judged(&seen, clock.now())?;
    if !wrong.is_empty() {
        return Err(format!("{} of {due} due runs are wrong: {}", wrong.len(), wrong.join(", ")).into());
    }
    println!("{due} due runs of {POLICIES} policies in 24 simulated hours: each done once");
    println!("memory after 12 hours {} MiB, after 24 hours {} MiB", early >> 20, late >> 20);
    let mib = |bytes: u64| f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 1024.0;
    let ratio = |now: u64, before: u64| mib(now) / mib(before.max(1));
    Ok(vec![Row {
        objects: POLICIES * 5,
        what: "reconciler: memory after 24 h, 50 policies".into(),
        seconds: began.elapsed().as_secs_f64(),
        peak_mib: Some(mib(late)),
        against: Some("after 12 h".into()),
        ratio: Some(ratio(late, early)),
        target: Some(FLAT),
    }])
}

async fn filled(clock: Arc<FakeClock>) -> Anyhow<Arc<Cluster>> {
    let cluster = Arc::new(Cluster::new(clock.clone()));
    let mut objects: Vec<Value> =
        vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}})];
    objects.extend(KINDS.map(|kind| kind.definition()));
    for number in 0..POLICIES {
        let name = format!("team-{number}");
        objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        for object in 0..4 {
            objects.push(json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": format!("settings-{object}"), "namespace": name}, "data": {"a": "1"},
            }));
        }
    }
    for object in objects {
        let object = Manifest::parse(object)?;
        let served = cluster.discover().await?.resources;
        let kind = served.iter().find(|kind| kind.gvk == object.gvk()).ok_or("a kind is not served")?;
        cluster.writing_as("kubectl").create(kind, &object, Mode::Real).await?;
    }
    clock.sleep(Duration::from_secs(20)).await;
    Ok(cluster)
}

fn documents(folder: &Path, recipient: &str) -> Anyhow<()> {
    let mut text = format!(
        "apiVersion: backstay.dev/v1alpha1\nkind: BackupLocation\nmetadata: {{name: vault}}\nspec: {{archive: {{url: 'file://{}'}}, recipients: [{recipient}]}}\n",
        folder.join("vault").display()
    );
    for number in 0..POLICIES {
        text.push_str(&format!(
            "---\napiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata: {{name: team-{number}}}\nspec: {{schedule: '{}', locations: [vault], retention: {{keepLast: 3}}, select: {{namespaces: {{include: [team-{number}]}}}}}}\n",
            schedule(number)
        ));
    }
    fs::write(folder.join("policy/policy.yaml"), text)?;
    Ok(())
}

fn settings() -> desk::Settings {
    desk::Settings {
        replica: "bench".into(),
        git: true,
        resources: true,
        interval: Duration::from_mins(1),
        restores: false,
        runs: 4,
        cluster: "prod".into(),
        fallback: desk::Fallback::Views,
    }
}

fn app(folder: &Path, clock: Arc<FakeClock>, cluster: Arc<Cluster>) -> Arc<App> {
    let path = |name: &str| -> PathBuf { folder.join(name) };
    let settings = Settings {
        policy_repo: path("policy").display().to_string(),
        has_policy_repo: true,
        policy_ref: None,
        policy_path: None,
        cluster_name: Some("prod".into()),
        kubeconfig: None,
        context: None,
        namespace: HOME.into(),
        identities: Vec::new(),
        cache: path("cache"),
        state: path("state"),
        keys: Keys::Cluster,
        allowed_signers: None,
        variables: std::collections::BTreeMap::new(),
    };
    let exec = Arc::new(Containers::new(cluster.as_ref().clone(), clock.clone()));
    let connected = Connected { reader: cluster.clone(), writer: cluster, exec, name: "prod".into() };
    Arc::new(App::with_cluster(settings, clock, connected))
}

/// Names of the snapshots that are there now: folders with a record.
fn snapshots(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("vault/clusters/prod/snapshots"));
    let folders = entries.into_iter().flatten().flatten();
    let whole = folders.filter(|entry| entry.path().join("snapshot.json").exists());
    whole.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// How many runs were due until five minutes ago, and which of them were not done exactly once.
fn judged(seen: &Seen, now: Timestamp) -> Anyhow<(usize, Vec<String>)> {
    let mut times: Vec<(String, Timestamp)> = Vec::new();
    for name in seen {
        let id = SnapshotId::parse(name).ok_or("a folder that is no snapshot")?;
        let policy = name.rsplitn(3, '-').nth(2).ok_or("a name without a policy")?;
        times.push((policy.to_owned(), id.started().ok_or("a name without a time")?));
    }
    let (mut due, mut wrong) = (0, Vec::new());
    for number in 0..POLICIES {
        let name = format!("team-{number}");
        let schedule = Schedule::parse(&schedule(number), None)?;
        let mut at: Timestamp = START.parse()?;
        while let Some(next) =
            schedule.next(at).filter(|next| *next < now - jiff::SignedDuration::from_mins(5))
        {
            at = next;
            due += 1;
            let done = times.iter().filter(|(policy, time)| *policy == name && *time == next).count();
            if done != 1 {
                wrong.push(format!("{name} at {next}: {done} times"));
            }
        }
    }
    Ok((due, wrong))
}

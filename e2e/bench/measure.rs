//! Runs the release binary, measures wall time and peak memory, and compares with the baseline.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::ROUNDS;
use crate::objects::Made;
use crate::raw::namespaces;

/// Peak memory a backup may take, in MiB, and a restore of 31,000 objects.
const MEMORY_TARGET: f64 = 200.0;
const RESTORE_MEMORY_TARGET: f64 = 250.0;

/// One figure.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Number of objects made for the measurement.
    pub objects: usize,
    /// What was done.
    pub what: String,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Peak resident memory in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_mib: Option<f64>,
    /// Name of the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// Multiple of the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// The multiple it must not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
}

impl Row {
    /// Whether the figure is worse than its target.
    pub fn misses(&self) -> bool {
        let slow = self.ratio.zip(self.target).is_some_and(|(ratio, target)| ratio > target);
        let bound = if self.what.starts_with("restore") { RESTORE_MEMORY_TARGET } else { MEMORY_TARGET };
        slow || self.peak_mib.is_some_and(|mib| mib > bound)
    }
}

/// Wall time and peak memory of one run.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Wall time in seconds.
    pub seconds: f64,
    /// Peak resident memory in MiB.
    pub peak_mib: f64,
}

/// A policy, a key and locations for one number of objects, and the figures so far.
pub struct Bench {
    dir: PathBuf,
    /// Number of objects that the next figures are about.
    pub objects: usize,
    namespaces: usize,
    prefix: String,
    baseline: (String, Duration),
    /// Figures so far.
    pub rows: Vec<Row>,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

impl Bench {
    /// Makes the folder anew.
    pub fn new(dir: &Path, prefix: &str, made: &[Made]) -> Result<Self> {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        fs::create_dir_all(dir.join("policy"))?;
        let baseline = (String::new(), Duration::ZERO);
        let (objects, namespaces) = (made.len(), namespaces(made).len());
        let prefix = prefix.to_owned();
        let bench = Self { dir: dir.into(), objects, namespaces, prefix, baseline, rows: Vec::new() };
        bench.plain(&["keys", "new", &bench.path("key.txt")])?;
        let recipient = bench.plain(&["keys", "show", "--identity", &bench.path("key.txt")])?;
        make_mirror(&bench.path("mirror.git"))?;
        let mut text = String::new();
        for (name, locations) in [("archive", "[archive]"), ("both", "[archive, mirror]")] {
            text += &format!(
                "apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata: {{name: {name}}}\nspec: {{locations: {locations}}}\n---\n"
            );
        }
        for (name, target) in [("archive", "archive"), ("mirror.git", "mirror")] {
            let url = bench.path(name);
            text += &format!(
                "apiVersion: backstay.dev/v1alpha1\nkind: BackupLocation\nmetadata: {{name: {target}}}\nspec: {{{target}: {{url: 'file://{url}'}}, recipients: [{}]}}\n---\n",
                recipient.trim()
            );
        }
        fs::write(dir.join("policy/policy.yaml"), text)?;
        Ok(bench)
    }

    /// Sets what the next figures are compared with.
    pub fn against(&mut self, name: &str, time: Duration) {
        self.rows.push(Row {
            objects: self.objects,
            what: name.into(),
            seconds: time.as_secs_f64(),
            peak_mib: None,
            against: None,
            ratio: None,
            target: None,
        });
        self.baseline = (name.into(), time);
    }

    /// Measures something several times: the median of the times and the highest peak count.
    pub async fn rounds(
        &mut self,
        what: &str,
        target: f64,
        measure: impl AsyncFn(&Self, usize) -> Result<Measured>,
    ) -> Result<()> {
        let (mut times, mut peak) = (Vec::new(), 0.0_f64);
        for round in 0..ROUNDS {
            let measured = measure(self, round).await?;
            times.push(measured.seconds);
            peak = peak.max(measured.peak_mib);
        }
        times.sort_by(f64::total_cmp);
        self.figure(what, target, &Measured { seconds: times[times.len() / 2], peak_mib: peak });
        Ok(())
    }

    /// Measures what cannot be repeated.
    pub fn once(
        &mut self,
        what: &str,
        target: f64,
        measure: impl Fn(&Self) -> Result<Measured>,
    ) -> Result<()> {
        let measured = measure(self)?;
        self.figure(what, target, &measured);
        Ok(())
    }

    /// One backup.
    pub fn backup(&self, policy: &str) -> Result<Measured> {
        self.measured(&["backup", policy, "--quiet"])
    }

    /// Adds a policy with one hook.
    pub fn hook(&self, hook: &str) -> Result<()> {
        let text = format!(
            "apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata: {{name: hooks}}\nspec: {{locations: [archive], hooks: [{hook}]}}\n"
        );
        Ok(fs::write(self.dir.join("policy/hooks.yaml"), text)?)
    }

    /// All hooks of that policy, without a backup.
    pub fn hooks(&self) -> Result<Measured> {
        self.measured(&["hooks", "test", "hooks", "--hook", "done", "--quiet"])
    }

    /// Makes the mirror empty again.
    pub fn forget_mirror(&self) -> Result<()> {
        for folder in ["mirror.git", "cache"] {
            let folder = self.dir.join(folder);
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
        }
        make_mirror(&self.path("mirror.git"))
    }

    /// A restore of everything into namespaces with new names.
    pub fn restore(&self) -> Result<Measured> {
        let maps: Vec<String> =
            (0..self.namespaces).map(|n| format!("{0}-{n:03}={0}-{n:03}-copy", self.prefix)).collect();
        let only = format!("{}-*", self.prefix);
        let mut args = vec![
            "restore",
            "apply",
            "--quiet",
            "--from",
            "archive@latest",
            "-n",
            &only,
            "--concurrency",
            "16",
        ];
        for map in &maps {
            args.extend(["--map-namespace", map]);
        }
        self.measured(&args)
    }

    /// A restore of everything over itself.
    pub fn restore_over(&self) -> Result<Measured> {
        let only = format!("{}-*", self.prefix);
        let from = ["restore", "apply", "--quiet", "--from", "archive@latest", "-n", &only];
        self.measured(&[&from[..], &["--existing", "update", "--concurrency", "16"]].concat())
    }

    fn figure(&mut self, what: &str, target: f64, measured: &Measured) {
        let ratio = measured.seconds / self.baseline.1.as_secs_f64();
        self.rows.push(Row {
            objects: self.objects,
            what: what.into(),
            seconds: measured.seconds,
            peak_mib: Some(measured.peak_mib),
            against: Some(self.baseline.0.clone()),
            ratio: Some(ratio),
            target: Some(target),
        });
    }

    /// Runs Backstay; an exit code other than 0 is an error.
    fn measured(&self, args: &[&str]) -> Result<Measured> {
        let started = Instant::now();
        let mut child = self.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let status_file = format!("/proc/{}/status", child.id());
        let mut peak = 0.0_f64;
        let status = loop {
            if let Ok(text) = fs::read_to_string(&status_file) {
                let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
                let kib = line.and_then(|l| l.trim().strip_suffix(" kB")).and_then(|n| n.parse::<f64>().ok());
                peak = peak.max(kib.unwrap_or(0.0) / 1024.0);
            }
            if let Some(status) = child.try_wait()? {
                break status;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let seconds = started.elapsed().as_secs_f64();
        if !status.success() {
            let mut said = String::new();
            std::io::Read::read_to_string(&mut child.stderr.take().ok_or("no standard error")?, &mut said)?;
            return Err(format!("backstay {} ended with {status}: {said}", args.join(" ")).into());
        }
        Ok(Measured { seconds, peak_mib: peak })
    }

    fn plain(&self, args: &[&str]) -> Result<String> {
        let output = self.command(args).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
        command
            .args(args)
            .env("BACKSTAY_POLICY_REPO", self.path("policy"))
            .env("BACKSTAY_CLUSTER_NAME", "bench")
            .env("BACKSTAY_IDENTITY", self.path("key.txt"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("XDG_STATE_HOME", self.path("state"));
        command
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

fn make_mirror(path: &str) -> Result<()> {
    let made = Command::new("git").args(["init", "-q", "--bare", "-b", "main", path]).status()?;
    if made.success() { Ok(()) } else { Err(format!("cannot make {path}").into()) }
}

/// Prints the figures as a table.
pub fn print(rows: &[Row]) {
    println!(
        "{:>7}  {:<32} {:>8}  {:>9}  {:>6}  {:>6}  ",
        "objects", "what", "seconds", "peak MiB", "ratio", "target"
    );
    for row in rows {
        let number = |n: Option<f64>, digits: usize| n.map_or(String::new(), |n| format!("{n:.digits$}"));
        println!(
            "{:>7}  {:<32} {:>8.2}  {:>9}  {:>6}  {:>6}  {}",
            row.objects,
            row.what,
            row.seconds,
            number(row.peak_mib, 0),
            number(row.ratio, 2),
            number(row.target, 1),
            if row.misses() { "MISSED" } else { "" }
        );
    }
}

/// Resident memory of this process, in bytes.
pub fn resident() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = text.split_whitespace().nth(1).ok_or("statm has no resident pages")?.parse()?;
    Ok(pages * 4_096)
}

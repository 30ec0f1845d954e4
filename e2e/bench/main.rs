//! Measures backups and restores on a real API server, as ratios against raw API calls in the same run.
//!
//! `e2e/bench/run` brings the server up and calls this with a folder and the numbers of objects, and once more with a node and
//! the word `hooks`; with the word `day` it needs no server.

#![allow(
    clippy::format_push_string,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a scenario that cannot go on says so by a panic"
)]

mod day;
mod measure;
mod objects;
mod pods;
mod raw;

use std::path::PathBuf;

use measure::{Bench, Row};

/// As in the program: what is measured here stands for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Calls to the API server at the same time, for Backstay and for the raw baseline.
pub const CONCURRENCY: usize = 16;

/// How often what can be repeated is measured; the median counts, for Backstay and for the raw baseline.
pub const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let dir = PathBuf::from(args.next().ok_or("usage: bench DIR [COUNT...]")?);
    let rest: Vec<String> = args.collect();
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    let (rows, name) = match words.as_slice() {
        ["hooks"] => (pods::hooks(&dir, 200).await?, "bench-hooks.json"),
        ["day"] => (day::day(&dir).await?, "bench-day.json"),
        _ => (measured(&dir, &rest).await?, "bench.json"),
    };
    measure::print(&rows);
    std::fs::write(dir.join(name), serde_json::to_string_pretty(&rows)?)?;
    println!("\n{}", serde_json::to_string(&rows)?);
    if rows.iter().any(Row::misses) {
        return Err("a figure misses its target".into());
    }
    Ok(())
}

/// Backups and restores of objects.
async fn measured(dir: &std::path::Path, rest: &[String]) -> Result<Vec<Row>, Box<dyn std::error::Error>> {
    let mut counts: Vec<usize> = rest.iter().map(|arg| arg.parse()).collect::<Result<_, _>>()?;
    if counts.is_empty() {
        counts = vec![3_600, 20_000];
    }
    let mut rows = Vec::new();
    for count in counts {
        rows.extend(run(dir, count).await?);
    }
    rows.extend(secrets(dir, 31_000).await?);
    rows.extend(unchanged(dir, 5_000, 200).await?);
    Ok(rows)
}

/// Every measurement with this many objects, in a fresh set of namespaces.
async fn run(dir: &std::path::Path, count: usize) -> Result<Vec<Row>, Box<dyn std::error::Error>> {
    let cluster = raw::Cluster::connect().await?;
    let prefix = format!("bench{count}");
    let made = objects::mixed(&prefix, count);
    cluster.create_namespaces(&made).await?;
    let creation = cluster.create(&made).await?;
    let lists = cluster.list_everything().await?;
    let mut bench = Bench::new(&dir.join(&prefix), &prefix, &made)?;

    bench.against("raw LISTs", lists);
    bench.rounds("archive: full backup", 3.0, async |bench, _| bench.backup("archive")).await?;
    bench
        .rounds("both: first commit and push", 12.0, async |bench, _| {
            bench.forget_mirror()?;
            bench.backup("both")
        })
        .await?;
    bench.rounds("both: nothing changed", 4.0, async |bench, _| bench.backup("both")).await?;
    bench
        .rounds("both: 1 % changed", 4.0, async |bench, round| {
            cluster.touch(&made, count / 100, round).await?;
            bench.backup("both")
        })
        .await?;

    if count <= 5_000 {
        bench.against("raw creation", creation);
        bench.once("restore into new namespaces", 1.5, Bench::restore)?;
    }
    cluster.delete_namespaces(&made).await?;
    Ok(bench.rows)
}

/// Secrets into a fresh namespace: what took Velero 52 minutes (its issue 6845).
///
/// The baseline is the mean of two creations, one before the restore and one after it: the server gets slower or faster with
/// what it holds, and whoever comes second must not pay or gain for that.
async fn secrets(dir: &std::path::Path, count: usize) -> Result<Vec<Row>, Box<dyn std::error::Error>> {
    let cluster = raw::Cluster::connect().await?;
    let made = objects::secrets("secrets", count);
    cluster.create_namespaces(&made).await?;
    let creation = cluster.create(&made).await?;
    let mut bench = Bench::new(&dir.join("secrets"), "secrets", &made)?;
    bench.backup("archive")?;
    let restore = bench.restore()?;
    let later = objects::secrets("later", count);
    cluster.create_namespaces(&later).await?;
    let again = cluster.create(&later).await?;
    bench.against("raw creation of Secrets", (creation + again) / 2);
    bench.once("restore Secrets", 1.3, |_| Ok(restore))?;
    cluster.delete_namespaces(&made).await?;
    cluster.delete_namespaces(&later).await?;
    Ok(bench.rows)
}

/// A restore over itself: every object is there, and nothing has to change.
async fn unchanged(
    dir: &std::path::Path,
    count: usize,
    namespaces: usize,
) -> Result<Vec<Row>, Box<dyn std::error::Error>> {
    let cluster = raw::Cluster::connect().await?;
    let made = objects::spread("spread", count, namespaces);
    cluster.create_namespaces(&made).await?;
    cluster.create(&made).await?;
    let mut bench = Bench::new(&dir.join("spread"), "spread", &made)?;
    bench.backup("archive")?;
    // The first run makes Backstay an owner of the fields; from the second on nothing changes.
    bench.restore_over()?;
    bench.against("raw dry-run applies", cluster.dry_run_applies(&made).await?);
    bench.rounds("restore: Update, nothing changed", 1.5, async |bench, _| bench.restore_over()).await?;
    cluster.delete_namespaces(&made).await?;
    Ok(bench.rows)
}

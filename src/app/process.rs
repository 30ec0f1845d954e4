//! Who this process is, and whether another one on the same machine still runs.
//!
//! In: nothing · Out: `Worker` · Touches: `/proc`

use std::fs;

use crate::engine::journal::Worker;

/// This process. Containers are machines of their own: their processes have numbers of their own.
pub fn this() -> Worker {
    let process = std::process::id();
    Worker { machine: machine(), process, since: since(process).unwrap_or_default() }
}

/// The name of the machine.
pub fn name() -> String {
    let read = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = read.trim();
    if name.is_empty() { "backstay".to_owned() } else { name.to_owned() }
}

/// Whether a process is known to be gone: it was on this machine, and is not there any more.
///
/// `false` where that cannot be known.
pub fn is_gone(worker: &Worker) -> bool {
    let known = fs::metadata("/proc/self/stat").is_ok();
    known && worker.machine == machine() && since(worker.process).is_none_or(|since| since != worker.since)
}

/// Host name, boot and process name space.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let host = read("/proc/sys/kernel/hostname");
    let boot = read("/proc/sys/kernel/random/boot_id");
    let space = fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default();
    let short = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).take(8).collect::<String>();
    format!("{host} ({}, {space})", short(&boot))
}

/// When a process started, in ticks since the boot: field 22 of `/proc/PID/stat`, whose second field is in brackets.
fn since(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_one_that_had_its_number_before_does_not() {
        let this = this();
        assert!(!is_gone(&this), "{this:?}");
        assert!(is_gone(&Worker { since: "0".into(), ..this.clone() }));
        assert!(!is_gone(&Worker { machine: "another".into(), since: "0".into(), ..this }));
    }
}

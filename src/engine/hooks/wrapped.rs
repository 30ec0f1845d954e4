//! Wraps a command so that it can be ended: a shell says its process number and becomes the command.
//!
//! A container runtime starts every command as the leader of a session and process group of its own, so that the number
//! of the shell names the whole group. Source: runc `nsexec.c` and crun, `setsid` before the command.
//!
//! In: a command · Out: commands · Touches: nothing

use crate::ports::exec::Stream;

/// The name of a program; what is no name may be a secret, such as `PASSWORD=… dump`.
pub fn plain_program(program: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if program.chars().all(plain) && program.len() <= 100 { program } else { "a command that is not shown" }
}

/// What the first line of a wrapped command begins with.
const MARK: &str = "backstay-hook-process ";

/// What is said of a command that nothing has ended. It is not tried again then: two copies could run at once.
pub const STILL: &str = "it may still run";

/// The shell that wraps commands.
pub const SHELL: &str = "sh";

/// The command, wrapped. It prints one line of its own first.
pub fn wrapped(command: &[String]) -> Vec<String> {
    let script = format!("echo \"{MARK}$$\"; exec \"$@\"");
    let shell = [SHELL, "-c", &script, "backstay"].map(str::to_owned);
    shell.into_iter().chain(command.iter().cloned()).collect()
}

/// The number of the process group, once the shell has said it.
pub fn process(output: &Stream) -> Option<u32> {
    let first = output.first.strip_prefix(MARK.as_bytes())?;
    let end = first.iter().position(|byte| *byte == b'\n')?;
    std::str::from_utf8(&first[..end]).ok()?.trim().parse().ok()
}

/// What the command itself has printed, and whether more was printed before that.
pub fn printed(output: &Stream) -> (&[u8], bool) {
    if output.is_cut() || !output.last.starts_with(MARK.as_bytes()) {
        return (&output.last, output.is_cut());
    }
    let end = output.last.iter().position(|byte| *byte == b'\n').map_or(output.last.len(), |at| at + 1);
    (&output.last[end..], false)
}

/// Sends a signal to the group, or where the runtime made none to the process itself.
pub fn signal(process: u32, name: &str) -> Vec<String> {
    let script = format!("kill -s {name} -- -{process} 2>/dev/null || kill -s {name} {process}");
    [SHELL, "-c", &script].map(str::to_owned).to_vec()
}

/// Succeeds while anything of the group is left.
pub fn is_there(process: u32) -> Vec<String> {
    let script = format!("kill -s 0 -- -{process} 2>/dev/null || kill -s 0 {process} 2>/dev/null");
    [SHELL, "-c", &script].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn stream(text: &str) -> Stream {
        let mut stream = Stream::default();
        stream.add(text.as_bytes());
        stream
    }

    #[test]
    fn a_wrapped_command_is_the_same_command() {
        let command = ["sh", "-c", "echo \"$1\"; echo bad >&2; exit 3", "x", "a  'b' \"c\" $d"];
        let command = wrapped(&command.map(str::to_owned));
        let done = Command::new(&command[0]).args(&command[1..]).output().unwrap();
        let output = stream(&String::from_utf8(done.stdout).unwrap());
        assert!(process(&output).is_some_and(|number| number > 1));
        assert_eq!(printed(&output), (b"a  'b' \"c\" $d\n".as_slice(), false));
        assert_eq!((done.stderr.as_slice(), done.status.code()), (b"bad\n".as_slice(), Some(3)));
    }

    #[test]
    fn the_shell_that_was_started_becomes_the_command() {
        let command = wrapped(&["sh", "-c", "echo $$"].map(str::to_owned));
        let done = Command::new(&command[0]).args(&command[1..]).output().unwrap();
        let output = stream(&String::from_utf8(done.stdout).unwrap());
        assert_eq!(printed(&output).0, format!("{}\n", process(&output).unwrap()).as_bytes());
    }

    #[test]
    fn what_says_no_number_has_none() {
        for text in ["", "backstay-hook-process 12", "hello\n", "backstay-hook-process x\n"] {
            assert_eq!(process(&stream(text)), None, "{text}");
        }
        assert_eq!(printed(&stream("hello\n")), (b"hello\n".as_slice(), false));
    }

    #[test]
    fn a_group_is_ended_with_its_children() {
        let script = wrapped(&["sh", "-c", "sleep 60 & sleep 60"].map(str::to_owned));
        let mut child = std::os::unix::process::CommandExt::process_group(
            Command::new(&script[0]).args(&script[1..]).stdout(std::process::Stdio::null()),
            0,
        )
        .spawn()
        .unwrap();
        let run = |command: Vec<String>| Command::new(&command[0]).args(&command[1..]).status().unwrap();
        assert!(run(is_there(child.id())).success());
        assert!(run(signal(child.id(), "KILL")).success());
        child.wait().unwrap();
        // The child of the child was adopted, and is reaped by whoever did.
        assert!((0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            !run(is_there(child.id())).success() || zombie(child.id())
        }));
    }

    /// Whether only processes that have ended are left of a group.
    fn zombie(group: u32) -> bool {
        let stats = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok());
        let fields = stats.filter_map(|stat| {
            let rest: Vec<String> = stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect();
            Some((rest.first()?.clone(), rest.get(2)?.parse::<u32>().ok()?))
        });
        fields.filter(|(_, of)| *of == group).all(|(state, _)| state == "Z")
    }
}

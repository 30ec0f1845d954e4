//! `completion`: scripts for shells.
//!
//! In: a shell · Out: a script · Touches: nothing

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Cli;

/// The completion script for a shell.
pub fn script(shell: Shell) -> String {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "backstay", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            assert!(script(shell).contains("snapshots"), "{shell}");
        }
    }
}

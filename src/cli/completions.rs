//! `phoneops completions`: what a shell needs to complete our command lines.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Out, Outcome};

/// Print completions for a shell
///
/// For bash: `phoneops completions bash > ~/.local/share/bash-completion/completions/phoneops`. For zsh: into a file `_phoneops` in a
/// directory of `$fpath`. For fish: `phoneops completions fish > ~/.config/fish/completions/phoneops.fish`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops completions bash > ~/.local/share/bash-completion/completions/phoneops")]
pub(super) struct Completions {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, out: &mut Out) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "phoneops", &mut script);
        out.line(String::from_utf8_lossy(&script).trim_end());
        Outcome::Done
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::tests::on_paper;
    use super::*;

    #[test]
    fn every_shell_hears_of_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let (mut out, stdout, _) = on_paper(false);
            Completions { shell }.run(&mut out);
            for command in Cli::command().get_subcommands() {
                assert!(stdout.text().contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}

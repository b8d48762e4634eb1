//! Writes what packages say about the tracer's options: two manual pages, the default configuration, and
//! completions for three shells. A directory comes in; the files go there, all made from the command line
//! that the tracer itself parses.

mod configuration;
mod option;
mod program;
mod wrapped;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use tracer::cli::Cli;

fn main() -> Result<()> {
    let directory = env::args_os().nth(1).context("say which directory the files are to go to")?;
    for (name, contents) in files()? {
        let path = Path::new(&directory).join(name);
        let make = path.parent().map_or(Ok(()), fs::create_dir_all);
        let write = make.and_then(|()| fs::write(&path, contents));
        write.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// All files, by their names below the directory.
fn files() -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let command = Cli::command();
    let mut files = vec![
        ("man/tracer.1".into(), program::page(&command)?),
        ("man/tracer.toml.5".into(), configuration::page(&command)),
        ("tracer.toml".into(), configuration::file(&command).into_bytes()),
    ];
    // By the names under which shells look for them.
    let completed = [
        (Shell::Bash, "completions/bash/tracer"),
        (Shell::Fish, "completions/fish/tracer.fish"),
        (Shell::Zsh, "completions/zsh/_tracer"),
    ];
    for (shell, name) in completed {
        files.push((name.into(), completions(shell, &command)));
    }
    Ok(files)
}

fn completions(shell: Shell, command: &Command) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command.clone(), "tracer", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_in_every_file_that_is_to_have_it() {
        let in_file: Vec<_> = tracer::config_file::options(&Cli::command())
            .filter_map(|arg| arg.get_long().map(str::to_owned))
            .collect();
        assert!(in_file.len() > 20, "{in_file:?}");
        for (name, contents) in files().expect("they can be made") {
            let text = String::from_utf8(contents).expect("it is text");
            let is_of_the_file = name.to_string_lossy().contains("toml");
            for arg in Cli::command().get_arguments() {
                let long = arg.get_long().expect("each has a long name");
                if is_of_the_file && !in_file.iter().any(|key| key == long) {
                    continue;
                }
                let plain = text.replace("\\-", "-");
                assert!(plain.contains(long), "{}: there is no {long}", name.display());
            }
        }
    }

    #[test]
    fn completions_are_for_the_program() {
        let script = |shell| String::from_utf8(completions(shell, &Cli::command())).expect("text");
        assert!(script(Shell::Bash).contains("complete -F _tracer"));
        assert!(script(Shell::Zsh).starts_with("#compdef tracer"));
        assert!(script(Shell::Fish).contains("complete -c tracer -l show-secrets"));
    }
}

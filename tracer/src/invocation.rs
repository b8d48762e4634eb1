//! How the program was called. It can be read again: the arguments stay, the configuration file that they
//! name may say something else by then.

use std::{collections::BTreeMap, ffi::OsString};

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use crate::{
    cli::Cli,
    config::{Config, Surroundings},
    config_file,
};

/// The arguments, and what they are read with.
pub struct Invocation {
    arguments: Vec<OsString>,
    surroundings: Surroundings,
}

/// Why there is nothing to run.
#[derive(Debug)]
pub enum Refusal {
    /// The arguments are wrong, or ask for help.
    Arguments(Box<clap::Error>),
    /// What they say together is wrong, or what the configuration file says; a line each.
    Config(String),
}

impl From<clap::Error> for Refusal {
    fn from(error: clap::Error) -> Self {
        Self::Arguments(Box::new(error))
    }
}

/// Options of a file, by their names, as they were written: typed, in the file, or by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written(BTreeMap<String, Vec<OsString>>);

/// An invocation, and what it was read as at the start.
pub struct Reading {
    /// How to read it again.
    pub invocation: Invocation,
    /// What it said.
    pub cli: Cli,
    /// The same, as it was written.
    pub written: Written,
    /// Whether it names a configuration file.
    pub has_file: bool,
}

impl Invocation {
    /// What the program was called with; the first argument is its name.
    pub fn new(arguments: Vec<OsString>, surroundings: Surroundings) -> Self {
        Self { arguments, surroundings }
    }

    /// What the arguments say, and where they are silent the file that they name.
    pub fn load(&self) -> Result<(Cli, Written), Refusal> {
        let typed = Cli::command().try_get_matches_from(&self.arguments)?;
        let cli = Cli::from_arg_matches(&typed)?;
        let Some(path) = cli.config_file() else { return Ok((cli, Written::of(&typed))) };
        let command = config_file::read(Cli::command(), path).map_err(Refusal::Config)?;
        let matches = command.try_get_matches_from(&self.arguments)?;
        Ok((Cli::from_arg_matches(&matches)?, Written::of(&matches)))
    }

    /// One validated configuration out of it.
    pub fn config(&self, cli: Cli) -> Result<Config, Refusal> {
        Config::new(cli, self.surroundings).map_err(Refusal::Config)
    }
}

impl Written {
    fn of(matches: &ArgMatches) -> Self {
        let command = Cli::command();
        let raw = |option: &clap::Arg| {
            let values = matches.get_raw(option.get_id().as_str()).unwrap_or_default();
            let name = option.get_long().unwrap_or_default();
            (name.to_owned(), values.map(OsString::from).collect())
        };
        Self(config_file::options(&command).map(raw).collect())
    }

    /// The names of the options that another reading has otherwise.
    pub fn differing<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = &'s str> {
        let differs =
            |(name, values): &(&String, &Vec<OsString>)| other.0.get(*name) != Some(values);
        self.0.iter().filter(differs).map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_has_changed_is_read_again_and_what_differs_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tracer.toml");
        let arguments = ["tracer", "--config", file.to_str().unwrap(), "-X"].map(OsString::from);
        let invocation = Invocation::new(arguments.to_vec(), Surroundings::default());
        fs::write(&file, "port = 80\nframes = true\nthreads = 2\n").unwrap();
        let (cli, before) = invocation.load().unwrap();
        assert_eq!((cli.port.to_string().as_str(), cli.frames, cli.hex), ("80", true, true));
        fs::write(&file, "port = [80, 81]\nframes = true\nhex = false\n").unwrap();
        let (cli, after) = invocation.load().unwrap();
        assert_eq!((cli.port.to_string().as_str(), cli.hex), ("80,81", true), "typed ones win");
        assert_eq!(after.differing(&before).collect::<Vec<_>>(), ["port", "threads"]);
        assert_eq!(after.differing(&after).count(), 0);
        fs::write(&file, "prot = 80\n").unwrap();
        assert!(matches!(invocation.load(), Err(Refusal::Config(told)) if told.contains(":1:")));
    }
}

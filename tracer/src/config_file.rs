//! The configuration file: TOML in which each key is a long option without its dashes. What it says
//! becomes the option's default: the command line wins, and there is one list of options.

use std::{fmt::Write as _, fs, path::Path};

use clap::{
    Arg, ArgAction, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Where the file of the service is.
pub const PATH: &str = "/etc/tracer/tracer.toml";

/// Options that say what one run is to do, not how to trace.
const NOT_IN_FILES: [&str; 6] = ["check-config", "config", "count", "help", "read", "version"];

/// Options that change while a tracer runs, when it reads the file again. All others are part of what is in
/// the kernel, of the bounds of memory, of what was opened with privileges, or of how an output began.
pub const CHANGEABLE: [&str; 7] =
    ["frames", "interface", "log-level", "output", "port", "show-secrets", "stats-interval"];

/// The options of a command that a file can have.
pub fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_in_files = |arg: &&Arg| arg.get_long().is_some_and(|key| !NOT_IN_FILES.contains(&key));
    command.get_arguments().filter(is_in_files)
}

/// The command with the defaults that the file at `path` has.
pub(crate) fn read(command: Command, path: &Path) -> Result<Command, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    give_defaults(command, path, &text)
}

/// Gives the options of a command the defaults that a file has for them. The error is all that is wrong
/// with it, a line each.
fn give_defaults(mut command: Command, path: &Path, text: &str) -> Result<Command, String> {
    let mut problems = String::new();
    let mut refuse = |at: usize, what: &str| {
        let line = 1 + text[..at].matches('\n').count();
        let _infallible = writeln!(problems, "{}:{line}: {what}", path.display());
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        refuse(error.span().map_or(0, |span| span.start), error.message());
    }
    for (key, value) in table.get_ref() {
        match Setting::new(&command, key.get_ref(), value.get_ref()) {
            Ok(setting) => command = setting.give(command),
            Err(Problem::Key(what)) => refuse(key.span().start, &what),
            Err(Problem::Value(what)) => refuse(value.span().start, &what),
        }
    }
    if problems.is_empty() { Ok(command) } else { Err(problems.trim_end().to_owned()) }
}

/// An option and what the file has for it.
struct Setting {
    id: String,
    values: Vec<String>,
}

enum Problem {
    Key(String),
    Value(String),
}

impl Setting {
    fn new(command: &Command, key: &str, value: &DeValue<'_>) -> Result<Self, Problem> {
        if NOT_IN_FILES.contains(&key) {
            return Err(Problem::Key(format!("`{key}` is for the command line only")));
        }
        let is_key = |arg: &&Arg| arg.get_long() == Some(key);
        let Some(arg) = command.get_arguments().find(is_key) else {
            return Err(Problem::Key(unknown(command, key)));
        };
        let values = match (arg.get_action(), value) {
            (_, DeValue::Array(values)) if values.is_empty() => {
                return Err(Problem::Value(format!("`{key}` is empty: leave it out")));
            }
            (ArgAction::SetTrue, DeValue::Boolean(is_set)) => vec![is_set.to_string()],
            (ArgAction::SetTrue, _) => {
                return Err(Problem::Value(format!("`{key}` is either true or false")));
            }
            (ArgAction::Append, DeValue::Array(values)) => scalars(key, values)?,
            (_, DeValue::Array(values)) => vec![scalars(key, values)?.join(",")],
            (_, value) => vec![scalar(key, value)?],
        };
        let setting = Self { id: arg.get_id().to_string(), values };
        if !matches!(arg.get_action(), ArgAction::SetTrue) {
            setting.check(command, key).map_err(Problem::Value)?;
        }
        Ok(setting)
    }

    /// Has the values checked as if they had been typed.
    fn check(&self, command: &Command, key: &str) -> Result<(), String> {
        let typed = self.values.iter().map(|value| format!("--{key}={value}"));
        let parsed = command.clone().no_binary_name(true).try_get_matches_from(typed);
        parsed.map(drop).map_err(|error| first_line(&error))
    }

    fn give(self, command: Command) -> Command {
        command.mut_arg(self.id, |arg| arg.default_values(self.values))
    }
}

fn scalars(key: &str, values: &[Spanned<DeValue<'_>>]) -> Result<Vec<String>, Problem> {
    values.iter().map(|value| scalar(key, value.get_ref())).collect()
}

fn scalar(key: &str, value: &DeValue<'_>) -> Result<String, Problem> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => {
            Err(Problem::Value(format!("`{key}` takes a string or an integer, or several in [ ]")))
        }
    }
}

/// What clap would say of such an option, which knows what is similar.
fn unknown(command: &Command, key: &str) -> String {
    let typed = [format!("--{key}")];
    let similar = command
        .clone()
        .no_binary_name(true)
        .try_get_matches_from(typed)
        .err()
        .filter(|error| error.kind() == ErrorKind::UnknownArgument)
        .and_then(|error| match error.get(ContextKind::SuggestedArg) {
            Some(ContextValue::String(similar)) => Some(similar.trim_start_matches('-').to_owned()),
            _ => None,
        });
    match similar {
        Some(similar) => format!("there is no option `{key}`; is it `{similar}`?"),
        None => format!("there is no option `{key}`"),
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _};

    use super::*;
    use crate::cli::Cli;

    fn load(text: &str, arguments: &[&str]) -> Result<Cli, String> {
        let command = give_defaults(Cli::command(), Path::new("t.toml"), text)?;
        let matches = command.no_binary_name(true).try_get_matches_from(arguments);
        let matches = matches.map_err(|error| error.to_string())?;
        Cli::from_arg_matches(&matches).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_sets_what_the_command_line_does_not() {
        let text = "port = [80, \"8000-8010\"]\ninterface = [\"lo\", \"eth0\"]\nsegments = true\n\
                    frames = false\nthreads = 2\nmemory-limit = \"1MiB\"\nsnaplen = 96\n";
        let cli = load(text, &["--threads", "3", "-i", "eth1"]).unwrap();
        assert_eq!(cli.port.to_string(), "80,8000-8010");
        assert_eq!((cli.segments, cli.frames), (true, false));
        assert_eq!((cli.threads, cli.snaplen), (Some(3), Some(96)));
        assert_eq!(cli.interface, ["eth1"]);
        assert_eq!(cli.limits.memory_limit.0, 1 << 20);
        assert_eq!(load(text, &[]).unwrap().interface, ["lo", "eth0"]);
    }

    #[test]
    fn a_file_says_nothing_against_a_capture_file() {
        let cli = load("interface = \"lo\"\nsnaplen = 9", &["--read", "x.pcap"]).unwrap();
        assert!(cli.read.is_some());
    }

    #[test]
    fn metrics_that_a_file_has_on_can_be_off() {
        let metrics = |arguments: &[&str]| {
            load("metrics = \"127.0.0.1:80\"", arguments).unwrap().metrics.unwrap().0
        };
        assert_eq!(metrics(&[]).unwrap().port(), 80);
        assert_eq!(metrics(&["--metrics"]).unwrap().port(), 9272);
        assert_eq!(metrics(&["--metrics", "off"]), None);
        assert!(load("metrics = true", &[]).is_err());
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_line() {
        let text = "# ours\nprot = 80\n\nport = 70000\nformat = \"xml\"\nsegments = 1\nthreads = 1.5\n\
                    [limits]\nread = \"x\"\n";
        let told = load(text, &[]).unwrap_err();
        let expected = [
            "t.toml:2: there is no option `prot`; is it `port`?",
            "t.toml:4: invalid value '70000' for '--port <PORTS>': `70000` is not a port: ports are 1 \
             to 65535",
            "t.toml:5: invalid value 'xml' for '--format <FORMAT>'",
            "t.toml:6: `segments` is either true or false",
            "t.toml:7: `threads` takes a string or an integer, or several in [ ]",
            "t.toml:8: there is no option `limits`",
        ];
        let mut lines: Vec<_> = told.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, expected, "{told}");
        let told = load("read = \"x\"", &[]).unwrap_err();
        assert_eq!(told, "t.toml:1: `read` is for the command line only");
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        let told = load("port = 80\ninterface = [\"lo\"\nsegments = yes\n", &[]).unwrap_err();
        assert!(told.starts_with("t.toml:"), "{told}");
        assert!(load("port = 80\nport = 81", &[]).unwrap_err().starts_with("t.toml:2: "));
    }

    #[test]
    fn every_option_but_those_of_one_run_can_be_in_the_file() {
        for arg in Cli::command().get_arguments() {
            let key = arg.get_long().expect("each has a long name");
            let told = load(&format!("{key} = [[1]]"), &[]).unwrap_err();
            let is_for_one_run = told.ends_with("is for the command line only");
            assert_eq!(is_for_one_run, NOT_IN_FILES.contains(&key), "{told}");
            assert!(!told.contains("there is no option"), "{told}");
        }
    }
}

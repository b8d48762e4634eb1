//! One option as the configuration file has it: an argument of the command line comes in; what TOML and
//! people call its parts goes out.

use clap::{Arg, ArgAction, Command};
use tracer::config_file;

/// An option that can be in the file.
pub(crate) struct Setting {
    /// The key.
    pub(crate) key: String,
    /// What it does, with its default where that depends on something.
    pub(crate) help: String,
    /// The values that it takes, where these are few, each with its meaning.
    pub(crate) values: Vec<(String, String)>,
    /// Its value where nobody says anything, in TOML.
    pub(crate) default: Option<String>,
    /// What to write in its place, in capitals.
    pub(crate) placeholder: String,
}

/// All of a command, in its order.
pub(crate) fn settings(command: &Command) -> Vec<Setting> {
    let mut command = command.clone();
    // Until then, nothing is known of how many values an option takes.
    command.build();
    config_file::options(&command).filter(|arg| !arg.is_hide_set()).map(Setting::new).collect()
}

impl Setting {
    fn new(arg: &Arg) -> Self {
        let key = arg.get_long().unwrap_or_default().to_owned();
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string);
        let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
        let values = if is_switch { Vec::new() } else { possible_values(arg) };
        let (default, placeholder) = if is_switch {
            (Some("false".to_owned()), String::new())
        } else {
            (default(arg), placeholder(arg))
        };
        Self { key, help: help.unwrap_or_default(), values, default, placeholder }
    }
}

fn possible_values(arg: &Arg) -> Vec<(String, String)> {
    let values = arg.get_possible_values();
    let shown = values.iter().filter(|value| !value.is_hide_set());
    shown
        .map(|value| {
            let meaning = value.get_help().map(ToString::to_string).unwrap_or_default();
            (value.get_name().to_owned(), meaning)
        })
        .collect()
}

fn default(arg: &Arg) -> Option<String> {
    let values: Vec<_> =
        arg.get_default_values().iter().map(|value| toml(&value.to_string_lossy())).collect();
    match values.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        several => Some(format!("[{}]", several.join(", "))),
    }
}

/// An integer as it is, all else as a string.
fn toml(value: &str) -> String {
    match value.parse::<u64>() {
        Ok(number) => number.to_string(),
        Err(_) => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

fn placeholder(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let name = names.first().map_or("VALUE", |name| name.as_str());
    // Options whose values are listed have the key in capitals there.
    let name = if arg.get_possible_values().is_empty() { name } else { "VALUE" };
    if matches!(arg.get_action(), ArgAction::Append) {
        format!("[{name}, …]")
    } else {
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use clap::arg;

    use super::*;

    fn only(arg: Arg) -> Setting {
        let command = Command::new("c").disable_help_flag(true).arg(arg);
        settings(&command).pop().expect("there is one")
    }

    #[test]
    fn defaults_are_toml() {
        assert_eq!(only(arg!(--size <SIZE>).default_value("4KiB")).default.unwrap(), "\"4KiB\"");
        assert_eq!(only(arg!(--number <N>).default_value("60")).default.unwrap(), "60");
        assert_eq!(only(arg!(--switch)).default.unwrap(), "false");
        let several = only(arg!(--names <NAME> ...).default_values(["a", "b"]));
        assert_eq!(several.default.unwrap(), "[\"a\", \"b\"]");
    }

    #[test]
    fn what_has_no_default_shows_what_to_write() {
        let one = only(arg!(--snaplen <BYTES>));
        assert_eq!((one.default, one.placeholder.as_str()), (None, "BYTES"));
        assert_eq!(only(arg!(--output <TARGET> ...)).placeholder, "[TARGET, …]");
        let listed = only(arg!(--format <FORMAT>).value_parser(["text", "json"]));
        assert_eq!(listed.placeholder, "VALUE");
        assert_eq!(listed.values[1].0, "json");
    }
}

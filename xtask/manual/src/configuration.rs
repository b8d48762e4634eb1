//! The configuration file as it is installed, and its manual page: the command line comes in; a file in
//! which every option is a comment, and tracer.toml(5), go out.

use clap::Command;
use clap_mangen::roff::{Roff, bold, italic, line_break, roman};
use tracer::config_file::{CHANGEABLE, PATH};

use crate::{
    option::{self, Setting},
    program::{self, MANUAL},
    wrapped,
};

/// Lines of the file end before this column.
const WIDTH: usize = 98;

const HEAD: &str = "\
# What the service traces, and how. tracer.toml(5) tells more; `tracer --check-config` says what is wrong,
# and `systemctl reload tracer` has a running service read this again.
#
# Each option is here with its default. Remove the `#` before a key to set it. What is written in
# capitals stands for a value: such an option is not set.
";

/// What suits a service: events with their fields in the journal, figures for whoever asks on this host.
const FOR_A_SERVICE: [(&str, &str); 2] =
    [("metrics", "\"127.0.0.1:9272\""), ("output", "\"journald\"")];

/// The file: it sets nothing but that.
pub(crate) fn file(command: &Command) -> String {
    let entries = option::settings(command);
    entries.iter().fold(HEAD.to_owned(), |file, setting| file + "\n" + &entry(setting))
}

fn entry(setting: &Setting) -> String {
    let mut text = setting.help.clone();
    for (value, meaning) in &setting.values {
        text += &format!("\n\"{value}\": {meaning}");
    }
    let comments = wrapped::lines(&text, WIDTH - 2);
    let comments: String = comments.iter().map(|line| format!("# {line}\n")).collect();
    match FOR_A_SERVICE.iter().find(|(key, _)| *key == setting.key) {
        Some((key, value)) => format!("{comments}{key} = {value}\n"),
        None => format!("{comments}#{}\n", line(setting)),
    }
}

/// As it would be in the file.
fn line(setting: &Setting) -> String {
    let value = setting.default.as_ref().unwrap_or(&setting.placeholder);
    format!("{} = {value}", setting.key)
}

/// tracer.toml(5).
pub(crate) fn page(command: &Command) -> Vec<u8> {
    let mut page = Roff::new();
    let version = format!("tracer {}", command.get_version().unwrap_or_default());
    page.control("TH", ["tracer.toml", "5", "", &version, MANUAL]);
    page.control("SH", ["NAME"]);
    page.text([roman("tracer.toml - configuration of the tracer")]);
    page.control("SH", ["DESCRIPTION"]);
    describe(&mut page);
    page.control("SH", ["OPTIONS"]);
    for setting in option::settings(command) {
        document(&mut page, &setting);
    }
    page.control("SH", ["EXAMPLE"]);
    program::as_it_is(
        &mut page,
        "port = [80, \"8000-8010\"]\ninterface = \"eth0\"\nframes = true\n",
    );
    page.control("SH", ["FILES"]);
    page.text([italic(PATH)]);
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("tracer"), roman("(1), "), bold("systemd.exec"), roman("(5)")]);
    page.to_roff().into_bytes()
}

fn describe(page: &mut Roff) {
    let paragraphs: [&[&str]; 3] = [
        &[
            "A file in TOML, in which each key is a long option of",
            "tracer(1) without its dashes.",
            "Options that take no value are true or false; what can be given several times, or as a list, \
             can be an array.",
            "What the command line says wins over the file.",
        ],
        &[
            "The file is read where",
            "--config",
            "names it, as the service does. All that is wrong with it, an unknown key for one, is told with its \
             line, and nothing is traced then;",
            "tracer --check-config",
            "does no more than that.",
        ],
        &["Options that say what one run is to do, such as --read, are for the command line only."],
    ];
    for paragraph in paragraphs {
        page.control("PP", []);
        page.text([roman(paragraph.join(" "))]);
    }
    page.control("PP", []);
    page.text([roman(format!(
        "On SIGHUP (systemctl reload tracer) files of events are opened again, and this file is read again. What \
         it has for {} changes then, and connections go on; of other options it is told that only a restart \
         changes them. A file that is wrong changes nothing.",
        CHANGEABLE.join(", ")
    ))]);
}

fn document(page: &mut Roff, setting: &Setting) {
    page.control("TP", []);
    let value = setting.default.as_ref().map_or_else(
        || italic(format!("{} (not set)", setting.placeholder)),
        |default| roman(default.as_str()),
    );
    page.text([bold(setting.key.as_str()), roman(" = "), value]);
    page.text([roman(setting.help.as_str())]);
    for (value, meaning) in &setting.values {
        page.text([line_break(), bold(format!("\"{value}\"")), roman(format!(": {meaning}"))]);
    }
}

#[cfg(test)]
mod tests {
    use std::{env, ffi::OsString, fs, process};

    use clap::CommandFactory as _;
    use tracer::{
        cli::Cli,
        config::Surroundings,
        invocation::{Invocation, Refusal},
    };

    use super::*;

    fn invocation(arguments: &[OsString]) -> Invocation {
        Invocation::new(arguments.to_vec(), Surroundings::default())
    }

    /// What a file of this text makes of a run without arguments.
    fn load(name: &str, text: &str) -> Result<String, String> {
        let path = env::temp_dir().join(format!("{name}-{}.toml", process::id()));
        fs::write(&path, text).expect("there is room");
        let arguments = ["tracer".into(), "--config".into(), path.clone().into()];
        let loaded = invocation(&arguments).load();
        fs::remove_file(&path).expect("it is there");
        match loaded {
            Ok((cli, _)) => Ok(format!("{:?}", Cli { config: None, ..cli })),
            Err(Refusal::Config(problems)) => Err(problems),
            Err(Refusal::Arguments(error)) => Err(error.to_string()),
        }
    }

    fn nothing_said() -> String {
        let arguments: [OsString; 1] = ["tracer".into()];
        format!("{:?}", invocation(&arguments).load().expect("there are defaults").0)
    }

    #[test]
    fn the_file_sets_what_suits_a_service() {
        let file = file(&Cli::command());
        let is_setting = |line: &&str| !line.is_empty() && !line.starts_with('#');
        let set: Vec<_> = file.lines().filter(is_setting).collect();
        assert_eq!(set, ["output = \"journald\"", "metrics = \"127.0.0.1:9272\""]);
        assert!(file.lines().all(|line| line.chars().count() <= 110), "{file}");
        assert_eq!(load("as-it-is", &file), load("set", &set.join("\n")));
    }

    #[test]
    fn each_default_in_the_file_is_the_one_of_the_program() {
        let settings = option::settings(&Cli::command());
        let (mut set, mut open) = (String::new(), 0);
        for setting in &settings {
            match setting.default {
                Some(_) => set += &format!("{}\n", line(setting)),
                None => open += 1,
            }
        }
        assert!(set.lines().count() > open, "{set}");
        assert_eq!(load("defaults", &set).unwrap(), nothing_said());
    }

    #[test]
    fn an_entry_is_its_meaning_its_values_and_its_default() {
        let setting = Setting {
            key: "attach".to_owned(),
            help: "How to attach".to_owned(),
            values: vec![("auto".to_owned(), "TCX or clsact.".to_owned())],
            default: Some("\"auto\"".to_owned()),
            placeholder: "VALUE".to_owned(),
        };
        let expected = "# How to attach\n# \"auto\": TCX or clsact.\n#attach = \"auto\"\n";
        assert_eq!(entry(&setting), expected);
        let open = Setting { default: None, values: Vec::new(), ..setting };
        assert_eq!(entry(&open), "# How to attach\n#attach = VALUE\n");
    }
}

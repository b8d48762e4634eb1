//! What the arguments say of outputs: targets and options come in, where events go and how they look
//! there comes out.

use std::collections::HashSet;

use super::{PortList, Surroundings};
use crate::{
    cli::{FormatName, OutputArgs, When},
    output::{Look, Style},
    sink::{Rotation, Target, Wanted},
};

/// What decides how events look.
#[derive(Clone, Copy)]
pub(super) struct Looks {
    pub(super) format: Option<FormatName>,
    pub(super) color: When,
    pub(super) hex: bool,
    pub(super) surroundings: Surroundings,
}

impl Looks {
    fn of(self, target: &Target) -> Look {
        let Self { format, color, hex, surroundings } = self;
        let is_terminal = surroundings.is_terminal && *target == Target::Stdout;
        let color = match color {
            When::Always => true,
            When::Never => false,
            When::Auto => is_terminal && !surroundings.is_colorless,
        };
        let style = Style { color, hex };
        let by_target = if is_terminal { FormatName::Text } else { FormatName::Json };
        match (target, format.unwrap_or(by_target)) {
            (Target::Journald(_), _) => Look::Journal(style),
            (_, FormatName::Json) => Look::Json,
            (_, FormatName::Text) => Look::Text(style),
        }
    }
}

/// A buffer has to hold what a pipeline hands over at a time.
const MIN_OUTPUT_BUFFER: usize = 256 << 10;
/// A file that gives way more often would be all but the names of others.
const MIN_ROTATE_SIZE: usize = 4 << 10;

pub(super) fn wanted_outputs(
    targets: Vec<Target>,
    arguments: &OutputArgs,
    looks: Looks,
) -> Result<Vec<Wanted>, String> {
    let OutputArgs { rotate_size, rotate_age, rotate_keep, output_buffer } = *arguments;
    if output_buffer.is_some_and(|size| size.0 < MIN_OUTPUT_BUFFER) {
        return Err("the output buffer must be 256KiB or more".to_owned());
    }
    if rotate_size.is_some_and(|size| size.0 < MIN_ROTATE_SIZE) {
        return Err("the size of a file that is rotated must be 4KiB or more".to_owned());
    }
    let mut seen = HashSet::new();
    if let Some(twice) = targets.iter().find(|target| !seen.insert(*target)) {
        return Err(format!("the output {twice} is named twice"));
    }
    let rotation = Rotation {
        size: rotate_size.map(|size| size.0 as u64),
        age: rotate_age.map(|age| age.0),
        keep: rotate_keep,
    };
    let buffer = output_buffer.map(|size| size.0);
    let wanted = |target| Wanted { look: looks.of(&target), target, buffer, rotation };
    Ok(targets.into_iter().map(wanted).collect())
}

/// What is sent to a traced port would be traced, which is to be sent, which …
pub(super) fn not_to_itself(outputs: &[Target], ports: &PortList) -> Result<(), String> {
    let ports = ports.set();
    match outputs.iter().find(|output| output.port().is_some_and(|port| ports.contains(port))) {
        None => Ok(()),
        Some(output) => Err(format!(
            "the port of the output {output} is one that is traced: the tracer would trace itself"
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{cli::Cli, config::Config};

    fn config(args: &[&str]) -> Result<Config, String> {
        let cli = Cli::try_parse_from([&["tracer"], args].concat()).map_err(|e| e.to_string())?;
        Config::new(cli, Surroundings::default())
    }

    fn looks(args: &[&str], is_terminal: bool) -> Vec<Look> {
        let cli = Cli::try_parse_from([&["tracer"], args].concat()).unwrap();
        let surroundings = Surroundings { is_terminal, is_colorless: false };
        let outputs = Config::new(cli, surroundings).unwrap().outputs;
        outputs.iter().map(|wanted| wanted.look).collect()
    }

    #[test]
    fn the_format_follows_the_output() {
        const TEXT: Look = Look::Text(Style { color: false, hex: false });
        const COLORED: Look = Look::Text(Style { color: true, hex: false });
        assert_eq!(looks(&[], true), [COLORED]);
        assert_eq!(looks(&[], false), [Look::Json]);
        assert_eq!(looks(&["--format", "text"], false), [TEXT]);
        assert_eq!(looks(&["-o", "x", "-o", "-"], true), [Look::Json, COLORED]);
        assert_eq!(looks(&["-o", "x", "-o", "-", "--format=text"], true), [TEXT, COLORED]);
        assert_eq!(looks(&["-o", "x", "--format=text", "--color=always"], false), [COLORED]);
        let journal = Look::Journal(Style { color: false, hex: true });
        assert_eq!(looks(&["-o", "journald", "--format", "json", "-X"], true), [journal]);
    }

    #[test]
    fn outputs_that_cannot_be_are_refused() {
        let refused = |args: &[&str], why: &str| {
            let told = config(args).err().unwrap_or_default();
            assert!(told.contains(why), "{args:?}: {told}");
        };
        refused(&["-o", "x", "-o", "-", "-o", "x"], "the output x is named twice");
        refused(&["-o", "x", "--output-buffer", "64KiB"], "256KiB or more");
        refused(&["-o", "x", "--rotate-size", "1k"], "4KiB or more");
        refused(&["-o", "x", "--rotate-keep", "0"], "--rotate-keep");
        refused(&["-o", "x", "--rotate-age", "1w"], "no time span");
        refused(&["-o", "udp:x:1"], "there is no output `udp:`");
        refused(&["-o", "tcp:x:7300", "-p", "7272-7400"], "would trace itself");
        assert!(config(&["-o", "tcp:x:7300", "-p", "7272-7400", "-r", "file"]).is_ok());
        assert!(config(&["-o", "tcp:x:7300"]).is_ok());
    }

    #[test]
    fn files_are_rotated_where_that_is_wanted() {
        let rotation = |args: &[&str]| config(args).unwrap().outputs[0].rotation;
        assert_eq!(rotation(&["-o", "x"]), Rotation { size: None, age: None, keep: 7 });
        let given = ["-o", "x", "--rotate-size=1M", "--rotate-age=1d", "--rotate-keep=3"];
        let day = std::time::Duration::from_secs(86_400);
        let expected = Rotation { size: Some(1 << 20), age: Some(day), keep: 3 };
        assert_eq!(rotation(&given), expected);
    }
}

//! The manual page of the program: the command line comes in, tracer(1) goes out.

use std::io;

use anyhow::{Context as _, Result};
use clap::Command;
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold, italic, roman},
};
use tracer::config_file::PATH;

/// The manual's part that the pages belong to.
pub(crate) const MANUAL: &str = "tracer";

/// tracer(1).
pub(crate) fn page(command: &Command) -> Result<Vec<u8>> {
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let version = format!("tracer {}", command.get_version().unwrap_or_default());
    // All options again in one line tell nobody anything.
    let command = command.clone().override_usage("tracer [OPTIONS]").after_help("");
    let man = Man::new(command).source(version).manual(MANUAL);
    let mut page = Vec::new();
    render(&man, &mut page).context("cannot write the manual page")?;
    page.extend(ending(&examples).to_roff().bytes());
    Ok(page)
}

fn render(man: &Man, page: &mut Vec<u8>) -> io::Result<()> {
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)
}

fn ending(examples: &str) -> Roff {
    let mut page = Roff::new();
    let mut terms = |heading: &str, terms: &[(Inline, &str)]| {
        page.control("SH", [heading]);
        for (term, meaning) in terms {
            page.control("TP", []);
            page.text([term.clone()]);
            page.text([roman(*meaning)]);
        }
    };
    terms(
        "EXIT STATUS",
        &[
            (bold("0"), "done: interrupted, everything read, or whoever read the output has gone"),
            (
                bold("1"),
                "could not go on, or was interrupted and had seen nothing on the ports, unless it is a service",
            ),
            (bold("2"), "the arguments or the configuration file are wrong"),
        ],
    );
    terms(
        "SIGNALS",
        &[
            (
                bold("SIGINT, SIGTERM"),
                "end it, when what was captured is written; a second one ends it at once",
            ),
            (
                bold("SIGHUP"),
                "with --config has it read the file again, and open files of events again; else ends it",
            ),
        ],
    );
    terms(
        "ENVIRONMENT",
        &[(bold("NO_COLOR"), "no colours, unless they are asked for with --color always")],
    );
    terms("FILES", &[(italic(PATH), "what the service is told, see tracer.toml(5)")]);
    page.control("SH", ["EXAMPLES"]);
    as_it_is(&mut page, examples.trim_start_matches("Examples:\n"));
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("tracer.toml"), roman("(5), "), bold("tcpdump"), roman("(8)")]);
    page
}

/// Text whose lines and columns mean something.
pub(crate) fn as_it_is(page: &mut Roff, text: &str) {
    page.control("nf", []);
    for line in text.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use tracer::cli::Cli;

    #[test]
    fn the_page_has_its_sections() {
        let page = super::page(&Cli::command()).expect("it can be made");
        let page = String::from_utf8(page).expect("it is text");
        let sections: Vec<_> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        let expected = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "OUTPUTS", "LIMITS"];
        assert_eq!(sections[..6], expected, "{page}");
        assert!(sections.contains(&"\"EXIT STATUS\"") && sections.contains(&"SIGNALS"), "{page}");
        assert!(page.contains("sudo tracer \\-\\-segments \\-X"), "{page}");
    }
}

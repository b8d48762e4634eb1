//! The program: arguments in, an exit status out.

use std::{
    env,
    io::{self, IsTerminal as _},
    path::Path,
    process::ExitCode,
};

use ::tracing::{error, level_filters::LevelFilter};
use anyhow::Result;
use tracer::{
    cli::{Cli, LogTarget, Refusal},
    config::{Config, Source, Surroundings},
    logs, read,
};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().collect();
    let cli = match Cli::load(&arguments) {
        Ok(cli) => cli,
        Err(Refusal::Arguments(error)) => error.exit(),
        Err(Refusal::File(problems)) => return bad_usage(&problems),
    };
    logs::start(cli.log, cli.log_level.into());
    let checked = cli.config_file().filter(|_| cli.check_config).map(Path::to_owned);
    let config = match Config::new(cli, surroundings()) {
        Ok(config) => config,
        Err(sentence) => return bad_usage(&sentence),
    };
    if let Some(file) = checked {
        println!("{} is fine", file.display());
        return ExitCode::SUCCESS;
    }
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong, a line each.
fn bad_usage(problems: &str) -> ExitCode {
    // Where nothing is known of how it is wanted.
    logs::start(LogTarget::Auto, LevelFilter::INFO);
    for problem in problems.lines() {
        error!("{problem}");
    }
    ExitCode::from(2)
}

fn run(config: &Config) -> Result<()> {
    match &config.source {
        Source::File(path) => read::file(path, config),
        Source::Stdin => read::stdin(config),
        #[cfg(feature = "live")]
        Source::Live(live) => tracer::live::run(live, config),
        #[cfg(not(feature = "live"))]
        Source::Live(_) => anyhow::bail!(
            "this tracer was built without live capture: read a capture file with --read, or build \
             it with `cargo xtask build`"
        ),
    }
}

fn surroundings() -> Surroundings {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    Surroundings {
        is_terminal: io::stdout().is_terminal(),
        // https://no-color.org
        is_colorless: is_set("NO_COLOR") || env::var_os("TERM").is_some_and(|term| term == "dumb"),
    }
}

/// Whoever read our output has had enough (`tracer | head`): that is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

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
    cli::LogTarget,
    config::{Config, Source, Surroundings},
    invocation::{Invocation, Reading, Refusal},
    logs, read,
};

fn main() -> ExitCode {
    let invocation = Invocation::new(env::args_os().collect(), surroundings());
    let (cli, written) = match invocation.load() {
        Ok(loaded) => loaded,
        Err(refusal) => return bad_usage(refusal),
    };
    logs::start(cli.log, cli.log_level.into());
    let has_file = cli.config_file().is_some();
    let checked = cli.config_file().filter(|_| cli.check_config).map(Path::to_owned);
    let config = match invocation.config(cli.clone()) {
        Ok(config) => config,
        Err(refusal) => return bad_usage(refusal),
    };
    if let Some(file) = checked {
        println!("{} is fine", file.display());
        return ExitCode::SUCCESS;
    }
    match run(&config, Reading { invocation, cli, written, has_file }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong, a line each.
fn bad_usage(refusal: Refusal) -> ExitCode {
    let problems = match refusal {
        Refusal::Arguments(error) => error.exit(),
        Refusal::Config(problems) => problems,
    };
    // Where nothing is known of how it is wanted.
    logs::start(LogTarget::Auto, LevelFilter::INFO);
    for problem in problems.lines() {
        error!("{problem}");
    }
    ExitCode::from(2)
}

fn run(config: &Config, reading: Reading) -> Result<()> {
    match &config.source {
        Source::File(path) => read::file(path, config),
        Source::Stdin => read::stdin(config),
        #[cfg(feature = "live")]
        Source::Live(live) => tracer::live::run(live.clone(), config.clone(), reading),
        #[cfg(not(feature = "live"))]
        Source::Live(_) => {
            drop(reading);
            anyhow::bail!(
                "this tracer was built without live capture: read a capture file with --read, or \
                 build it with `cargo xtask build`"
            )
        }
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

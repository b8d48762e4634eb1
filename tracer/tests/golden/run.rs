//! The tracer as a child process that reads a capture: a file comes in, what it printed comes out.

use std::{
    collections::BTreeMap,
    process::{Command, Output},
};

use crate::{observed::Event, truth::capture};

/// The tracer's run over a capture file.
pub(crate) struct Run {
    pub(crate) events: Vec<Event>,
    stderr: String,
    code: Option<i32>,
}

pub(crate) fn tracer(file: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.args(["--format", "json", "--payload-limit", "unlimited", "--read"]).arg(file);
    command
}

pub(crate) fn output(command: &mut Command) -> Output {
    command.output().expect("the tracer runs")
}

fn read(file: &str, options: &[&str]) -> Run {
    let mut command = tracer(capture(file).to_str().expect("a UTF-8 path"));
    let output = output(command.args(options));
    Run {
        events: Event::parse_all(&output.stdout),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code(),
    }
}

impl Run {
    /// Of a capture that can be read to its end.
    pub(crate) fn whole(file: &str) -> Self {
        Self::with(file, &[])
    }

    /// The same with more options.
    pub(crate) fn with(file: &str, options: &[&str]) -> Self {
        let run = read(file, options);
        assert_eq!(run.code, Some(0), "{file}: {}", run.stderr);
        run
    }

    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Event> {
        self.events.iter().filter(move |event| event.kind() == kind)
    }

    /// Events of a kind by the client's `ip:port`.
    pub(crate) fn by_client<'a>(&'a self, kind: &'a str) -> BTreeMap<&'a str, Vec<&'a Event>> {
        let mut found = BTreeMap::<_, Vec<_>>::new();
        for event in self.of_kind(kind) {
            found.entry(client(event)).or_default().push(event);
        }
        found
    }
}

pub(crate) fn client(event: &Event) -> &str {
    event.text("client").unwrap_or_else(|| panic!("no client: {event}"))
}

/// The lines of a run, without those that tell of the run itself and not of the traffic.
pub(crate) fn traffic(output: &Output) -> Vec<&str> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = str::from_utf8(&output.stdout).expect("UTF-8").lines();
    let lines: Vec<_> = lines.filter(|line| !line.contains(r#""event":"start""#)).collect();
    assert!(lines.len() > 100, "{lines:?}");
    lines
}

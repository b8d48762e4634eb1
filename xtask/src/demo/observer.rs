//! The tracer as a child: its output is passed on as it comes, and kept, to be compared with what
//! really was said.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    io::{self, BufRead as _, BufReader, IsTerminal as _, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, eventually};

/// What the tracer says on standard error once every interface is attached.
const READY: &str = "tracing port";

/// A running tracer.
pub(super) struct Observer {
    child: Child,
    printed: Arc<Mutex<String>>,
    echoes: Vec<JoinHandle<()>>,
}

impl Observer {
    /// Starts a tracer and waits until it is attached.
    pub(super) fn start(tracer: &Path, port: u16) -> Result<Self> {
        let mut command = Command::new(tracer);
        command.args(["--port", &port.to_string(), "--format", "text"]);
        // The tracer sees our pipe; colours are for the terminal behind us.
        let is_plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if io::stdout().is_terminal() && !is_plain {
            command.args(["--color", "always"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start the tracer")?;
        let stdout = child.stdout.take().context("the tracer has no standard output")?;
        let stderr = child.stderr.take().context("the tracer has no standard error")?;

        let printed = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&printed);
        let echo_stdout = echo(stdout, move |line| {
            println!("{line}");
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push_str(&without_colours(line));
            kept.push('\n');
        });
        let (ready, is_ready) = mpsc::channel();
        let echo_stderr = echo(stderr, move |line| {
            eprintln!("{line}");
            if line.contains(READY) {
                // Nobody waits for a second one.
                ready.send(()).ok();
            }
        });
        let observer = Self { child, printed, echoes: vec![echo_stdout, echo_stderr] };
        let ready = is_ready.recv_timeout(PATIENCE);
        ensure!(ready.is_ok(), "the tracer did not start tracing (did it say why, above?)");
        Ok(observer)
    }

    /// Gives the tracer time to print all of `messages`; what is missing is told later.
    pub(super) fn wait_for(&self, messages: &[String], patience: Duration) {
        eventually(patience, || missing(&self.printed(), messages).is_empty());
    }

    /// Stops the tracer as a person does, with Ctrl-C, and waits for its farewell.
    pub(super) fn stop(mut self) -> Result<Report> {
        kill_process(Pid::from_child(&self.child), Signal::INT)
            .context("cannot stop the tracer")?;
        let mut status = None;
        eventually(PATIENCE, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        let Some(status) = status else { bail!("the tracer did not stop when asked to") };
        for echo in self.echoes.drain(..) {
            ensure!(echo.join().is_ok(), "the tracer's output could not be passed on");
        }
        Ok(Report { status, printed: self.printed() })
    }

    fn printed(&self) -> String {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // Fails when it has ended already, as it should have.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What the tracer left.
pub(super) struct Report {
    status: ExitStatus,
    printed: String,
}

impl Report {
    /// Refuses a tracer that failed, and one that missed a message or one of the other `signs`.
    pub(super) fn ensure_complete(&self, messages: &[String], signs: &[&str]) -> Result<()> {
        ensure!(self.status.success(), "the tracer failed ({})", self.status);
        let missing = missing(&self.printed, messages);
        ensure!(missing.is_empty(), "the tracer did not print what was said:\n{missing}");
        for sign in signs {
            ensure!(self.printed.contains(sign), "the tracer did not print `{sign}`");
        }
        Ok(())
    }
}

/// Names each message that does not stand in `printed` as often as it was sent.
fn missing(printed: &str, messages: &[String]) -> String {
    let mut sent = BTreeMap::new();
    for message in messages {
        *sent.entry(message).or_insert(0) += 1;
    }
    let mut missing = String::new();
    for (message, sent) in sent {
        let shown = printed.matches(message.as_str()).count();
        if shown != sent {
            // Writing to a string cannot fail.
            writeln!(missing, "  sent {sent} times, shown {shown} times: {message}").ok();
        }
    }
    missing
}

/// Hands on each line of a stream until it ends.
fn echo(
    stream: impl Read + Send + 'static,
    mut line_read: impl FnMut(&str) + Send + 'static,
) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            line_read(&line);
        }
    })
}

/// Leaves out the escape sequences that set colours: ESC, `[`, parameters, `m`.
fn without_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut parts = line.split("\x1b[");
    plain.extend(parts.next());
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_left_out() {
        assert_eq!(without_colours("a \x1b[1;32mgreen\x1b[0m b"), "a green b");
        assert_eq!(without_colours("plain"), "plain");
    }

    #[test]
    fn a_message_that_was_not_shown_is_named() {
        let sent = ["one", "two", "two"].map(str::to_owned);
        assert_eq!(missing("two one two", &sent), "");
        assert_eq!(missing("one two", &sent), "  sent 2 times, shown 1 times: two\n");
        assert_eq!(missing("one two two two", &sent), "  sent 2 times, shown 3 times: two\n");
    }
}

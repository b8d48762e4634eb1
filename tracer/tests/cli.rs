//! The command line: options, bad input and broken outputs go in; exit statuses and sentences that
//! say what is wrong come out.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

const USAGE: i32 = 2;
const FAILURE: i32 = 1;

fn tracer(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    tracer(args).output().expect("the tracer runs")
}

fn capture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/captures", name].iter().collect()
}

fn reading(file: &Path, more: &[&str]) -> Output {
    let mut command = tracer(&["--format", "json", "--read"]);
    command.arg(file).args(more).output().expect("the tracer runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("the output is UTF-8")
}

fn messages(output: &Output) -> usize {
    stdout(output).lines().filter(|line| line.contains(r#""event":"ws.message""#)).count()
}

/// The one sentence by which the tracer, having exited with `code`, says what is wrong.
#[track_caller]
fn complaint(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).expect("stderr is UTF-8");
    assert_eq!(output.status.code(), Some(code), "exit status; stderr: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    let is_complaint = |line: &&str| ["tracer: ", "error: "].iter().any(|by| line.starts_with(by));
    let mut complaints = stderr.lines().filter(is_complaint);
    let complaint = complaints.next().unwrap_or_else(|| panic!("nothing said: {stderr}"));
    assert!(complaints.next().is_none(), "more than one thing said: {stderr}");
    complaint.to_owned()
}

/// Checks that the tracer refuses a file, naming it and saying all the `words`.
#[track_caller]
fn refuses(file: &Path, words: &[&str]) {
    let output = reading(file, &[]);
    let complaint = complaint(&output, FAILURE);
    let name = file.to_str().expect("a UTF-8 path");
    for word in words.iter().chain(&[name]) {
        assert!(complaint.contains(word), "no {word:?} in: {complaint}");
    }
    assert_eq!(messages(&output), 0);
}

/// A directory and a file in it with this content.
fn file(content: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("some-file");
    fs::write(&path, content).expect("a file can be written there");
    (directory, path)
}

#[test]
fn bad_values_are_bad_usage_and_are_named() {
    for (option, value) in [
        ("--port", "0"),
        ("--port", "70000"),
        ("--port", "9-3"),
        ("--port", "abc"),
        ("--port", "80,"),
        ("--port", "7272,http"),
        ("--payload-limit", "many"),
        ("--payload-limit", "4XiB"),
        ("--payload-limit", "99999999999999999999"),
        ("--snaplen", "abc"),
        ("--count", "x"),
        ("--format", "xml"),
        ("--output", "udp:collector:5170"),
        ("--output-buffer", "much"),
        ("--rotate-age", "1w"),
        ("--no-such-option", "value"),
    ] {
        let argument = format!("{option}={value}");
        let complaint = complaint(&run(&[&argument]), USAGE);
        assert!(complaint.contains(option), "{argument}: {complaint}");
    }
}

#[test]
fn an_option_without_its_value_is_bad_usage() {
    for option in ["--port", "--read", "--interface", "--count"] {
        assert!(complaint(&run(&[option]), USAGE).contains(option), "{option}");
    }
}

#[test]
fn help_tells_of_every_option_and_gives_examples() {
    let output = run(&["--help"]);
    assert!(output.status.success());
    let help = stdout(&output);
    for option in [
        "-p, --port",
        "-i, --interface",
        "-r, --read",
        "-o, --output",
        "--format",
        "--segments",
        "--frames",
        "-X, --hex",
        "-s, --snaplen",
        "--payload-limit",
        "--show-secrets",
        "--attach",
        "-c, --count",
        "-h, --help",
        "-V, --version",
    ] {
        assert!(help.contains(option), "no {option} in:\n{help}");
    }
    assert!(help.contains("\n  sudo tracer "), "no example in:\n{help}");
}

#[test]
fn version_is_the_crates() {
    let output = run(&["--version"]);
    assert!(output.status.success());
    assert_eq!(stdout(&output).trim(), concat!("tracer ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_missing_file_is_named() {
    refuses(Path::new("/no/such/capture.pcap"), &[]);
}

#[test]
fn a_directory_is_not_a_capture() {
    refuses(tempfile::tempdir().expect("a temporary directory").path(), &["directory"]);
}

#[test]
fn an_empty_file_is_not_a_capture() {
    let (_directory, path) = file(b"");
    refuses(&path, &["empty"]);
}

#[test]
fn a_text_file_is_not_a_capture() {
    let (_directory, path) =
        file(b"17:50:00.523910 IP 127.0.0.1.60653 > 127.0.0.1.7272: Flags [S]\n");
    refuses(&path, &["pcap"]);
}

#[test]
fn of_a_truncated_capture_all_that_is_there_is_shown_before_the_error() {
    let whole = fs::read(capture("ws-coalesced.pcap")).expect("the capture is there");
    let expected = stdout(&reading(&capture("ws-coalesced.pcap"), &[]));
    let half = whole.len() / 2;
    let (_directory, path) = file(&whole[..half]);
    let output = reading(&path, &[]);
    let complaint = complaint(&output, FAILURE);
    assert!(complaint.contains("ends in the middle"), "{complaint}");
    assert!(complaint.contains(path.to_str().expect("a UTF-8 path")), "{complaint}");
    let messages_of = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.contains(r#""event":"ws.message""#));
        lines.map(str::to_owned).collect()
    };
    let (expected, shown) = (messages_of(&expected), messages_of(&stdout(&output)));
    assert!(shown.len() > expected.len() / 4, "{} of {}", shown.len(), expected.len());
    assert_eq!(shown, expected[..shown.len()]);
}

#[test]
fn a_capture_without_traffic_on_the_port_says_so() {
    let output = reading(&capture("ws-plain.pcap"), &["--port", "9999"]);
    let complaint = complaint(&output, FAILURE);
    assert!(complaint.contains("9999"), "{complaint}");
}

#[test]
fn a_list_with_the_port_in_it_finds_the_traffic() {
    for ports in ["80,7272", "7000-7300", "1-65535"] {
        let output = reading(&capture("ws-ipv6.pcap"), &["--port", ports]);
        assert_eq!((output.status.code(), messages(&output)), (Some(0), 18), "{ports}");
    }
}

#[test]
fn count_stops_after_so_many_messages() {
    for count in [1, 5, 90] {
        let output = reading(&capture("ws-plain.pcap"), &["--count", &count.to_string()]);
        assert_eq!((output.status.code(), messages(&output)), (Some(0), count));
    }
}

#[test]
fn payload_limit_cuts_what_is_shown_and_says_so() {
    let output = reading(&capture("ws-ipv6.pcap"), &["--payload-limit", "16"]);
    let lines = stdout(&output);
    let mut cut = 0;
    for line in lines.lines().filter(|line| line.contains(r#""event":"ws.message""#)) {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let is_longer = event["len"].as_u64().expect("a length") > 16;
        assert_eq!(event["truncated"] == true, is_longer, "{line}");
        assert!(event["text"].as_str().unwrap_or_default().len() <= 16, "{line}");
        assert!(event["data"].as_str().unwrap_or_default().len() <= 24, "{line}");
        cut += usize::from(is_longer);
    }
    assert!(cut > 0);
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let path = capture("ws-coalesced.pcap");
    for format in ["json", "text"] {
        let mut command = tracer(&["--format", format, "--read", path.to_str().expect("UTF-8")]);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tracer runs");
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().expect("piped"));
        reader.read_line(&mut line).expect("a first line");
        assert!(line.ends_with('\n'), "the first line is {line:?}");
        drop(reader);
        let output = child.wait_with_output().expect("the tracer ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let said = ["tracer: ", "panicked", "ipe"].iter().find(|&word| stderr.contains(word));
        assert!(said.is_none(), "{said:?} in: {stderr}");
    }
}

#[test]
fn a_full_disk_is_one_clear_error() {
    let path = capture("ws-coalesced.pcap");
    for format in ["json", "text"] {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full opens");
        let mut command = tracer(&["--format", format, "--read", path.to_str().expect("UTF-8")]);
        let output = command.stdout(full).output().expect("the tracer runs");
        let complaint = complaint(&output, FAILURE);
        assert!(complaint.to_lowercase().contains("no space left"), "{complaint}");
    }
}

#[test]
fn a_full_disk_is_noticed_even_for_the_last_bytes() {
    // So little output that it all sits in a buffer until the end.
    let path = capture("ws-tls.pcap");
    let full = File::options().write(true).open("/dev/full").expect("/dev/full opens");
    let mut command = tracer(&["--format", "json", "--read", path.to_str().expect("UTF-8")]);
    complaint(&command.stdout(full).output().expect("the tracer runs"), FAILURE);
}

#[test]
fn a_capture_that_arrives_in_pieces_on_standard_input_is_read() {
    let bytes = fs::read(capture("ws-ipv6.pcap")).expect("the capture is there");
    let mut command = tracer(&["--format", "json", "--read", "-"]);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the tracer runs");
    let mut stdin = child.stdin.take().expect("piped");
    let writer = std::thread::spawn(move || {
        for piece in bytes.chunks(1021) {
            stdin.write_all(piece).expect("the tracer reads");
            stdin.flush().expect("the tracer reads");
        }
    });
    let output = child.wait_with_output().expect("the tracer ends");
    writer.join().expect("everything was written");
    assert_eq!((output.status.code(), messages(&output)), (Some(0), 18));
}

#[cfg(feature = "live")]
mod live {
    //! Without privileges there is nothing to be seen live, but something to be said.

    use std::os::unix::{fs::PermissionsExt as _, process::CommandExt as _};

    use super::*;

    /// The user `nobody`, by number as there may be no such name.
    const NOBODY: u32 = 65534;

    #[test]
    fn without_privileges_it_says_what_to_do() {
        // The build directory may be one that only its owner can enter.
        let directory = tempfile::tempdir().expect("a temporary directory");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), open).expect("the directory is ours");
        let binary = directory.path().join("tracer");
        // By a process of its own: a file that this one had open for writing could still be so in
        // a child of another test's, and then not be run.
        let copy = Command::new("cp").arg(env!("CARGO_BIN_EXE_tracer")).arg(&binary).status();
        assert!(copy.expect("cp runs").success());
        let mut command = Command::new(&binary);
        command.args(["--port", "7272"]).stdin(Stdio::null());
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let complaint = complaint(&command.output().expect("the tracer runs"), FAILURE);
        assert!(complaint.contains("sudo") || complaint.contains("CAP_BPF"), "{complaint}");
    }
}

#[test]
fn a_configuration_file_is_checked_and_obeyed_and_told_what_is_wrong_with_it() {
    let (_directory, path) = file(b"format = \"text\"\nframes = true\n");
    let path = path.to_str().expect("a UTF-8 path");
    let checked = run(&["--check-config", "--config", path]);
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(stdout(&checked), format!("{path} is fine\n"));
    let capture = capture("ws-plain.pcap");
    let capture = capture.to_str().expect("a UTF-8 path");
    let by_file = stdout(&run(&["--config", path, "-r", capture]));
    assert!(by_file.lines().count() > 10, "{by_file}");
    assert_eq!(by_file, stdout(&run(&["--format", "text", "--frames", "-r", capture])));
    let by_both = stdout(&run(&["--config", path, "--format", "json", "-r", capture]));
    assert_eq!(by_both, stdout(&run(&["--format", "json", "--frames", "-r", capture])));

    let (_directory, wrong) = file(b"format = \"text\"\nformta = \"json\"\n");
    let wrong = wrong.to_str().expect("a UTF-8 path");
    for arguments in [["--check-config", "--config", wrong], ["--config", wrong, "--frames"]] {
        let told = complaint(&run(&arguments), USAGE);
        assert_eq!(
            told,
            format!("tracer: {wrong}:2: there is no option `formta`; is it `format`?")
        );
    }
    let told = complaint(&run(&["--config", "/nowhere/tracer.toml"]), USAGE);
    assert!(told.starts_with("tracer: cannot read /nowhere/tracer.toml: No such file"), "{told}");
}

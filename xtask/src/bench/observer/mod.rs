//! The observers: which programs watch a load, and how each is called.

mod account;
mod running;

use std::{path::Path, process::Command, time::Duration};

pub(super) use account::Account;
pub(super) use running::{Running, Stdout};

/// Debian's packages of the programs that the tracer is compared with, and of bpftool.
pub(super) const PACKAGES: [&str; 4] = ["tcpdump", "tshark", "tcpflow", "bpftool"];

/// What libpcap may keep to itself: tcpdump has it hand over a block each second.
const BLOCK: Duration = Duration::from_millis(1_200);

/// Which program it is; they say in different ways when they are ready, and what they lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Nobody,
    Tcpdump,
    Tshark,
    Tcpflow,
    Tracer,
}

/// Where standard output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Nowhere,
    /// A file in memory.
    File,
}

/// One of the observers.
#[derive(Debug)]
pub(super) struct Observer {
    pub(super) name: &'static str,
    pub(super) program: Program,
    pub(super) arguments: &'static str,
    pub(super) output: Output,
    /// The arguments that make it print each message at once, where it can.
    pub(super) promptly: Option<&'static str>,
    /// How long it has to have been quiet to have seen everything.
    pub(super) settles: Duration,
}

/// Nobody: what all others are compared with.
pub(super) const NOBODY: &str = "none";

/// The tracer as it is used.
pub(super) const TRACER: &str = "tracer";

const TSHARK: &str = "-n -i lo -f 'tcp port 7272' -d tcp.port==7272,http -Y websocket \
                      -T fields -e frame.time_epoch -e tcp.stream -e websocket.opcode \
                      -e websocket.payload.text";

/// All observers, nobody first.
pub(super) const OBSERVERS: [Observer; 9] = [
    Observer {
        name: NOBODY,
        program: Program::Nobody,
        arguments: "",
        output: Output::Nowhere,
        promptly: None,
        settles: Duration::ZERO,
    },
    Observer {
        name: "tcpdump-text",
        program: Program::Tcpdump,
        arguments: "-Ans 4096 -iany port 7272",
        output: Output::Nowhere,
        promptly: Some("-l -Ans 4096 -iany port 7272"),
        settles: BLOCK,
    },
    Observer {
        name: "tcpdump-w",
        program: Program::Tcpdump,
        arguments: "-n -s0 -B 65536 -i lo -w /dev/null port 7272",
        output: Output::Nowhere,
        promptly: None,
        settles: BLOCK,
    },
    Observer {
        name: "tshark",
        program: Program::Tshark,
        arguments: TSHARK,
        output: Output::File,
        promptly: Some(
            "-l -n -i lo -f 'tcp port 7272' -d tcp.port==7272,http -Y websocket -T fields \
             -e websocket.payload.text",
        ),
        settles: BLOCK,
    },
    Observer {
        name: "tcpflow",
        program: Program::Tcpflow,
        arguments: "-i lo -c port 7272",
        output: Output::Nowhere,
        promptly: Some("-i lo -c port 7272"),
        settles: BLOCK,
    },
    tracer(TRACER, "--port 7272 --format json", Output::File),
    tracer("tracer-text", "--port 7272 --format text", Output::Nowhere),
    Observer {
        // Without payloads a probe cannot be told from others.
        promptly: None,
        ..tracer("tracer-meta", "--port 7272 --format json --payload-limit 0", Output::File)
    },
    Observer {
        settles: BLOCK,
        ..tracer(LIBPCAP, "--port 7272 --format json --source libpcap", Output::File)
    },
];

/// The tracer's decoder, fed by libpcap.
pub(super) const LIBPCAP: &str = "tracer-libpcap";

const fn tracer(name: &'static str, arguments: &'static str, output: Output) -> Observer {
    Observer {
        name,
        program: Program::Tracer,
        arguments,
        output,
        promptly: Some(arguments),
        settles: Duration::from_millis(300),
    }
}

/// The observer of that name.
pub(super) fn named(name: &str) -> Result<&'static Observer, String> {
    OBSERVERS.iter().find(|observer| observer.name == name).ok_or_else(|| {
        let names = OBSERVERS.map(|observer| observer.name).join(", ");
        format!("there is no observer {name}; there are {names}")
    })
}

impl Observer {
    /// The command as one would type it.
    pub(super) fn command_line(&self) -> String {
        let program = match self.program {
            Program::Nobody => return "nobody watches".to_owned(),
            Program::Tcpdump => "tcpdump",
            Program::Tshark => "tshark",
            Program::Tcpflow => "tcpflow",
            Program::Tracer => "tracer",
        };
        let output = match self.output {
            Output::Nowhere if self.arguments.contains("-w ") => "",
            Output::Nowhere => " >/dev/null",
            Output::File => " >FILE",
        };
        format!("{program} {}{output}", self.arguments)
    }

    /// Whether it shows messages, which can be counted.
    pub(super) fn counts_messages(&self) -> bool {
        matches!(self.program, Program::Tracer | Program::Tshark)
    }

    fn command(&self, tracer: &Path, arguments: &str) -> Option<Command> {
        let program = match self.program {
            Program::Nobody => return None,
            Program::Tcpdump => Path::new("tcpdump"),
            Program::Tshark => Path::new("tshark"),
            Program::Tcpflow => Path::new("tcpflow"),
            Program::Tracer => tracer,
        };
        // Nothing is left behind, whatever happens to us.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(words(arguments));
        Some(command)
    }
}

/// Splits as a shell does, as far as it is needed here: single quotes keep blanks.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (n, part) in line.split('\'').enumerate() {
        if n % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_split_as_a_shell_does() {
        assert_eq!(words("-n -f 'tcp port 1' -Y x"), ["-n", "-f", "tcp port 1", "-Y", "x"]);
        assert_eq!(words(""), [""; 0]);
    }

    #[test]
    fn observers_are_found_by_name() {
        let tcpdump = named("tcpdump-w").expect("it is there");
        assert_eq!(tcpdump.command_line(), "tcpdump -n -s0 -B 65536 -i lo -w /dev/null port 7272");
        let error = named("wireshark").expect_err("it is not there");
        assert!(error.contains("no observer wireshark; there are none, tcpdump-text"), "{error}");
    }
}

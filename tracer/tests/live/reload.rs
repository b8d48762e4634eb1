//! SIGHUP: the configuration file is read again, files are opened again, and connections go on.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use crate::{
    Script, assert_shows,
    attached::{attached, is_traced, knows_tcx},
    client::{Client, Say},
    netns::Namespace,
    observed::Event,
    server::Server,
    talk,
    tracer::{Tracer, wait_for},
};

/// A configuration file, and a place for others.
struct Configuration(TempDir);

impl Configuration {
    fn new(text: &str) -> Self {
        let configuration = Self(tempfile::tempdir().expect("a directory"));
        configuration.write(text);
        configuration
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().expect("UTF-8")
    }

    fn write(&self, text: &str) {
        fs::write(self.path("tracer.toml"), text).expect("a file");
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).expect("it is there");
        text.lines().map(str::to_owned).collect()
    }

    /// A tracer that reads it.
    fn start(&self, namespace: &Namespace, options: &[&str]) -> Tracer {
        let file = self.name("tracer.toml");
        Tracer::start(namespace, &[&["--config", &file], options].concat())
    }
}

/// Says something that can be told from everything else.
fn say(client: &mut Client, words: &str) {
    client.say(Say::text(1, 20).saying(&format!("{words}. ")));
}

/// How often words were shown that somebody said: everything is, and its echo.
fn shown(events: &[Event], words: &str) -> usize {
    let words = format!("{words}. ");
    let messages = events.iter().filter(|event| event.kind() == "ws.message");
    messages.filter(|event| event.to_string().contains(&words)).count()
}

#[test]
fn connections_go_on_when_other_ports_come_and_end_when_theirs_go() {
    let here = Namespace::new();
    let configuration = Configuration::new("port = 7272");
    let tracer = configuration.start(&here, &[]);
    let servers = [7272, 7273].map(|port| Server::at(&here, ([127, 0, 0, 1], port).into(), 1));
    let [mut one, mut other] = servers.each_ref().map(|s| Client::connect(&here, s.address()));
    say(&mut one, "one 1");
    say(&mut other, "other 1");
    configuration.write("port = [7272, 7273]\nframes = true");
    tracer.reload();
    say(&mut one, "one 2");
    say(&mut other, "other 2");
    configuration.write("port = 7273");
    tracer.reload();
    wait_for("the end of the one", || tracer.has_told("untraced"));
    say(&mut one, "one 3");
    say(&mut other, "other 3");
    configuration.write("port = [7272, 7273]");
    tracer.reload();
    say(&mut one, "one 4");
    say(&mut other, "other 4");
    one.close();
    other.close();
    servers.into_iter().for_each(|server| drop(server.logs()));
    let finished = tracer.interrupt();
    let events = finished.events();
    let missed = ["other 1", "one 3"];
    for words in ["one 1", "one 2", "one 3", "one 4", "other 1", "other 2", "other 3", "other 4"] {
        let expected = if missed.contains(&words) { 0 } else { 2 };
        assert_eq!(shown(&events, words), expected, "{words}");
    }
    let ends = |how| {
        let is_such =
            |event: &&Event| event.kind() == "tcp.close" && event.text("how") == Some(how);
        events.iter().filter(is_such).count()
    };
    assert_eq!((ends("untraced"), ends("fin")), (1, 2));
    // The other one, and the one when its port came back.
    let joined = |event: &&Event| event.text("joined") == Some("midstream");
    let connections = |events: &mut dyn Iterator<Item = &Event>| {
        events.map(|event| event.number("conn")).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(connections(&mut events.iter().filter(joined)), 2);
    assert!(!events.iter().any(|event| event.text("cause") == Some("lost")));
    assert!(events.iter().any(|event| event.kind() == "ws.frame"), "while they were wanted");
}

#[test]
fn nothing_is_lost_while_everything_is_changed_again_and_again() {
    const CONNECTIONS: usize = 3;
    const TALK: Script = |client| (0..1500).for_each(|n| client.say(Say::text(n, 200)));
    let here = Namespace::new();
    let configuration = Configuration::new("");
    let [stays, comes] = ["stays", "comes"].map(|name| configuration.name(name));
    let few = format!("output = ['-', '{stays}']\nport = 7272\nlog-level = 'debug'");
    let more = format!("output = ['-', '{stays}', '{comes}']\nport = '7272,7300-7400'");
    configuration.write(&few);
    let tracer = configuration.start(&here, &["--output-buffer", "64MiB", "--threads", "2"]);
    let is_over = AtomicBool::new(false);
    let (said, names) = thread::scope(|scope| {
        let changing = scope.spawn(|| {
            let mut names = vec!["stays".to_owned()];
            // As logrotate(8) does.
            for (times, text) in [&more, &few].into_iter().cycle().enumerate() {
                // However soon everything was said.
                if is_over.load(Relaxed) && times > 3 {
                    break;
                }
                let name = format!("stays.{times}");
                fs::rename(&stays, configuration.path(&name)).expect("it is there");
                names.push(name);
                configuration.write(text);
                tracer.reload();
                wait_for("a new file", || fs::exists(&stays).expect("it").then_some(()));
            }
            names
        });
        let said =
            talk(&here, Server::start(&here, "127.0.0.1", CONNECTIONS), &[TALK; CONNECTIONS]);
        is_over.store(true, Relaxed);
        (said, changing.join().expect("no panic"))
    });
    let finished = tracer.interrupt();
    let mut parts: Vec<_> = names.iter().flat_map(|name| configuration.lines(name)).collect();
    let printed = fs::read_to_string(finished.output()).expect("the output");
    let mut printed: Vec<_> = printed.lines().map(str::to_owned).collect();
    parts.sort_unstable();
    printed.sort_unstable();
    assert!(parts == printed, "{} lines and {}", parts.len(), printed.len());
    assert!(configuration.lines("comes").iter().any(|line| line.contains("ws.message")));
    assert_shows(&finished, said);
}

#[test]
fn interfaces_come_and_go_with_the_file() {
    for attach in ["tcx", "clsact"] {
        let here = Namespace::new();
        if attach == "tcx" && !knows_tcx(&here) {
            continue;
        }
        let _there = here.connect("veth0");
        let configuration = Configuration::new("interface = 'lo'");
        let tracer = configuration.start(&here, &["--attach", attach]);
        let is_on_lo = || attached(&here).iter().any(|classifier| classifier.0 == "lo");
        assert!(is_on_lo() && !is_traced(&here, "veth0"));
        configuration.write("interface = ['veth0', 'late0']");
        tracer.reload();
        assert!(!is_on_lo() && is_traced(&here, "veth0"));
        assert!(!here.command("tc", "qdisc show dev lo").contains("clsact"));
        here.ip("link add late0 type veth");
        wait_for("one that was named before", || is_traced(&here, "late0").then_some(()));
        configuration.write("");
        tracer.reload();
        assert!(is_on_lo() && is_traced(&here, "veth0"), "the default is any");
        let stderr = tracer.interrupt().stderr;
        assert!(stderr.contains("no interface late0 yet"), "{stderr}");
        assert_eq!(attached(&here), []);
        assert!(!here.command("tc", "qdisc show").contains("clsact"));
    }
}

#[test]
fn a_wrong_file_changes_nothing_and_what_only_a_restart_changes_is_named() {
    let here = Namespace::new();
    let configuration = Configuration::new("port = 7272");
    let tracer = configuration.start(&here, &["-s", "9000"]);
    let server = Server::start(&here, "127.0.0.1", 1);
    let mut client = Client::connect(&here, server.address());
    let wrong = [
        ("port = 80\nprot = 7272", "tracer.toml:2: there is no option `prot`; is it `port`?"),
        ("port = 80\noutput = '/no/such/directory'", "cannot write to /no/such/directory"),
        ("port = 80\noutput = 'tcp:localhost:80'", "the tracer would trace itself"),
    ];
    for (times, (text, problem)) in wrong.into_iter().enumerate() {
        configuration.write(text);
        kill_process(tracer.pid(), Signal::HUP).expect("it is there");
        wait_for(problem, || tracer.has_said(problem));
        wait_for("the outcome", || tracer.has_said_times("stays as it was", times + 1));
        say(&mut client, &format!("still {times}"));
    }
    configuration.write("port = [7272, 80]\nthreads = 2\nidle-timeout = 99\nsnaplen = 1");
    tracer.reload();
    say(&mut client, "at last");
    let said = (vec![client.close()], server.logs());
    let finished = tracer.interrupt();
    let told = "only a restart changes idle-timeout, threads\n";
    assert!(finished.stderr.contains(told), "{}", finished.stderr);
    assert!(finished.stderr.contains("reloaded: tracing port 7272,80"), "{}", finished.stderr);
    assert_shows(&finished, said);
}

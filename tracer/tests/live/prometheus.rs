//! A real Prometheus scrapes a running tracer, as contrib/prometheus tells it to, and has what the tracer
//! has told. `TRACER_PROMETHEUS` names the directory with its programs; `cargo xtask test` provides it.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    exposed::{Exposed, assert_adds_up},
    left_out,
    metrics::{scrape, wait_for_ends},
    netns::Namespace,
    server::{HANG, Server},
    talk,
    tracer::{KilledOnDrop, Tracer, wait_for},
    traffic::SMALL,
};

const API: &str = "127.0.0.1:9090";

/// A server that scrapes every second. It ends with the test.
struct Prometheus<'n> {
    namespace: &'n Namespace,
    _process: KilledOnDrop,
    directory: TempDir,
}

impl<'n> Prometheus<'n> {
    fn start(namespace: &'n Namespace, programs: &Path) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/prometheus");
        let scrape = fs::read_to_string(contrib.join("scrape.yml")).expect("it is there");
        let rules = contrib.join("tracer.rules.yml").canonicalize().expect("it is there");
        let config = format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: [{}]\n{scrape}",
            rules.display()
        );
        let file = directory.path().join("prometheus.yml");
        fs::write(&file, config).expect("a file can be written");
        let log = File::create(directory.path().join("log")).expect("a file can be made");
        let mut command = Command::new(programs.join("prometheus"));
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()));
        command.arg(format!("--web.listen-address={API}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = KilledOnDrop(namespace.run(|| command.spawn()).expect("it starts"));
        Self { namespace, _process: process, directory }
    }

    /// What its API answers; `None` while it does not.
    fn ask(&self, path: &str) -> Option<Value> {
        let address: SocketAddr = API.parse().expect("an address");
        let mut stream = self.namespace.run(|| TcpStream::connect(address)).ok()?;
        stream.set_read_timeout(Some(HANG)).expect("a timeout can be set");
        // HTTP 1.0: what is answered is not cut into chunks.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {API}\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        let answer: Value = serde_json::from_str(body).ok()?;
        (answer["status"] == "success").then(|| answer["data"].clone())
    }

    /// The series of the tracer that it has now, named as they were exposed.
    fn series(&self) -> Option<BTreeMap<String, f64>> {
        let answer = self.ask("/api/v1/query?query=%7Bjob%3D%22tracer%22%7D")?;
        let all = answer["result"].as_array()?.iter();
        all.map(|one| Some((name(&one["metric"])?, one["value"][1].as_str()?.parse().ok()?)))
            .collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

/// A series' name and labels, in an order of our own, without what Prometheus adds.
fn name(metric: &Value) -> Option<String> {
    let labels = metric.as_object()?.iter();
    let labels =
        labels.filter(|(name, _)| !["__name__", "instance", "job"].contains(&name.as_str()));
    let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={value}")).collect();
    Some(sorted(metric["__name__"].as_str()?, labels))
}

fn sorted(name: &str, mut labels: Vec<String>) -> String {
    labels.sort();
    format!("{name}{{{}}}", labels.join(","))
}

/// The same of what we have scraped. No label's value has a comma.
fn exposed_series(exposed: &Exposed) -> BTreeMap<String, f64> {
    let rename = |series: &str| {
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        sorted(name, labels.map(str::to_owned).collect())
    };
    exposed.values.iter().map(|(series, value)| (rename(series), *value)).collect()
}

/// Whether a value moves by itself, or because somebody scrapes.
fn moves(series: &str) -> bool {
    ["process_", "tracer_kernel_packets"].iter().any(|begin| series.starts_with(begin))
}

fn programs() -> Option<PathBuf> {
    let programs = env::var_os("TRACER_PROMETHEUS").map(PathBuf::from);
    if programs.is_none() {
        left_out(
            "TRACER_PROMETHEUS does not say where Prometheus is; `cargo xtask test` fetches it",
        );
    }
    programs
}

#[test]
fn prometheus_has_what_was_told() {
    const CONNECTIONS: usize = 6;
    let Some(programs) = programs() else { return };
    let namespace = Namespace::new();
    let server = Server::start(&namespace, "127.0.0.1", CONNECTIONS);
    let tracer = Tracer::start(&namespace, &["--port", "7272", "--metrics"]);
    let prometheus = Prometheus::start(&namespace, &programs);
    talk(&namespace, server, &[SMALL; CONNECTIONS]);
    wait_for_ends(&namespace, CONNECTIONS);
    let exposed = scrape(&namespace);
    let wanted = exposed_series(&exposed);
    let is_there = |series: &BTreeMap<String, f64>| {
        wanted.iter().all(|(name, value)| moves(name) || series.get(name) == Some(value))
    };
    let series = wait_for("Prometheus to have what was exposed", || {
        let series = prometheus.series()?;
        if !is_there(&series) && prometheus.log().contains("level=error") {
            panic!("{}", prometheus.log());
        }
        is_there(&series).then_some(series)
    });
    assert_eq!(series.get("up{}"), Some(&1.0), "{}", prometheus.log());
    // Nothing is there that was not exposed but what Prometheus says of the scrape itself.
    let own = ["up{", "scrape_", "ALERTS"];
    let foreign: Vec<_> = series
        .keys()
        .filter(|name| !wanted.contains_key(*name) && !own.iter().any(|own| name.starts_with(own)))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    let scraped = series.get("scrape_samples_scraped{}");
    assert_eq!(scraped, Some(&(wanted.len() as f64)), "every sample was understood");
    assert_rules_are_evaluated(&prometheus);
    assert_adds_up(&exposed, &tracer.interrupt().events());
    wait_for("the alert that the tracer is gone", || {
        let alerts = prometheus.ask("/api/v1/alerts")?["alerts"].to_string();
        alerts.contains("TracerDown").then_some(())
    });
}

fn assert_rules_are_evaluated(prometheus: &Prometheus<'_>) {
    let rules = wait_for("all rules to be evaluated", || {
        let groups = prometheus.ask("/api/v1/rules")?["groups"].clone();
        let rules: Vec<Value> = groups
            .as_array()?
            .iter()
            .flat_map(|g| g["rules"].as_array().cloned())
            .flatten()
            .collect();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    });
    assert!(rules.len() >= 6, "{rules:?}");
    assert!(rules.iter().all(|rule| rule["health"] == "ok"), "{rules:?}");
    let firing = rules.iter().filter(|rule| rule["state"] == "firing");
    assert_eq!(firing.count(), 0, "{rules:?}");
}

//! What is in contrib/ fits the tracer: its rules and the dashboard name only metrics that there are, and
//! promtool understands all of them. `TRACER_PROMETHEUS` names the directory with promtool; `cargo xtask
//! test` provides it.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{Write as _, stderr},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tracer::metrics::{OutputFigures, Process, Ring, Snapshot, encode};
use tracer_common::counters::Counters;

fn contrib(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib").join(file)
}

fn text(file: &str) -> String {
    fs::read_to_string(contrib(file)).expect("it is there")
}

/// Runs promtool, which has to be content; what it printed.
fn promtool(arguments: &[&str]) -> Option<String> {
    let Some(programs) = env::var_os("TRACER_PROMETHEUS") else {
        let why = "TRACER_PROMETHEUS does not say where promtool is; `cargo xtask test` fetches it";
        // Past libtest, which keeps what tests print to itself.
        writeln!(stderr(), "\nleft out: promtool {}: {why}", arguments.join(" ")).expect("stderr");
        return None;
    };
    let output = Command::new(Path::new(&programs).join("promtool")).args(arguments).output();
    let output = output.expect("promtool starts");
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{arguments:?}: {stdout}{stderr}");
    Some(stdout)
}

/// The names of all series: families with the suffixes that their type has.
fn series() -> BTreeSet<String> {
    let text = encode(Snapshot {
        kernel: Some(Counters::default()),
        rings: vec![Ring::default()],
        outputs: vec![OutputFigures::default()],
        process: Process { resident: Some(1), ..Process::default() },
        ..Snapshot::default()
    });
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

/// Every word in a text that looks like the name of one of our series.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("tracer_") || word.starts_with("process_")).collect()
}

/// The dashboard's expressions.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| expressions(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

fn dashboard() -> (Value, Vec<String>) {
    let dashboard: Value = serde_json::from_str(&text("grafana/tracer.json")).expect("JSON");
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    assert!(found.len() > 30, "{found:?}");
    (dashboard, found)
}

#[test]
fn rules_and_dashboard_name_metrics_that_exist() {
    let series = series();
    let rules = text("prometheus/tracer.rules.yml");
    let tests = text("prometheus/tracer.rules.test.yml");
    let dashboard = text("grafana/tracer.json");
    for text in [&rules, &tests, &dashboard] {
        let unknown: Vec<_> =
            named(text).into_iter().filter(|name| !series.contains(*name)).collect();
        assert!(unknown.is_empty(), "{unknown:?} of {series:?}");
    }
    assert!(named(&rules).len() > 8 && named(&dashboard).len() > 25);
}

#[test]
fn every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() {
    let (rules, tests) =
        (text("prometheus/tracer.rules.yml"), text("prometheus/tracer.rules.test.yml"));
    let alerts: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 6, "{alerts:?}");
    for alert in alerts {
        let silent = format!("alertname: {alert}, exp_alerts: []");
        let firing = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels");
        assert!(tests.contains(&silent) && tests.contains(&firing), "{alert}");
    }
}

#[test]
fn promtool_is_content_with_the_rules_and_they_do_what_they_should() {
    let rules = contrib("prometheus/tracer.rules.yml").display().to_string();
    let Some(said) = promtool(&["check", "rules", "--lint-fatal", &rules]) else { return };
    assert!(said.contains("SUCCESS"), "{said}");
    let tests = contrib("prometheus/tracer.rules.test.yml").display().to_string();
    promtool(&["test", "rules", &tests]);
    let scrape = contrib("prometheus/scrape.yml").display().to_string();
    promtool(&["check", "config", "--lint-fatal", &scrape]);
}

#[test]
fn promtool_understands_every_expression_of_the_dashboard() {
    let (_, expressions) = dashboard();
    // Only Grafana knows these.
    let variables = [("$__rate_interval", "5m"), ("$job", "tracer"), ("$instance", "a")];
    let rules = expressions.iter().enumerate().map(|(n, expression)| {
        let mut expression = expression.clone();
        variables.iter().for_each(|(name, value)| expression = expression.replace(name, value));
        assert!(!expression.contains('$'), "{expression}");
        let expression = serde_json::to_string(&expression).expect("a string");
        format!("      - {{record: \"dashboard:{n}\", expr: {expression}}}\n")
    });
    let file = tempfile::NamedTempFile::with_suffix(".yml").expect("a file can be made");
    let text = format!("groups:\n  - name: dashboard\n    rules:\n{}", rules.collect::<String>());
    fs::write(file.path(), text).expect("it can be written");
    let path = file.path().display().to_string();
    let Some(said) = promtool(&["check", "rules", &path]) else { return };
    assert!(said.contains(&format!("{} rules found", expressions.len())), "{said}");
}

/// What Grafana needs to show a dashboard (its schema's required parts).
#[test]
fn the_dashboard_is_whole() {
    let (dashboard, _) = dashboard();
    for field in ["title", "uid", "schemaVersion", "panels", "templating", "time"] {
        assert!(!dashboard[field].is_null(), "{field}");
    }
    let panels = dashboard["panels"].as_array().expect("panels");
    let numbers: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert!(numbers.len() == panels.len() && !numbers.contains(&None), "each has a number");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let at = |field: &str| panel["gridPos"][field].as_u64().expect("a place");
        let (x, y) = (at("x")..at("x") + at("w"), at("y")..at("y") + at("h"));
        assert!(x.end <= 24, "{panel}");
        for place in x.flat_map(|x| y.clone().map(move |y| (x, y))) {
            assert!(taken.insert(place), "panels overlap: {panel}");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        assert!(["timeseries", "stat"].contains(&panel["type"].as_str().expect("a type")));
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{panel}");
        let targets = panel["targets"].as_array().expect("targets");
        let names: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str()).collect();
        assert!(!targets.is_empty() && names.len() == targets.len(), "{panel}");
    }
}

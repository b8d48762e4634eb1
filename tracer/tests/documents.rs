//! What the documents say of the tests is true.

use std::{collections::BTreeSet, fs, path::Path};

/// The test functions in all Rust sources below a folder.
fn tests(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            let name = |rest: &str| rest.split(['(', '<']).next().unwrap_or_default().to_owned();
            let functions =
                source.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn "));
            found.extend(functions.map(|(_, rest)| name(rest)));
        }
    }
}

/// What stands in backquotes in the last column of a document's tables headed `tests`.
fn named_tests(document: &str) -> Vec<&str> {
    let mut is_table_of_tests = false;
    let mut named = Vec::new();
    for line in document.lines() {
        let last = line.strip_suffix(" |").and_then(|line| line.rsplit("| ").next());
        is_table_of_tests = last.is_some_and(|last| is_table_of_tests || last == "tests");
        named.extend(
            last.filter(|_| is_table_of_tests)
                .iter()
                .flat_map(|last| last.split('`').skip(1).step_by(2)),
        );
    }
    named
}

/// Checks a document, of which the tables name at least so many tests.
fn names_tests_that_exist(document: &str, at_least: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    for folder in ["src", "tests", "../tracer-common/src"] {
        tests(&root.join(folder), &mut found);
    }
    let text = fs::read_to_string(root.join("../docs").join(document)).unwrap();
    let named = named_tests(&text);
    assert!(named.len() > at_least, "the tables of {document} were not understood: {named:?}");
    let is_there = |name: &str| found.contains(name) || root.join(name).is_dir();
    let missing: Vec<_> = named.into_iter().filter(|name| !is_there(name)).collect();
    assert_eq!(missing, [""; 0], "docs/{document} names tests that do not exist");
}

#[test]
fn every_test_that_the_tables_name_exists() {
    names_tests_that_exist("decoding.md", 100);
    names_tests_that_exist("faults.md", 20);
    names_tests_that_exist("interfaces.md", 40);
    names_tests_that_exist("outputs.md", 20);
}

/// Families by name, as `encode` calls them, with their types.
#[cfg(feature = "live")]
fn exposed() -> BTreeSet<(String, String)> {
    use tracer::metrics::{Snapshot, encode};
    let mut snapshot = Snapshot { kernel: Some(Default::default()), ..Snapshot::default() };
    snapshot.process.resident = Some(1);
    let text = encode(snapshot);
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    families.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[cfg(feature = "live")]
#[test]
fn every_metric_is_documented_and_every_documented_metric_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("../docs/metrics.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let documented: BTreeSet<_> = rows
        .filter_map(|(name, rest)| {
            let kind = rest.split(" |").next()?;
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            let family = name.strip_suffix(suffix).unwrap_or_else(|| panic!("{name} is no {kind}"));
            Some((family.to_owned(), kind.to_owned()))
        })
        .collect();
    assert_eq!(documented, exposed());
}

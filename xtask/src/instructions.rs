//! `cargo xtask instructions`: runs each stage of decoding once under callgrind and compares how many
//! instructions that takes with the committed counts. A machine's noise has no part in them.

use std::{collections::BTreeMap, env, fs, path::Path, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{setup, shell};

/// The committed counts.
const COUNTS: &str = "tracer/benches/instructions.json";
/// Percent that a count may grow: hash seeds, other processors' `memcpy`, and what the compiler inlines (3.5%
/// seen in a stage after a change elsewhere) make some difference.
const TOLERANCE: f64 = 5.0;

/// Callgrind counts `rep movsb` as an instruction for each byte, which no processor takes for it: let
/// glibc copy with vector instructions whatever the length (Tunables, "Hardware Capability Tunables").
const COPY_BY_VECTORS: &str = "glibc.cpu.x86_rep_movsb_threshold=0x40000000:\
    glibc.cpu.x86_rep_stosb_threshold=0x40000000";

/// Caches as callgrind is told to simulate them, whatever the machine has: a core's own two levels,
/// of 48 KiB and 2 MiB, as in current server processors. Other programs' use of them is left out.
const CACHES: [&str; 4] =
    ["--cache-sim=yes", "--I1=32768,8,64", "--D1=49152,12,64", "--LL=2097152,16,64"];

/// The counts of one compiler: instructions for each message or packet, by stage.
#[derive(Debug, PartialEq)]
struct Counts {
    compiler: String,
    stages: BTreeMap<String, u64>,
}

/// Counts, and compares or writes down.
pub(crate) fn command(update: bool) -> Result<()> {
    let compiler = compiler()?;
    let path = shell::workspace().join(COUNTS);
    let known = if update { None } else { Some(Counts::read(&path)?) };
    if let Some(known) = known.as_ref().filter(|known| known.compiler != compiler) {
        eprintln!(
            "note: nothing was counted: {COUNTS} is of {}, this is {compiler}; both generate other \
             code. `cargo xtask instructions --update` writes down this one's counts",
            known.compiler
        );
        return Ok(());
    }
    let program = build()?;
    let stages = names(&program)?.into_iter().map(|stage| {
        let [instructions] = count(&program, &stage, &[])?;
        Ok((stage, instructions as u64))
    });
    let counts = Counts { compiler, stages: stages.collect::<Result<_>>()? };
    match known {
        Some(known) => compare(&known, &counts),
        None => counts.write(&path),
    }
}

/// Shows how many cache lines of data an item has to wait for.
pub(crate) fn misses() -> Result<()> {
    let program = build()?;
    println!("{:26} {:>12} {:>8} {:>8}", "data misses per item", "instructions", "level 1", "2");
    for stage in names(&program)? {
        // Ir, Dr, Dw; then misses of level 1 (I1mr, D1mr, D1mw) and of both (ILmr, DLmr, DLmw).
        let [instructions, _, _, _, read1, write1, _, read2, write2] =
            count(&program, &stage, &CACHES)?;
        let (level1, level2) = (read1 + write1, read2 + write2);
        println!("{stage:26} {instructions:>12.0} {level1:>8.2} {level2:>8.2}");
    }
    Ok(())
}

/// The compiler and what it compiles for.
fn compiler() -> Result<String> {
    let said = shell::output(Command::new("rustc").arg("-vV").current_dir(shell::workspace()))?;
    let field = |name: &str| said.lines().find_map(|line| line.strip_prefix(name));
    let host = field("host: ").context("`rustc -vV` names no host")?;
    let version = said.lines().next().unwrap_or_default();
    Ok(format!("{version}, {host}"))
}

/// Builds the stages; cargo says where they are.
fn build() -> Result<PathBuf> {
    setup::program("valgrind", "valgrind", "which counts instructions")?;
    let mut cargo = shell::cargo();
    cargo.args("bench --package tracer --no-default-features --bench instructions".split(' '));
    cargo.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    shell::announce(&cargo);
    let said = shell::output_with_errors(&mut cargo)?;
    said.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "instructions")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo did not say where the program `instructions` is")
}

/// The stages' names.
fn names(program: &Path) -> Result<Vec<String>> {
    let said = shell::output(&mut Command::new(program))?;
    Ok(said.lines().map(str::to_owned).collect())
}

/// What callgrind counts in a stage for each of its items, instructions first.
fn count<const N: usize>(program: &Path, stage: &str, options: &[&str]) -> Result<[f64; N]> {
    let file = env::temp_dir().join(format!("tracer-instructions-{}", std::process::id()));
    let mut valgrind = Command::new("valgrind");
    valgrind.env("GLIBC_TUNABLES", COPY_BY_VECTORS);
    valgrind.args(["--tool=callgrind", "--toggle-collect=*instructions::measured*"]);
    valgrind.args(options);
    valgrind.arg(format!("--callgrind-out-file={}", file.display())).arg(program).arg(stage);
    let items = shell::output(&mut valgrind)?;
    let said = fs::read_to_string(&file).context("callgrind has written nothing")?;
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    let items: u64 = items.trim().parse().with_context(|| format!("{stage} counted {items:?}"))?;
    match totals(&said) {
        Some(totals) if totals[0] > 0 && items > 0 => {
            Ok(totals.map(|total| total as f64 / items as f64))
        }
        _ => bail!("callgrind has counted nothing in {stage}"),
    }
}

/// The sums that callgrind's output ends with. It leaves out zeros at the end.
fn totals<const N: usize>(said: &str) -> Option<[u64; N]> {
    let sums = said.lines().find_map(|line| line.strip_prefix("totals: "))?;
    let mut totals = [0; N];
    for (n, sum) in sums.split_whitespace().enumerate() {
        *totals.get_mut(n)? = sum.parse().ok()?;
    }
    Some(totals)
}

impl Counts {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read {COUNTS}: --update writes it"))?;
        Self::parse(&text).with_context(|| format!("{COUNTS} makes no sense: --update writes it"))
    }

    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let stages = value["instructions_per_item"].as_object()?;
        let stages = stages.iter().map(|(stage, count)| Some((stage.clone(), count.as_u64()?)));
        let compiler = value["compiler"].as_str()?.to_owned();
        Some(Self { compiler, stages: stages.collect::<Option<_>>()? })
    }

    fn write(&self, path: &Path) -> Result<()> {
        let value = json!({ "compiler": self.compiler, "instructions_per_item": self.stages });
        let text = serde_json::to_string_pretty(&value)? + "\n";
        fs::write(path, &text).with_context(|| format!("cannot write {COUNTS}"))?;
        print!("{text}");
        Ok(())
    }
}

/// How a stage's count has changed, in percent. `None`: there is no count to compare with.
fn change(known: &Counts, stage: &str, now: u64) -> Option<f64> {
    let before = *known.stages.get(stage)?;
    Some((now as f64 / before as f64 - 1.0) * 100.0)
}

/// Prints each stage, and fails if one takes more than it did.
fn compare(known: &Counts, now: &Counts) -> Result<()> {
    println!("{:26} {:>12} {:>9}", "instructions per item", "", "change");
    let mut worse = Vec::new();
    let mut is_better = false;
    for (stage, &count) in &now.stages {
        let Some(change) = change(known, stage, count) else {
            println!("{stage:26} {count:>12} {:>9}", "new");
            worse.push(stage.as_str());
            continue;
        };
        println!("{stage:26} {count:>12} {change:>+8.1}%");
        is_better |= change < -TOLERANCE;
        if change > TOLERANCE {
            worse.push(stage);
        }
    }
    if !worse.is_empty() {
        bail!(
            "more than {TOLERANCE}% above {COUNTS}, or not in it: {}; make it cheaper, or write the \
             new counts down with `cargo xtask instructions --update` and say why",
            worse.join(", ")
        );
    }
    if is_better {
        eprintln!("note: this is better than {COUNTS}; `--update` keeps it so");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(stages: &[(&str, u64)]) -> Counts {
        let stages = stages.iter().map(|(name, count)| ((*name).to_owned(), *count));
        Counts { compiler: "rustc".to_owned(), stages: stages.collect() }
    }

    #[test]
    fn the_totals_are_found() {
        let said = "fn=(1) x\n5 7\nsummary: 12\ntotals: 254394512\n";
        assert_eq!(totals(said), Some([254_394_512]));
        assert_eq!(totals("totals: 12 3\n"), Some([12, 3, 0]));
        assert_eq!(totals::<1>("totals: 12 3\n"), None);
        assert_eq!(totals::<1>("events: Ir\n"), None);
    }

    #[test]
    fn counts_that_grow_or_are_new_are_refused() {
        let known = counts(&[("a", 1000), ("b", 1000)]);
        assert!(compare(&known, &counts(&[("a", 1049), ("b", 500)])).is_ok());
        let error = compare(&known, &counts(&[("a", 1051), ("b", 1000)])).expect_err("5.1% more");
        assert!(format!("{error}").contains("not in it: a;"), "{error}");
        assert!(compare(&known, &counts(&[("c", 1)])).is_err());
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let text = fs::read_to_string(shell::workspace().join(COUNTS)).expect("it is committed");
        assert!(Counts::parse(&text).is_some_and(|counts| !counts.stages.is_empty()));
        assert_eq!(Counts::parse("{}"), None);
    }
}

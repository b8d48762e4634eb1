//! The report: all raw figures come in, a table goes to the terminal, and a page with tables and
//! plots into the directory.

mod goals;
mod table;
mod text;

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::{
    figures::{self, Figures, Lost},
    load::{LOADS, Load},
    observer::{NOBODY, OBSERVERS},
    plot::{self, Plot},
    results::Results,
    statistics::Spread,
};
use table::Table;

/// Writes the page and its plots.
pub(super) fn write(results: &Results, directory: &Path) -> Result<()> {
    let figures = figures::of(&results.rounds);
    println!("{}", summary(&figures).to_terminal());
    for plot in plots(&figures) {
        put(directory, &format!("{}.svg", plot.name), &plot::svg(&plot))?;
    }
    put(directory, "README.md", &text::page(results, &figures))?;
    for failure in &results.failures {
        eprintln!("bench: {failure}");
    }
    eprintln!("bench: {} has it all", directory.join("README.md").display());
    Ok(())
}

fn put(directory: &Path, name: &str, text: &str) -> Result<()> {
    let path = directory.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// What matters most, for the terminal.
fn summary(figures: &[Figures]) -> Table {
    let mut table =
        Table::new(&["load", "observer", "retained", "cost", "lost", "messages shown", "note"]);
    for figures in figures.iter().filter(|figures| figures.observer.name != NOBODY) {
        table.row([
            figures.load.name.to_owned(),
            figures.observer.name.to_owned(),
            spread(figures.retained),
            spread(figures.cost),
            lost(figures.lost),
            shown(figures),
            mismatch(figures),
        ]);
    }
    table
}

fn plots(figures: &[Figures]) -> [Plot; 2] {
    let plot = |name, title: &str, of: fn(&Figures) -> Option<Spread>, bounds| Plot {
        name,
        title: title.to_owned(),
        observers: OBSERVERS
            .iter()
            .map(|observer| observer.name)
            .filter(|&it| it != NOBODY)
            .collect(),
        panels: LOADS.iter().filter_map(|load| panel(load, figures, of)).collect(),
        bounds,
    };
    [
        plot(
            "retained",
            "Throughput of the service with an observer, over its throughput without",
            |figures| figures.retained,
            (0.0, 1.2),
        ),
        plot(
            "cost",
            "CPU time of service, kernel and observer together, over that without an observer",
            |figures| figures.cost,
            (0.5, 2.5),
        ),
    ]
}

fn panel(
    load: &'static Load,
    figures: &[Figures],
    of: fn(&Figures) -> Option<Spread>,
) -> Option<plot::Panel> {
    let points: Vec<_> = figures
        .iter()
        .filter(|figures| figures.load.name == load.name)
        .filter_map(|figures| Some((figures.observer.name, of(figures)?)))
        .collect();
    (!points.is_empty()).then_some(plot::Panel { title: load.name, points })
}

/// `0.93 (0.91–0.95)`
fn spread(spread: Option<Spread>) -> String {
    spread.map_or_else(String::new, |Spread { low, median, high }| {
        format!("{median:.2} ({low:.2}–{high:.2})")
    })
}

fn lost(lost: Lost) -> String {
    match lost {
        Lost::Unknown => "not said".to_owned(),
        Lost::Share(0.0) => "0".to_owned(),
        Lost::Share(share) if share < 0.000_1 => "under 0.01%".to_owned(),
        Lost::Share(share) => format!("{:.2}%", share * 100.0),
    }
}

/// Messages that an observer showed, of those that there were.
fn shown(figures: &Figures) -> String {
    match figures.shown {
        None => String::new(),
        Some((0, 0)) => "none to see".to_owned(),
        Some((shown, said)) if shown == said => format!("all {said}"),
        Some((shown, said)) => format!("**{shown} of {said}**"),
    }
}

/// What does not add up.
fn mismatch(figures: &Figures) -> String {
    let mut notes = Vec::new();
    if !figures.ends_agree {
        notes.push("client and server count differently".to_owned());
    }
    if figures.violations > 0 {
        notes.push(format!("{} violations that are none", figures.violations));
    }
    if figures.behind_ms.is_infinite() {
        notes.push("never caught up".to_owned());
    } else if figures.behind_ms >= 200.0 {
        notes.push(format!("{:.1} s behind at the end", figures.behind_ms / 1e3));
    }
    notes.join(", ")
}

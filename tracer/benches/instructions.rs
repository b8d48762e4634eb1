//! Runs one stage for `cargo xtask instructions`, which counts what happens inside [`measured`]. The
//! stage's name comes in; how many items one run has goes out. Without a name: all names.

#[path = "../tests/forge/mod.rs"]
mod forge;
mod stages;

use std::env;

use stages::{STAGES, Stage};

fn main() {
    // `cargo bench` adds `--bench`.
    let Some(name) = env::args().skip(1).find(|argument| !argument.starts_with('-')) else {
        return STAGES.iter().for_each(|(name, _)| println!("{name}"));
    };
    let (_, set_up) = STAGES.iter().find(|stage| stage.0 == name).expect("a stage of that name");
    let mut stage = set_up();
    // Once to warm up: what is set up once in a process is no part of the steady state.
    (stage.run)();
    measured(&mut stage);
    println!("{}", stage.items);
}

/// Callgrind is told to count in here.
#[inline(never)]
fn measured(stage: &mut Stage) {
    (stage.run)();
}

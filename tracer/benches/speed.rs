//! `cargo bench -p tracer --no-default-features --bench speed`: how long each stage takes, and what
//! that is in messages and bytes a second. On a shared machine look at the fastest column; a
//! regression is better seen by `cargo xtask instructions`.

#[path = "../tests/forge/mod.rs"]
mod forge;
mod stages;

use divan::{
    Bencher,
    counter::{BytesCount, ItemsCount},
};
use stages::STAGES;

fn main() {
    divan::main();
}

#[divan::bench(args = STAGES.map(|(name, _)| name))]
fn stage(bencher: Bencher<'_, '_>, name: &str) {
    let (_, set_up) = STAGES.iter().find(|stage| stage.0 == name).expect("one of them");
    let mut stage = set_up();
    bencher
        .counter(ItemsCount::new(stage.items))
        .counter(BytesCount::new(stage.bytes))
        .bench_local(|| (stage.run)());
}

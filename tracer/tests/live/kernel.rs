//! What tests say of the kernel that they run on: one line on stderr each, past libtest, which
//! keeps what tests print to itself. `cargo xtask vm` reads these lines from a machine's console.

use std::{
    env,
    fmt::Display,
    io::{Write as _, stderr},
    thread,
};

/// Something that was measured, for the table of all kernels.
pub(crate) fn measured(what: &str, value: impl Display) {
    say(&format!("measured: {what} = {value}"));
}

/// Says aloud that the test cannot show something here; where `TRACER_REQUIRE_ALL` is 1, that is a
/// failure.
pub(crate) fn left_out(why: &str) {
    assert!(env::var_os("TRACER_REQUIRE_ALL").is_none_or(|all| all != "1"), "left out: {why}");
    let test = thread::current();
    say(&format!("left out: {}: {why}", test.name().unwrap_or("a test")));
}

/// In one piece, so that two tests do not mix. Libtest may have begun a line.
fn say(line: &str) {
    stderr().write_all(format!("\n{line}\n").as_bytes()).expect("stderr is there");
}

//! `cargo xtask demo`: a chat on port 7272 is played in a network of its own, while the tracer
//! shows it. What the tracer printed is then compared with what the players said and heard.

mod chat;
mod client;
mod observer;

use std::{
    env,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use client::Client;
use observer::Observer;

use crate::{build, setup, shell};

/// The port of the reference session, and the tracer's default.
const PORT: u16 = 7272;

/// How long people need to read a line. Nothing depends on it.
const BEAT: Duration = Duration::from_millis(250);

/// A hang is a failure after this long; it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// What has to be seen beside the messages: that one client was there before the tracer, the
/// browser's request and the answer to it, and how the other client left.
const SIGNS: [&str; 4] =
    ["joined midstream", "Origin: http://127.0.0.1:55151", "HTTP 101", "close 1000"];

const PROLOGUE: &str = "\
A chat room listens on port 7272. 猪猪 is already inside; mynick is at the door.
On the wire, what they say is masked: tcpdump shows  fTX.d.P[(...9H..C=LT.~.BV=...0SnB-X.
The tracer hears it, and the room never knows. Curtain up:
";

/// Builds the tracer, and becomes the play in a fresh network namespace. The namespace ends with
/// the last process in it, and everything that was attached there with it.
pub(crate) fn command() -> Result<()> {
    setup::everything()?;
    let tracer = build::release()?;
    let us = env::current_exe().context("cannot tell where this program lies")?;
    if !shell::is_root() {
        eprintln!("demo: tracing the kernel needs root: asking sudo");
    }
    let mut play = shell::privileged("unshare");
    play.args(["--net", "--"]).arg(us).args(["demo", "--inside"]).arg(tracer);
    shell::replace(&mut play)
}

/// Plays the session in the network namespace we are in.
pub(crate) fn play(tracer: &Path) -> Result<()> {
    let ip = shell::find("ip").context("the program `ip` is missing: run `cargo xtask setup`")?;
    shell::output(Command::new(ip).args(["link", "set", "lo", "up"]))?;
    chat::open(PORT)?;
    let mut early = Client::connect(PORT).context("猪猪 connects")?;
    early.log_in("猪猪").context("猪猪 logs in")?;
    early.forget_the_past();

    println!("{PROLOGUE}");
    let observer = Observer::start(tracer, PORT)?;
    let late = converse(&mut early)?;
    let spoken = [early.transcript(), late.transcript()].concat();
    late.leave().context("mynick leaves")?;

    observer.wait_for(&spoken, PATIENCE);
    sleep(BEAT);
    let report = observer.stop()?;
    early.leave().context("猪猪 leaves")?;
    report.ensure_complete(&spoken, &SIGNS)?;
    println!("\nCurtain. All {} messages are above, as they were said.", spoken.len());
    println!("Your own service is next: cargo xtask run -- --port {PORT}");
    Ok(())
}

/// Talks alone in a room: so many messages, with the word and a number. For tests that watch from elsewhere.
pub(crate) fn talk(word: &str, messages: u32) -> Result<()> {
    const PAUSE: Duration = Duration::from_millis(10);
    chat::open(PORT)?;
    let mut client = Client::connect(PORT)?;
    client.log_in(word)?;
    for number in 1..=messages {
        client.say(&format!("{word} {number}"))?;
        client.hear()?;
        sleep(PAUSE);
    }
    client.leave()
}

/// The reference session: mynick enters and greets everybody.
fn converse(early: &mut Client) -> Result<Client> {
    let mut late = Client::connect(PORT).context("mynick connects")?;
    sleep(BEAT);
    late.log_in("mynick").context("mynick logs in")?;
    early.hear().context("猪猪 hears of mynick")?;
    sleep(BEAT);
    late.say("hi,  all !").context("mynick says hi")?;
    late.hear().context("mynick hears the room")?;
    early.hear().context("猪猪 hears mynick")?;
    sleep(BEAT);
    Ok(late)
}

/// Asks again until it is so or patience is over; tells which.
fn eventually(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    while !is_so() {
        if Instant::now() > end {
            return false;
        }
        sleep(Duration::from_millis(10));
    }
    true
}

//! Connections that come and go while a load is played: opened, used once and reset; peers that speak
//! no WebSocket, or break it off; and some that are silent to the end. How many there were comes out.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle, sleep},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use rustix::net::sockopt::set_socket_linger;

use super::wire::{self, BINARY, CLOSE, Reader, TEXT, first_byte};

/// Another port than that of the loads.
pub(in crate::bench) const PORT: u16 = 7274;

/// Connections that are silent until the end.
const SILENT: usize = 200;
/// Between two connections of a thread: fewer than there are ports for in the minute that a
/// connection is remembered after its end.
const PACE: Duration = Duration::from_millis(4);
/// A connection that hangs for so long has failed.
const HANG: Duration = Duration::from_secs(30);

/// What they do, one after the other.
const MANNERS: [fn(TcpStream, u64) -> Result<()>; 8] =
    [talk, talk_and_reset, reset, garbage, huge, broken_off, plain, tls];

/// The connections, while they come and go.
pub(in crate::bench) struct Rabble {
    silent: Vec<TcpStream>,
    is_over: Arc<AtomicBool>,
    churn: JoinHandle<Result<u64>>,
}

impl Rabble {
    /// Starts both sides.
    pub(in crate::bench) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))?;
        // It ends with the process: nobody waits for it.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A peer that breaks off is what this is about.
                thread::spawn(move || drop(serve(stream)));
            }
        });
        let silent = (0..SILENT).map(|_| open()).collect::<Result<_>>()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let churn = thread::spawn(move || churn(&told));
        Ok(Self { silent, is_over, churn })
    }

    /// Ends it. The silent ones say something, and hear it again: how many connections there were.
    pub(in crate::bench) fn end(self) -> Result<u64> {
        self.is_over.store(true, Relaxed);
        let came = self.churn.join().ok().context("the churn has failed")??;
        for stream in self.silent {
            say_and_leave(stream, 0).context("a connection that was silent")?;
        }
        Ok(came + SILENT as u64)
    }
}

fn churn(is_over: &AtomicBool) -> Result<u64> {
    let mut count = 0;
    while !is_over.load(Relaxed) {
        let stream = connect()?;
        let manners = MANNERS[count as usize % MANNERS.len()];
        // Some servers close first, which is an error of a write.
        let done = manners(stream, count);
        if count as usize % MANNERS.len() < 2 {
            done.context("a connection that behaves")?;
        }
        count += 1;
        sleep(PACE);
    }
    Ok(count)
}

fn connect() -> Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HANG))?;
    Ok(stream)
}

fn open() -> Result<TcpStream> {
    let mut stream = connect()?;
    wire::open(&mut stream, PORT, false)?;
    Ok(stream)
}

/// Echoes what it takes for messages, until the other side ends.
fn serve(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    wire::accept(&mut stream, false)?;
    let mut reader = Reader::default();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let mut out = Vec::new();
        reader.read(&mut buffer[..count], |first, payload| {
            if first & 0x0f == TEXT || first & 0x0f == CLOSE {
                wire::push_unmasked(&mut out, first, payload);
            }
        });
        stream.write_all(&out)?;
    }
}

fn talk(mut stream: TcpStream, number: u64) -> Result<()> {
    wire::open(&mut stream, PORT, false)?;
    say_and_leave(stream, number)
}

fn say_and_leave(mut stream: TcpStream, number: u64) -> Result<()> {
    say(&mut stream, number)?;
    stream.write_all(&wire::masked(first_byte(CLOSE, false), &1000_u16.to_be_bytes()))?;
    Ok(())
}

fn talk_and_reset(mut stream: TcpStream, number: u64) -> Result<()> {
    wire::open(&mut stream, PORT, false)?;
    say(&mut stream, number)?;
    reset(stream, number)
}

fn say(stream: &mut TcpStream, number: u64) -> Result<()> {
    let text = format!("message of connection {number}");
    stream.write_all(&wire::masked(first_byte(TEXT, false), text.as_bytes()))?;
    let mut echo = vec![0; text.len() + 2];
    stream.read_exact(&mut echo)?;
    ensure!(echo.ends_with(text.as_bytes()), "not the echo");
    Ok(())
}

/// Its end is a RST, whatever is still to be sent (tcp(7)).
fn reset(stream: TcpStream, _: u64) -> Result<()> {
    set_socket_linger(&stream, Some(Duration::ZERO))?;
    drop(stream);
    Ok(())
}

/// Bytes that are no frames, or by chance some.
fn garbage(mut stream: TcpStream, number: u64) -> Result<()> {
    wire::open(&mut stream, PORT, false)?;
    let noise = (0..500).scan(number, |state, _| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Some((*state >> 56) as u8)
    });
    Ok(stream.write_all(&noise.collect::<Vec<_>>())?)
}

/// A frame that is longer than anything.
fn huge(mut stream: TcpStream, _: u64) -> Result<()> {
    wire::open(&mut stream, PORT, false)?;
    let header = [first_byte(BINARY, false), 0xff, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    Ok(stream.write_all(&header)?)
}

/// Half of a message.
fn broken_off(mut stream: TcpStream, number: u64) -> Result<()> {
    wire::open(&mut stream, PORT, false)?;
    let frame = wire::masked(first_byte(TEXT, false), &[b'x'; 1000]);
    stream.write_all(&frame[..frame.len() / 2])?;
    reset(stream, number)
}

/// A request that wants no upgrade.
fn plain(mut stream: TcpStream, _: u64) -> Result<()> {
    Ok(stream.write_all(b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n")?)
}

/// What a TLS client begins with (RFC 8446 section 5.1), and not more.
fn tls(mut stream: TcpStream, _: u64) -> Result<()> {
    Ok(stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])?)
}

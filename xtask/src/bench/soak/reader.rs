//! Who reads the tracer's events: a pipe comes in, what they say together goes out, at any time.

use std::{
    io::{BufRead as _, BufReader, Read},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Deserialize;

/// Where the name of the event is: the time stamp before it has always the same length.
const NAME: usize = r#"{"ts":"2026-11-22T06:41:35.841539000Z","event":""#.len();
/// Where the time of day is.
const TIME: std::ops::Range<usize> = 18..30;
/// Lines between two looks at the clock.
const LOOK: u64 = 64;
const DAY_MS: i64 = 86_400_000;

/// What was told so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) lines: u64,
    /// Data messages on the loads' port.
    pub(super) messages: u64,
    /// On every port.
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) gaps: u64,
    /// Events that the output says it has left out.
    pub(super) dropped: u64,
    /// Connections whose beginning was not seen.
    pub(super) joined_late: u64,
    /// The latest `stats`.
    pub(super) stats: Stats,
    /// The longest from an event to its line, since this was last asked for.
    pub(super) lag_ms: i64,
}

/// What matters here of a `stats` event.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Stats {
    pub(super) lost: u64,
    pub(super) lost_bytes: u64,
    #[serde(default)]
    pub(super) dropped: u64,
    pub(super) segments: u64,
    pub(super) connections: u64,
}

/// The same of a `dropped` event.
#[derive(Deserialize)]
struct Dropped {
    events: u64,
}

/// Reads until the end.
pub(super) struct Reader {
    told: Arc<Mutex<Told>>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Reader {
    /// Counts messages where the server is on `port`.
    pub(super) fn new(from: impl Read + Send + 'static, port: u16) -> Self {
        let told = Arc::<Mutex<Told>>::default();
        let shared = Arc::clone(&told);
        let mut lines = BufReader::with_capacity(1 << 20, from);
        let server = format!(r#""server":"127.0.0.1:{port}""#);
        let thread = thread::spawn(move || {
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line)? > 0 {
                shared.lock().unwrap_or_else(PoisonError::into_inner).add(&line, &server);
                line.clear();
            }
            Ok(())
        });
        Self { told, thread }
    }

    /// What was told so far.
    pub(super) fn look(&self) -> Told {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = *told;
        told.lag_ms = 0;
        now
    }

    /// The same when there is no more.
    pub(super) fn end(self) -> std::io::Result<Told> {
        let Self { told, thread } = self;
        thread.join().map_err(|_| std::io::Error::other("the reader has failed"))??;
        Ok(*told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Told {
    fn add(&mut self, line: &[u8], server: &str) {
        let rest = line.get(NAME..).unwrap_or_default();
        let name = rest.split(|&byte| byte == b'"').next().unwrap_or_default();
        let head = &rest[..rest.len().min(160)];
        let has = |text: &str| head.windows(text.len()).any(|part| part == text.as_bytes());
        match name {
            b"ws.message" => self.messages += u64::from(has(server)),
            b"tcp.open" => self.opened += 1,
            b"tcp.close" => self.closed += 1,
            b"gap" => self.gaps += 1,
            b"ws.open" => {
                let line = String::from_utf8_lossy(line);
                self.joined_late += u64::from(line.contains(r#""joined":"midstream""#));
            }
            b"dropped" => {
                self.dropped += serde_json::from_slice(line).map_or(0, |Dropped { events }| events);
            }
            b"stats" => self.stats = serde_json::from_slice(line).unwrap_or(self.stats),
            _ => {}
        }
        self.lines += 1;
        if self.lines.is_multiple_of(LOOK) && name != b"start" {
            self.lag_ms = self.lag_ms.max(lag_ms(line, now_ms()).unwrap_or_default());
        }
    }
}

/// Milliseconds since midnight.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_millis() as i64) % DAY_MS
}

/// How long ago a line's time stamp was.
fn lag_ms(line: &[u8], now: i64) -> Option<i64> {
    let time = str::from_utf8(line.get(TIME)?).ok()?;
    let field = |range: std::ops::Range<usize>| time.get(range)?.parse::<i64>().ok();
    let seconds = field(0..2)? * 3_600 + field(3..5)? * 60 + field(6..8)?;
    let then = seconds * 1_000 + field(9..12)?;
    // It may be midnight meanwhile.
    Some((now - then).rem_euclid(DAY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = r#"{"ts":"2026-11-22T06:41:35.841539000Z","event":"ws.message","conn":1,"client":"127.0.0.1:46020","server":"127.0.0.1:7272","from":"client"}"#;

    #[test]
    fn messages_of_the_loads_are_counted_and_others_are_not() {
        let other = MESSAGE.replace("7272", "7274");
        let stats = MESSAGE
            .replace("ws.message", "stats")
            .replace(r#""conn":1"#, r#""segments":9,"lost":2,"lost_bytes":70,"connections":3"#);
        let dropped =
            MESSAGE.replace("ws.message", "dropped").replace(r#""conn":1"#, r#""events":3"#);
        let late = MESSAGE
            .replace("ws.message", "ws.open")
            .replace("client\"}", "x\",\"joined\":\"midstream\"}");
        let lines = [MESSAGE, &other, &stats, &late, &dropped, MESSAGE].join("\n");
        let told = Reader::new(std::io::Cursor::new(lines), 7272).end().expect("no error");
        assert_eq!((told.lines, told.messages, told.joined_late, told.dropped), (6, 2, 1, 3));
        assert_eq!((told.stats.lost, told.stats.lost_bytes), (2, 70));
    }

    #[test]
    fn a_line_is_late_by_the_time_since_its_time_stamp_also_after_midnight() {
        let then = ((6 * 60 + 41) * 60 + 35) * 1_000 + 841;
        assert_eq!(lag_ms(MESSAGE.as_bytes(), then + 9), Some(9));
        let midnight = MESSAGE.replace("06:41:35", "23:59:59");
        assert_eq!(lag_ms(midnight.as_bytes(), 59), Some(218));
        assert_eq!(lag_ms(b"{}", 0), None);
    }
}

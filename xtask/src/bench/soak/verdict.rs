//! What a soak came to: samples, what the endpoints counted and what the tracer told come in, the
//! sentences of a verdict go out.

use super::{reader::Told, sample::Sample};
use crate::bench::statistics::median;

/// Memory may grow by so much between the second and the last quarter, in KiB: tables double when
/// they are full, and an allocator that serves threads gives back late. A leak of 64 bytes a
/// connection is 2 MiB in five minutes.
const GROWTH: f64 = 2_048.0;

/// What both ends of all connections counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// Data messages of the loads.
    pub(super) messages: u64,
    pub(super) connections: u64,
}

/// One thing that was to hold.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) holds: bool,
    pub(super) what: String,
}

/// All of them.
pub(super) fn of(samples: &[Sample], said: Said, told: Told) -> Vec<Finding> {
    vec![
        memory(samples),
        descriptors(samples),
        loss(told),
        dropped(told),
        messages(said, told),
        connections(said, told),
    ]
}

fn memory(samples: &[Sample]) -> Finding {
    let quarter = |n: usize| {
        let part = &samples[samples.len() * (n - 1) / 4..samples.len() * n / 4];
        median(part.iter().map(|sample| sample.own as f64)).unwrap_or_default()
    };
    let (second, last) = (quarter(2), quarter(4));
    let what = format!(
        "memory of its own: median {:.1} MiB in the second quarter, {:.1} in the last",
        second / 1024.0,
        last / 1024.0
    );
    Finding { holds: last <= second + GROWTH, what }
}

fn descriptors(samples: &[Sample]) -> Finding {
    let count = |sample: Option<&Sample>| sample.map_or(0, |sample| sample.descriptors);
    let (first, last) = (count(samples.first()), count(samples.last()));
    let what = format!("descriptors: {first} at the beginning, {last} at the end");
    Finding { holds: last <= first, what }
}

/// Lost is allowed; not to tell it is not, unless the output had no room for that either.
fn loss(told: Told) -> Finding {
    let Told { stats, gaps, .. } = told;
    let what =
        format!("{} records lost ({} bytes), {gaps} gaps told", stats.lost, stats.lost_bytes);
    let (is_lost, is_told) = (stats.lost_bytes > 0, gaps > 0);
    Finding { holds: is_lost == is_told || (is_lost && told.dropped > 0), what }
}

/// The same of events that the output had no room for. More may have been than the latest sums say.
fn dropped(told: Told) -> Finding {
    let Told { stats, dropped, .. } = told;
    let what = format!("{} events dropped, {dropped} of them told in the output", stats.dropped);
    Finding { holds: dropped >= stats.dropped, what }
}

fn messages(said: Said, told: Told) -> Finding {
    let (said, shown) = (said.messages, told.messages);
    let what = format!("messages: {said} said, {shown} shown");
    Finding { holds: is_all(shown, said, told), what }
}

fn connections(said: Said, told: Told) -> Finding {
    let Told { opened, closed, joined_late, .. } = told;
    let said = said.connections;
    let what = format!(
        "connections: {said} made, {opened} told to open, {closed} to end, {joined_late} joined late"
    );
    let holds = is_all(opened, said, told) && is_all(closed, said, told);
    Finding { holds: holds && (joined_late == 0 || told.stats.lost > 0), what }
}

/// Where nothing was lost, all but at most what was dropped; otherwise not more.
fn is_all(shown: u64, said: u64, told: Told) -> bool {
    shown <= said && (told.stats.lost > 0 || said - shown <= told.dropped)
}

#[cfg(test)]
mod tests {
    use super::{super::reader::Stats, *};

    fn sample(own: u64, descriptors: usize) -> Sample {
        Sample { seconds: 0.0, resident: own, own, descriptors, cpu: 0.0, told: Told::default() }
    }

    fn grows_by(kib: u64) -> bool {
        let samples: Vec<_> = (0..100).map(|n| sample(9_000 + n * kib / 50, 30)).collect();
        memory(&samples).holds
    }

    #[test]
    fn memory_is_flat_or_it_is_not() {
        assert!(grows_by(0) && grows_by(500));
        assert!(!grows_by(5_000));
    }

    #[test]
    fn a_descriptor_more_than_at_the_beginning_has_leaked() {
        assert!(descriptors(&[sample(1, 30), sample(1, 33), sample(1, 30)]).holds);
        assert!(!descriptors(&[sample(1, 30), sample(1, 31)]).holds);
    }

    #[test]
    fn a_message_may_be_missing_only_where_something_was_lost() {
        let said = Said { messages: 10, connections: 1 };
        let told = |messages, lost| {
            let stats = Stats { lost, lost_bytes: lost, ..Stats::default() };
            Told { messages, stats, gaps: lost, ..Told::default() }
        };
        assert!(messages(said, told(10, 0)).holds);
        assert!(!messages(said, told(9, 0)).holds);
        assert!(messages(said, told(9, 1)).holds);
        assert!(!messages(said, told(11, 1)).holds, "nobody said so much");
        assert!(!loss(Told { gaps: 0, ..told(9, 1) }).holds, "lost and not told");
        let some = Told { dropped: 1, ..told(9, 0) };
        assert!(messages(said, some).holds && dropped(some).holds);
        assert!(!messages(said, Told { messages: 8, ..some }).holds, "dropped in silence");
        assert!(loss(Told { gaps: 0, dropped: 1, ..told(9, 1) }).holds, "where could it be told");
        let more = Stats { dropped: 2, ..Stats::default() };
        assert!(!dropped(Told { stats: more, ..some }).holds, "dropped and not told");
    }
}

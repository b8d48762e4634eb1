//! One pipeline's way to several outputs: each event is formatted once for all that want it to look
//! the same, and whole buffers of events are handed over.

use std::{mem, sync::Arc};

use super::{
    Failure,
    batch::Batch,
    counters::Counters,
    queue::{Pushed, Sender},
    told::Told,
};
use crate::{
    event::{Event, Sink},
    output::{BUFFER, Format, Look, WallClock},
};

/// Formats events and hands them over.
pub struct Fan {
    channels: Vec<Channel>,
    /// From the time of segments to the wall clock's.
    pub(super) clock: WallClock,
    pub(super) dropped: Arc<Counters>,
    pub(super) failure: Arc<Failure>,
}

/// A look, and the outputs that have it.
struct Channel {
    look: Look,
    format: Box<dyn Format + Send>,
    lines: Vec<u8>,
    ends: Vec<usize>,
    to: Vec<(Sender, Arc<Told>)>,
}

impl Fan {
    pub(super) fn new(dropped: Arc<Counters>, failure: Arc<Failure>) -> Self {
        Self { channels: Vec::new(), clock: WallClock::default(), dropped, failure }
    }

    /// Has an output get all events from now on.
    pub(super) fn add(&mut self, look: Look, to: Sender, told: Arc<Told>) {
        match self.channels.iter_mut().find(|channel| channel.look == look) {
            Some(channel) => channel.to.push((to, told)),
            None => self.channels.push(Channel::new(look, to, told)),
        }
    }

    /// Hands over what was collected.
    pub(super) fn flush(&mut self) {
        self.channels.iter_mut().for_each(Channel::flush);
    }

    /// Hands over the last words of a run.
    pub(super) fn conclude(&mut self) {
        self.channels.iter_mut().for_each(Channel::conclude);
    }
}

impl Sink for Fan {
    fn emit(&mut self, event: &Event<'_>) {
        for channel in &mut self.channels {
            channel.emit(event, self.clock);
        }
    }
}

impl Drop for Fan {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Channel {
    fn new(look: Look, to: Sender, told: Arc<Told>) -> Self {
        let lines = Vec::with_capacity(BUFFER + BUFFER / 4);
        Self { look, format: look.format(), lines, ends: Vec::new(), to: vec![(to, told)] }
    }

    fn emit(&mut self, event: &Event<'_>, clock: WallClock) {
        let start = self.lines.len();
        self.format.write(event, clock, &mut self.lines);
        // Not every event is shown in every format.
        if self.lines.len() > start {
            self.ends.push(self.lines.len());
        }
        if self.lines.len() >= BUFFER {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let Some(batch) = self.take_batch() else { return };
        for (sender, told) in &self.to {
            if sender.push(&batch) == Pushed::BeginsToDrop {
                told.tell_of_dropping();
            }
        }
    }

    fn conclude(&mut self) {
        let Some(batch) = self.take_batch() else { return };
        self.to.iter().for_each(|(sender, _)| sender.conclude(&batch));
    }

    fn take_batch(&mut self) -> Option<Arc<Batch>> {
        let is_there = !self.lines.is_empty();
        is_there.then(|| Arc::new(Batch::new(self.take_lines(), mem::take(&mut self.ends))))
    }

    /// The buffer itself, where it is full. Where it is nearly empty, as with little traffic, a copy:
    /// a queue of large buffers with a line in each would hold many times what it is allowed to.
    fn take_lines(&mut self) -> Vec<u8> {
        if self.lines.len() < self.lines.capacity() / 2 {
            let copy = self.lines.as_slice().to_vec();
            self.lines.clear();
            return copy;
        }
        mem::replace(&mut self.lines, Vec::with_capacity(BUFFER + BUFFER / 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Body,
        output::Style,
        sink::{
            Overflow,
            queue::{Next, Receiver, queue},
        },
    };

    fn output(fan: &mut Fan, look: Look) -> Receiver {
        let (sender, receiver) = queue(1 << 20, Overflow::Drop, Arc::default());
        fan.add(look, sender, Arc::new(Told::new("x", 1)));
        receiver
    }

    fn emit(fan: &mut Fan, times: u64) {
        for time in 0..times {
            fan.emit(&Event { time, conn: None, from: None, body: Body::TcpOpen { rtt_us: 1 } });
        }
    }

    fn take(receiver: &Receiver) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        while let Next::Events(portion) = receiver.next() {
            taken.push(portion.rest().to_vec());
        }
        taken
    }

    #[test]
    fn outputs_of_one_look_share_what_was_formatted_once() {
        let mut fan = Fan::new(Arc::default(), Arc::default());
        let json = [(); 2].map(|()| output(&mut fan, Look::Json));
        let text = output(&mut fan, Look::Text(Style::default()));
        assert_eq!(fan.channels.len(), 2);
        emit(&mut fan, 5000);
        drop(fan);
        let [first, second] = json.each_ref().map(take);
        assert_eq!(first, second);
        assert!(first.len() > 1, "handed over whenever the buffer is full");
        assert_eq!(first.concat().iter().filter(|&&byte| byte == b'\n').count(), 5000);
        assert!(take(&text).concat().ends_with(b"connected (1 \xc2\xb5s)\n"));
    }

    #[test]
    fn little_traffic_holds_little_memory() {
        let mut fan = Fan::new(Arc::default(), Arc::default());
        let receiver = output(&mut fan, Look::Json);
        emit(&mut fan, 1);
        let lines = fan.channels[0].take_lines();
        assert!(lines.capacity() < 2 * lines.len(), "{} bytes", lines.capacity());
        fan.channels[0].ends.clear();
        drop(fan);
        assert!(take(&receiver).is_empty());
    }
}

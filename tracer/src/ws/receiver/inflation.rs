//! What a direction that compresses needs besides: its window, and the inflate machine that has it
//! loaded, as long as nobody else gets that.

use super::{
    super::{
        deflate::{Inflater, Window},
        inflaters::{Inflaters, Ticket},
    },
    Compression,
};

/// A direction's part in inflating.
pub(super) struct Inflation {
    window: Window,
    ticket: Option<Ticket>,
}

impl Inflation {
    /// What this compression needs, if anything.
    pub(super) fn new(compression: Compression) -> Option<Box<Self>> {
        let window = match compression {
            Compression::None => return None,
            Compression::Deflate(side) => Window::new(side),
            Compression::Unknown => Window::unknown(),
        };
        Some(Box::new(Self { window, ticket: None }))
    }

    /// Bytes of memory beyond the struct's own.
    pub(super) fn memory(&self) -> usize {
        self.window.memory()
    }

    /// Whether a message that does not inflate may refer to what was not seen.
    pub(super) fn is_incomplete(&self) -> bool {
        self.window.is_incomplete()
    }

    /// Forgets what messages refer to.
    pub(super) fn lose_window(&mut self) {
        self.window.lose();
    }

    /// The same, in the middle of a message.
    pub(super) fn lose(&mut self, inflaters: &mut Inflaters) {
        self.window.lose();
        self.release(inflaters);
    }

    /// Gets a machine for a message. False where there is none.
    pub(super) fn begin(&mut self, inflaters: &mut Inflaters) -> bool {
        // The one that inflated the last message has its window still.
        let kept = self.ticket.take().filter(|kept| inflaters.resume(kept));
        self.ticket = kept.or_else(|| self.borrow(inflaters));
        if self.ticket.is_none() {
            self.window.lose();
        }
        self.ticket.is_some()
    }

    /// Gets a machine and loads the window into it.
    fn borrow(&mut self, inflaters: &mut Inflaters) -> Option<Ticket> {
        let (ticket, inflater) = inflaters.take()?;
        if inflater.start(&self.window).is_err() {
            self.window.lose();
        }
        Some(ticket)
    }

    /// The machine and the window, in the middle of a message. `None`: somebody else has got it.
    pub(super) fn machine<'i>(
        &mut self,
        inflaters: &'i mut Inflaters,
    ) -> Option<(&'i mut Inflater, &mut Window)> {
        let inflater = inflaters.get(self.ticket.as_ref()?)?;
        Some((inflater, &mut self.window))
    }

    /// The message has ended. Without a window to keep, the machine is free.
    pub(super) fn rest(&mut self, inflaters: &mut Inflaters) {
        if self.window.ends_with_message() {
            self.release(inflaters);
        } else if let Some(ticket) = &self.ticket {
            inflaters.rest(ticket);
        }
    }

    /// Gives the machine back.
    pub(super) fn release(&mut self, inflaters: &mut Inflaters) {
        if let Some(ticket) = self.ticket.take() {
            inflaters.give_back(&ticket);
        }
    }
}

//! The inflate machines of the directions that compress: a bounded stock.
//!
//! A direction keeps its machine from message to message, so that the window need not be loaded
//! each time, until another one wants it. Those between messages are taken first, and then those
//! not used for longest: so nobody can hold the stock by leaving messages unfinished.

use std::num::NonZero;

use foldhash::fast::RandomState;
use lru::LruCache;

use super::deflate::Inflater;

/// Numbers of machines as they are lent, so that none stands for two loans.
type Number = NonZero<u64>;

/// The stock; each machine takes [`Inflater::MEMORY`].
pub struct Inflaters {
    limit: usize,
    /// By their tickets, the one not used for longest last.
    lent: LruCache<Number, Lent, RandomState>,
    idle: Vec<Inflater>,
    next: Number,
}

/// A machine that a direction has.
struct Lent {
    inflater: Inflater,
    /// In the middle of a message. Marked instead of kept apart: moving it would take memory each time.
    is_working: bool,
}

/// Stands for a machine that may change hands at any time. Lost with its connection, it leaves a
/// machine that nobody uses, and that goes to the next who asks.
#[derive(Debug)]
pub struct Ticket(Number);

impl Inflaters {
    /// At most `limit` machines.
    pub fn new(limit: usize) -> Self {
        let lent = LruCache::unbounded_with_hasher(RandomState::default());
        Self { limit, lent, idle: Vec::new(), next: Number::MIN }
    }

    /// Lends a machine for a message; `None` where there is none at all.
    pub fn take(&mut self) -> Option<(Ticket, &mut Inflater)> {
        let inflater = match self.idle.pop() {
            Some(idle) => idle,
            None if self.lent.len() < self.limit => Inflater::default(),
            None => self.take_away()?,
        };
        self.next = self.next.saturating_add(1);
        let lent = Lent { inflater, is_working: true };
        let lent = self.lent.get_or_insert_mut(self.next, || lent);
        Some((Ticket(self.next), &mut lent.inflater))
    }

    /// The one that rests for longest, or works if none rests.
    fn take_away(&mut self) -> Option<Inflater> {
        let resting = self.lent.iter().rev().find(|(_, lent)| !lent.is_working);
        let id = *resting.or_else(|| self.lent.peek_lru())?.0;
        self.lent.pop(&id).map(|lent| lent.inflater)
    }

    /// The machine in the middle of a message, unless somebody else has got it since.
    pub fn get(&mut self, ticket: &Ticket) -> Option<&mut Inflater> {
        let lent = self.lent.get_mut(&ticket.0).filter(|lent| lent.is_working);
        lent.map(|lent| &mut lent.inflater)
    }

    /// The message has ended.
    pub fn rest(&mut self, ticket: &Ticket) {
        if let Some(lent) = self.lent.get_mut(&ticket.0) {
            lent.is_working = false;
        }
    }

    /// The next message begins. False when somebody else has got the machine since.
    pub fn resume(&mut self, ticket: &Ticket) -> bool {
        self.lent.get_mut(&ticket.0).map(|lent| lent.is_working = true).is_some()
    }

    /// Takes a machine back.
    pub fn give_back(&mut self, ticket: &Ticket) {
        self.idle.extend(self.lent.pop(&ticket.0).map(|lent| lent.inflater));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_not_used_for_longest_changes_hands() {
        let mut stock = Inflaters::new(2);
        let (first, _) = stock.take().unwrap();
        let (second, _) = stock.take().unwrap();
        assert!(stock.get(&first).is_some());
        let (third, _) = stock.take().unwrap();
        assert!(stock.get(&second).is_none());
        assert!(stock.get(&first).is_some() && stock.get(&third).is_some());
    }

    #[test]
    fn whoever_rests_gives_way_to_whoever_works() {
        let mut stock = Inflaters::new(2);
        let (working, _) = stock.take().unwrap();
        let (resting, _) = stock.take().unwrap();
        stock.rest(&resting);
        assert!(stock.resume(&resting));
        stock.rest(&resting);
        stock.take().unwrap();
        assert!(!stock.resume(&resting) && stock.get(&working).is_some());
    }

    #[test]
    fn what_came_back_is_lent_first() {
        let mut stock = Inflaters::new(2);
        let (first, _) = stock.take().unwrap();
        let (second, _) = stock.take().unwrap();
        stock.give_back(&second);
        stock.take().unwrap();
        assert!(stock.get(&first).is_some() && stock.get(&second).is_none());
    }

    #[test]
    fn an_empty_stock_lends_nothing() {
        assert!(Inflaters::new(0).take().is_none());
    }
}

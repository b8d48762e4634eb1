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
type Lent = LruCache<Number, Inflater, RandomState>;

/// The stock; each machine takes [`Inflater::MEMORY`].
pub struct Inflaters {
    limit: usize,
    /// In the middle of a message.
    working: Lent,
    /// Between messages.
    resting: Lent,
    idle: Vec<Inflater>,
    next: Number,
}

/// Stands for a machine that may change hands at any time. Lost with its connection, it leaves a
/// machine that nobody uses, and that goes to the next who asks.
#[derive(Debug)]
pub struct Ticket(Number);

impl Inflaters {
    /// At most `limit` machines.
    pub fn new(limit: usize) -> Self {
        let none = || LruCache::unbounded_with_hasher(RandomState::default());
        Self { limit, working: none(), resting: none(), idle: Vec::new(), next: Number::MIN }
    }

    /// Lends a machine for a message; `None` where there is none at all.
    pub fn take(&mut self) -> Option<(Ticket, &mut Inflater)> {
        let is_full = self.working.len() + self.resting.len() >= self.limit;
        let inflater = match self.idle.pop() {
            Some(idle) => idle,
            None if !is_full => Inflater::default(),
            None => self.resting.pop_lru().or_else(|| self.working.pop_lru())?.1,
        };
        self.next = self.next.saturating_add(1);
        Some((Ticket(self.next), self.working.get_or_insert_mut(self.next, || inflater)))
    }

    /// The machine in the middle of a message, unless somebody else has got it since.
    pub fn get(&mut self, ticket: &Ticket) -> Option<&mut Inflater> {
        self.working.get_mut(&ticket.0)
    }

    /// The message has ended.
    pub fn rest(&mut self, ticket: &Ticket) {
        if let Some(inflater) = self.working.pop(&ticket.0) {
            self.resting.push(ticket.0, inflater);
        }
    }

    /// The next message begins. False when somebody else has got the machine since.
    pub fn resume(&mut self, ticket: &Ticket) -> bool {
        let inflater = self.resting.pop(&ticket.0);
        inflater.map(|inflater| self.working.push(ticket.0, inflater)).is_some()
    }

    /// Takes a machine back.
    pub fn give_back(&mut self, ticket: &Ticket) {
        let Ticket(id) = ticket;
        self.idle.extend(self.working.pop(id).or_else(|| self.resting.pop(id)));
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

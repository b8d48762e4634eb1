//! The inflate machines of the directions that compress: a bounded stock.
//!
//! A direction keeps its machine from message to message, so that the window need not be loaded
//! each time, until another one wants it: the machine not used for longest changes hands first. So
//! nobody can hold the stock by leaving messages unfinished.

use foldhash::fast::RandomState;
use lru::LruCache;

use super::deflate::Inflater;

/// The stock; each machine takes [`Inflater::MEMORY`].
pub struct Inflaters {
    limit: usize,
    lent: LruCache<u64, Inflater, RandomState>,
    idle: Vec<Inflater>,
    next: u64,
}

/// Stands for a machine that may change hands at any time. Lost with its connection, it leaves a
/// machine that nobody uses, and that goes to the next who asks.
#[derive(Debug)]
pub struct Ticket(u64);

impl Inflaters {
    /// At most `limit` machines.
    pub fn new(limit: usize) -> Self {
        let lent = LruCache::unbounded_with_hasher(RandomState::default());
        Self { limit, lent, idle: Vec::new(), next: 0 }
    }

    /// Lends a machine; `None` where there is none at all.
    pub fn take(&mut self) -> Option<(Ticket, &mut Inflater)> {
        let inflater = match self.idle.pop() {
            Some(idle) => idle,
            None if self.lent.len() < self.limit => Inflater::default(),
            None => self.lent.pop_lru()?.1,
        };
        self.next += 1;
        Some((Ticket(self.next), self.lent.get_or_insert_mut(self.next, || inflater)))
    }

    /// The machine, unless somebody else has got it since.
    pub fn get(&mut self, ticket: &Ticket) -> Option<&mut Inflater> {
        self.lent.get_mut(&ticket.0)
    }

    /// Takes a machine back.
    pub fn give_back(&mut self, ticket: &Ticket) {
        self.idle.extend(self.lent.pop(&ticket.0));
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

//! The inflate machines of the messages in progress: a bounded stock.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::deflate::Inflater;

/// The stock; each machine takes [`Inflater::MEMORY`].
pub struct Inflaters {
    idle: Vec<Inflater>,
    free: Arc<AtomicUsize>,
}

/// A machine on loan. Dropped with its connection, it makes room for another.
pub struct Loan {
    inflater: Option<Inflater>,
    free: Arc<AtomicUsize>,
}

impl Inflaters {
    /// At most `limit` machines at a time.
    pub fn new(limit: usize) -> Self {
        Self { idle: Vec::new(), free: Arc::new(AtomicUsize::new(limit)) }
    }

    /// Lends a machine, if there is one left.
    pub fn take(&mut self) -> Option<Loan> {
        // One thread decodes; the counter is shared only with its own loans.
        let free = self.free.load(Ordering::Relaxed).checked_sub(1)?;
        self.free.store(free, Ordering::Relaxed);
        Some(Loan { inflater: self.idle.pop(), free: Arc::clone(&self.free) })
    }

    /// Takes a machine back, to be lent again.
    pub fn give_back(&mut self, mut loan: Loan) {
        self.idle.extend(loan.inflater.take());
    }
}

impl Loan {
    /// The machine.
    pub fn inflater(&mut self) -> &mut Inflater {
        self.inflater.get_or_insert_default()
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.free.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loans_are_bounded_and_come_back_either_way() {
        let mut stock = Inflaters::new(2);
        let (first, second) = (stock.take().unwrap(), stock.take().unwrap());
        assert!(stock.take().is_none());
        drop(first);
        stock.give_back(second);
        assert!(stock.take().is_some());
    }
}

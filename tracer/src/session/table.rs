//! Values by flow, in the order in which they were last used. The owner decides what goes.
//!
//! A segment that is looked up should wait for as little memory as can be: the order is in a dense
//! list of its own, eight bytes an entry, so that moving an entry touches no other's value; a key
//! and what is first in its value share a cache line; and growing moves no value.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::flow::FlowKey;

/// Slots that are allocated at a time: so many that the list of pages is short, and in the caches.
/// Memory that is not used yet is the system's.
const PAGE: usize = 1024;
/// No place.
const NONE: Place = Place::MAX;

/// Where an entry is, as long as it is there.
pub(super) type Place = u32;

/// A value and its key, on cache lines of their own.
#[repr(C, align(64))]
struct Slot<V> {
    key: FlowKey,
    /// `None`: the slot is free.
    value: Option<V>,
}

/// An entry's neighbours in the order of use. Free slots are a list too, by `older`.
#[derive(Clone, Copy)]
struct Links {
    newer: Place,
    older: Place,
}

/// The table.
pub(super) struct Table<V> {
    hasher: RandomState,
    index: HashTable<Place>,
    pages: Vec<Vec<Slot<V>>>,
    /// One for each slot.
    links: Vec<Links>,
    newest: Place,
    oldest: Place,
    free: Place,
}

impl<V> Table<V> {
    /// Nothing is allocated yet.
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::default(),
            index: HashTable::new(),
            pages: Vec::new(),
            links: Vec::new(),
            newest: NONE,
            oldest: NONE,
            free: NONE,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    fn find(&self, key: &FlowKey) -> Option<Place> {
        let is_it = |&place: &Place| slot(&self.pages, place).key == *key;
        self.index.find(self.hasher.hash_one(key), is_it).copied()
    }

    pub(super) fn contains(&self, key: &FlowKey) -> bool {
        self.find(key).is_some()
    }

    /// The value, which is the newest from now on.
    pub(super) fn get_mut(&mut self, key: &FlowKey) -> Option<&mut V> {
        let place = self.find(key)?;
        if place != self.newest {
            self.detach(place);
            self.attach(place);
        }
        slot_mut(&mut self.pages, place).value.as_mut()
    }

    /// The value; the order stays.
    pub(super) fn peek(&self, key: &FlowKey) -> Option<&V> {
        slot(&self.pages, self.find(key)?).value.as_ref()
    }

    /// The value; the order stays.
    pub(super) fn peek_mut(&mut self, key: &FlowKey) -> Option<&mut V> {
        let place = self.find(key)?;
        slot_mut(&mut self.pages, place).value.as_mut()
    }

    /// Puts a value there as the newest, in the place of one with the same key.
    pub(super) fn push(&mut self, key: FlowKey, value: V) {
        if let Some(known) = self.get_mut(&key) {
            *known = value;
            return;
        }
        let place = self.put(Slot { key, value: Some(value) });
        let Self { hasher, index, pages, .. } = self;
        let rehash = |&place: &Place| hasher.hash_one(slot(pages, place).key);
        index.insert_unique(hasher.hash_one(key), place, rehash);
        self.attach(place);
    }

    pub(super) fn pop(&mut self, key: &FlowKey) -> Option<V> {
        let Self { hasher, index, pages, .. } = self;
        let is_it = |&place: &Place| slot(pages, place).key == *key;
        let (place, _) = index.find_entry(hasher.hash_one(key), is_it).ok()?.remove();
        let value = slot_mut(pages, place).value.take();
        self.detach(place);
        self.links[place as usize].older = self.free;
        self.free = place;
        value
    }

    pub(super) fn peek_lru(&self) -> Option<(&FlowKey, &V)> {
        let Slot { key, value } = slot(&self.pages, self.oldest()?);
        Some((key, value.as_ref()?))
    }

    pub(super) fn pop_lru(&mut self) -> Option<(FlowKey, V)> {
        let key = slot(&self.pages, self.oldest()?).key;
        Some((key, self.pop(&key)?))
    }

    /// Where the value is that was not used for longest.
    pub(super) fn oldest(&self) -> Option<Place> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// Where the one is that was used next.
    pub(super) fn newer(&self, place: Place) -> Option<Place> {
        let newer = self.links[place as usize].newer;
        (newer != NONE).then_some(newer)
    }

    pub(super) fn at_mut(&mut self, place: Place) -> Option<&mut V> {
        slot_mut(&mut self.pages, place).value.as_mut()
    }

    /// The keys that are such.
    pub(super) fn keys_of(&self, is_such: impl Fn(&FlowKey) -> bool) -> Vec<FlowKey> {
        self.iter().map(|(key, _)| *key).filter(|key| is_such(key)).collect()
    }

    /// All of it, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&FlowKey, &V)> {
        let slots = self.pages.iter().flatten();
        slots.filter_map(|slot| Some((&slot.key, slot.value.as_ref()?)))
    }

    /// Puts an entry into a free slot.
    fn put(&mut self, entry: Slot<V>) -> Place {
        if self.free != NONE {
            let place = self.free;
            self.free = self.links[place as usize].older;
            *slot_mut(&mut self.pages, place) = entry;
            return place;
        }
        let place = self.links.len();
        self.links.push(Links { newer: NONE, older: NONE });
        match self.pages.last_mut() {
            Some(page) if page.len() < PAGE => page.push(entry),
            _ => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(entry);
                self.pages.push(page);
            }
        }
        place as Place
    }

    fn detach(&mut self, place: Place) {
        let Links { newer, older } = self.links[place as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.links[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.links[older as usize].newer = newer,
        }
    }

    fn attach(&mut self, place: Place) {
        self.links[place as usize] = Links { newer: NONE, older: self.newest };
        match self.newest {
            NONE => self.oldest = place,
            newest => self.links[newest as usize].newer = place,
        }
        self.newest = place;
    }
}

fn slot<V>(pages: &[Vec<Slot<V>>], place: Place) -> &Slot<V> {
    &pages[place as usize / PAGE][place as usize % PAGE]
}

fn slot_mut<V>(pages: &mut [Vec<Slot<V>>], place: Place) -> &mut Slot<V> {
    &mut pages[place as usize / PAGE][place as usize % PAGE]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{segment::Endpoint, test_random::Random};

    fn key(n: u64) -> FlowKey {
        let end = Endpoint { address: [7; 16], port: n as u16 };
        FlowKey { ends: [end, end] }
    }

    /// The same, entry by entry, the newest last.
    #[derive(Default)]
    struct Model(Vec<(FlowKey, u64)>);

    impl Model {
        fn pop(&mut self, key: &FlowKey) -> Option<u64> {
            let at = self.0.iter().position(|(other, _)| other == key)?;
            Some(self.0.remove(at).1)
        }

        fn touch(&mut self, key: &FlowKey) -> Option<u64> {
            let value = self.pop(key)?;
            self.0.push((*key, value));
            Some(value)
        }
    }

    fn in_order(table: &mut Table<u64>) -> Vec<u64> {
        let mut values = Vec::new();
        let mut next = table.oldest();
        while let Some(place) = next {
            values.extend(table.at_mut(place).copied());
            next = table.newer(place);
        }
        values
    }

    #[test]
    fn it_does_what_the_model_does() {
        let mut random = Random::new(11);
        for keys in [1, 3, 70, 400] {
            let (mut table, mut model) = (Table::new(), Model::default());
            for step in 0..3000 {
                let key = key(random.below(keys));
                match random.below(8) {
                    0..4 => {
                        model.pop(&key);
                        model.0.push((key, step));
                        table.push(key, step);
                    }
                    4 => assert_eq!(table.pop(&key), model.pop(&key)),
                    5 => assert_eq!(table.get_mut(&key).copied(), model.touch(&key)),
                    6 => {
                        let oldest =
                            if model.0.is_empty() { None } else { Some(model.0.remove(0)) };
                        assert_eq!(table.pop_lru(), oldest);
                    }
                    _ => {
                        let known = model.0.iter().find(|(other, _)| *other == key);
                        assert_eq!(table.peek(&key), known.map(|(_, value)| value));
                        assert_eq!(table.peek_mut(&key).copied(), table.peek(&key).copied());
                        assert_eq!(table.contains(&key), known.is_some());
                    }
                }
                assert_eq!((table.len(), table.is_empty()), (model.0.len(), model.0.is_empty()));
                assert_eq!(table.peek_lru(), model.0.first().map(|(key, value)| (key, value)));
            }
            let expected: Vec<_> = model.0.iter().map(|(_, value)| *value).collect();
            assert_eq!(in_order(&mut table), expected);
            let mut all: Vec<_> = table.iter().map(|(_, value)| *value).collect();
            all.sort_unstable();
            let mut expected = expected;
            expected.sort_unstable();
            assert_eq!(all, expected);
        }
    }

    #[test]
    fn what_goes_leaves_its_place_to_what_comes() {
        let mut table = Table::new();
        for n in 0..10 * PAGE as u64 {
            table.push(key(n), n);
            assert_eq!(table.pop_lru(), Some((key(n), n)));
        }
        assert_eq!((table.pages.len(), table.links.len()), (1, 1));
    }
}

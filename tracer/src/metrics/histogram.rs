//! Histograms: whole numbers of a small unit come in, counts by fixed buckets and a sum come out. The
//! bounds are part of the documented metrics: they never change while a run goes on.

/// Microseconds: from the loopback interface to a peer that has to think.
pub const TIMES: [u64; 19] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000,
    500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// Bytes: powers of four, 16 B to 64 MiB.
pub const SIZES: [u64; 12] = [
    1 << 4,
    1 << 6,
    1 << 8,
    1 << 10,
    1 << 12,
    1 << 14,
    1 << 16,
    1 << 18,
    1 << 20,
    1 << 22,
    1 << 24,
    1 << 26,
];

/// Millionths of a ring buffer.
pub const FILLS: [u64; 9] =
    [1_000, 10_000, 50_000, 100_000, 250_000, 500_000, 750_000, 900_000, 1_000_000];

/// How often values were at most as large as each of `N` bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<const N: usize> {
    bounds: &'static [u64; N],
    /// Values at most as large as the bound, and larger than the one before.
    buckets: [u64; N],
    above: u64,
    sum: u64,
}

impl<const N: usize> Histogram<N> {
    /// Nothing observed. The bounds grow.
    pub const fn new(bounds: &'static [u64; N]) -> Self {
        Self { bounds, buckets: [0; N], above: 0, sum: 0 }
    }

    /// Counts a value.
    pub fn observe(&mut self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        *self.buckets.get_mut(bucket).unwrap_or(&mut self.above) += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// Adds what another one with the same bounds has counted.
    pub fn add(&mut self, other: &Self) {
        let Self { bounds: _, buckets, above, sum } = other;
        self.buckets.iter_mut().zip(buckets).for_each(|(all, part)| *all += part);
        self.above += above;
        self.sum = self.sum.saturating_add(*sum);
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum::<u64>() + self.above
    }

    /// The sum of the values.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Each bound and how many values are in its bucket alone; `None` is above the last bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounded = self.bounds.iter().map(|bound| Some(*bound)).zip(self.buckets);
        bounded.chain([(None, self.above)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts<const N: usize>(histogram: &Histogram<N>) -> Vec<u64> {
        histogram.buckets().map(|(_, count)| count).collect()
    }

    #[test]
    fn a_bound_is_in_its_own_bucket() {
        let mut histogram = Histogram::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21, 1 << 40] {
            histogram.observe(value);
        }
        assert_eq!(counts(&histogram), [2, 2, 2]);
        assert_eq!((histogram.count(), histogram.sum()), (6, 62 + (1 << 40)));
    }

    #[test]
    fn parts_add_up() {
        let (mut one, mut other) = (Histogram::new(&TIMES), Histogram::new(&TIMES));
        one.observe(7);
        one.observe(u64::MAX);
        other.observe(26);
        one.add(&other);
        assert_eq!(one.count(), 3);
        assert_eq!(one.sum(), u64::MAX, "it does not wrap around");
        assert_eq!(counts(&one)[..3], [1, 0, 1]);
    }

    #[test]
    fn bounds_grow() {
        assert!(TIMES.is_sorted_by(|a, b| a < b));
        assert!(SIZES.is_sorted_by(|a, b| a < b));
        assert!(FILLS.is_sorted_by(|a, b| a < b));
    }
}

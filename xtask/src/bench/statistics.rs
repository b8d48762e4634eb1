//! Numbers out of many numbers that scatter.

use serde::{Deserialize, Serialize};

/// A median, and the quartiles around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) high: f64,
}

impl Spread {
    /// `None` of no numbers.
    pub(super) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let numbers: Vec<_> = numbers.into_iter().collect();
        let [low, median, high] = quantiles(numbers, [0.25, 0.5, 0.75])?;
        Some(Self { low, median, high })
    }
}

/// The median, `None` of no numbers.
pub(super) fn median(numbers: impl IntoIterator<Item = f64>) -> Option<f64> {
    Spread::of(numbers).map(|spread| spread.median)
}

/// Quantiles, interpolated between the numbers next to them; `None` of no numbers.
pub(super) fn quantiles<const N: usize>(mut numbers: Vec<f64>, at: [f64; N]) -> Option<[f64; N]> {
    numbers.sort_by(f64::total_cmp);
    let last = numbers.len().checked_sub(1)?;
    Some(at.map(|share| {
        let place = share * last as f64;
        let below = numbers[place.floor() as usize];
        let above = numbers[(place.ceil() as usize).min(last)];
        below + (above - below) * place.fract()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_the_numbers() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).expect("numbers");
        assert_eq!(spread, Spread { low: 1.75, median: 2.5, high: 3.25 });
        let spread = Spread::of([7.0]).expect("a number");
        assert_eq!(spread, Spread { low: 7.0, median: 7.0, high: 7.0 });
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn one_percent_of_many_is_above_the_99th() {
        let numbers = (0..=1000).map(f64::from).collect();
        assert_eq!(quantiles(numbers, [0.5, 0.99]), Some([500.0, 990.0]));
    }
}

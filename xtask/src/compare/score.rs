//! What was said and what a tool shows come in; how much of it is right, wrong and missing goes
//! out.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, Range},
};

use super::said::{Group, Item, Said};

/// Of messages, or of control frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Score {
    /// Shown as it was sent, in its place.
    pub(super) right: usize,
    /// Shown as if whole, with another payload or opcode, or never sent at all.
    pub(super) wrong: usize,
    /// Not shown.
    pub(super) missing: usize,
}

/// Scores the messages, and the control frames.
pub(super) fn score(sent: &Said, shown: &Said) -> (Score, Score) {
    let keys = || sent.0.keys().chain(shown.0.keys().filter(|key| !sent.0.contains_key(key)));
    let of = |key| {
        let items = |said: &'_ Said| said.0.get(key).cloned().unwrap_or_default();
        compare(&items(sent), &items(shown))
    };
    let messages = keys().filter(|(_, group)| *group == Group::Messages).map(of).sum();
    let control = keys().filter(|(_, group)| *group != Group::Messages).map(of).sum();
    (messages, control)
}

/// Right is the longest common subsequence. Between two that are right, what is shown stands for
/// what was sent there, wrongly; what is shown beyond that was never sent.
fn compare(sent: &[Item], shown: &[Item]) -> Score {
    let same = |(a, b): &(&Item, &Item)| a == b;
    let first = sent.iter().zip(shown).take_while(same).count();
    let (sent, shown) = (&sent[first..], &shown[first..]);
    let last = sent.iter().rev().zip(shown.iter().rev()).take_while(same).count();
    let (sent, shown) = (&sent[..sent.len() - last], &shown[..shown.len() - last]);
    let between = gaps(sent, shown).into_iter().map(|(sent, shown)| Score {
        right: 0,
        wrong: shown.len(),
        missing: sent.len().saturating_sub(shown.len()),
    });
    let right = first + last + longest(sent, shown)[0][0] as usize;
    between.sum::<Score>() + Score { right, wrong: 0, missing: 0 }
}

/// The length of the longest common subsequence of each pair of ends.
fn longest(a: &[Item], b: &[Item]) -> Vec<Vec<u32>> {
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i][j] = if a[i] == b[j] {
                table[i + 1][j + 1] + 1
            } else {
                table[i + 1][j].max(table[i][j + 1])
            };
        }
    }
    table
}

/// What lies between the members of the longest common subsequence, on both sides.
fn gaps(a: &[Item], b: &[Item]) -> Vec<(Range<usize>, Range<usize>)> {
    let table = longest(a, b);
    let (mut i, mut j, mut since) = (0, 0, (0, 0));
    let mut gaps = Vec::new();
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            gaps.push((since.0..i, since.1..j));
            (i, j) = (i + 1, j + 1);
            since = (i, j);
        } else if table[i + 1][j] >= table[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    gaps.push((since.0..a.len(), since.1..b.len()));
    gaps
}

impl Add for Score {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            right: self.right + other.right,
            wrong: self.wrong + other.wrong,
            missing: self.missing + other.missing,
        }
    }
}

impl Sum for Score {
    fn sum<I: Iterator<Item = Self>>(scores: I) -> Self {
        scores.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { right, wrong, missing } = self;
        write!(f, "{right} / {wrong} / {missing}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::said::{CLOSE, PING, Sender, TEXT};

    fn items(letters: &str) -> Vec<Item> {
        letters.bytes().map(|letter| Item::new(TEXT, &[letter])).collect()
    }

    fn scored(sent: &str, shown: &str) -> (usize, usize, usize) {
        let Score { right, wrong, missing } = compare(&items(sent), &items(shown));
        (right, wrong, missing)
    }

    #[test]
    fn each_message_is_right_wrong_or_missing() {
        assert_eq!(scored("abc", "abc"), (3, 0, 0));
        assert_eq!(scored("abc", ""), (0, 0, 3));
        assert_eq!(scored("abcd", "abd"), (3, 0, 1));
        assert_eq!(scored("abcd", "aXcd"), (3, 1, 0));
        assert_eq!(scored("abcd", "aXd"), (2, 1, 1));
        assert_eq!(scored("abcdef", "bdXf"), (3, 1, 2));
    }

    #[test]
    fn what_was_never_sent_is_wrong_and_so_is_another_order() {
        assert_eq!(scored("", "a"), (0, 1, 0));
        assert_eq!(scored("ab", "abXY"), (2, 2, 0));
        assert_eq!(scored("ab", "ba"), (1, 1, 1));
        assert_eq!(scored("aa", "aaa"), (2, 1, 0));
    }

    #[test]
    fn messages_and_control_frames_of_all_senders_are_added_up() {
        let [one, other] = [1, 2].map(|client| Sender { client, is_client: true });
        let (mut sent, mut shown) = (Said::default(), Said::default());
        sent.push(one, Item::new(TEXT, b"a"));
        sent.push(one, Item::new(PING, b""));
        shown.push(one, Item::new(PING, b""));
        shown.push(other, Item::new(TEXT, b"a"));
        shown.push(other, Item::new(CLOSE, b""));
        let (messages, control) = score(&sent, &shown);
        assert_eq!(messages, Score { right: 0, wrong: 1, missing: 1 });
        assert_eq!(control, Score { right: 1, wrong: 1, missing: 0 });
    }
}

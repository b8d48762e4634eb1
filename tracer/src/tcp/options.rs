//! TCP options, written as tcpdump writes them.

use std::fmt;

/// The options of a segment as on the wire; prints as `mss 65495,sackOK,TS val 1 ecr 2,nop,wscale 7`.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a>(pub &'a [u8]);

/// One option, its length byte checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item<'a> {
    End,
    Nop,
    Other {
        kind: u8,
        data: &'a [u8],
    },
    /// A length that lies outside the options.
    Malformed,
}

impl<'a> Options<'a> {
    fn items(self) -> impl Iterator<Item = Item<'a>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (item, after) = split_first(rest)?;
            rest = after;
            Some(item)
        })
    }
}

fn split_first(options: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (&kind, rest) = options.split_first()?;
    Some(match kind {
        0 => (Item::End, &[]),
        1 => (Item::Nop, rest),
        _ => split_sized(kind, rest).unwrap_or((Item::Malformed, &[])),
    })
}

fn split_sized(kind: u8, rest: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (&len, rest) = rest.split_first()?;
    let (data, rest) = rest.split_at_checked(usize::from(len).checked_sub(2)?)?;
    Some((Item::Other { kind, data }, rest))
}

impl fmt::Display for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, item) in self.items().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Item::End => f.write_str("eol"),
            Item::Nop => f.write_str("nop"),
            Item::Malformed => f.write_str("[bad opt]"),
            Item::Other { kind, data } => write_known(f, kind, data),
        }
    }
}

/// Names after the IANA registry "TCP Option Kind Numbers", spelling after tcpdump(1).
fn write_known(f: &mut fmt::Formatter<'_>, kind: u8, data: &[u8]) -> fmt::Result {
    match (kind, data) {
        (2, &[a, b]) => write!(f, "mss {}", u16::from_be_bytes([a, b])),
        (3, &[shift]) => write!(f, "wscale {shift}"),
        (4, []) => f.write_str("sackOK"),
        (5, blocks) if !blocks.is_empty() && blocks.len() % 8 == 0 => write_sack(f, blocks),
        (8, &[a, b, c, d, e, g, h, i]) => {
            let (value, echo) =
                (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, g, h, i]));
            write!(f, "TS val {value} ecr {echo}")
        }
        (19, _) => f.write_str("md5"),
        (30, _) => f.write_str("mptcp"),
        (34, _) => f.write_str("tfo"),
        _ => write!(f, "unknown-{kind}"),
    }
}

fn write_sack(f: &mut fmt::Formatter<'_>, blocks: &[u8]) -> fmt::Result {
    write!(f, "sack {} ", blocks.len() / 8)?;
    for block in blocks.as_chunks::<8>().0 {
        let [a, b, c, d, e, g, h, i] = *block;
        let (left, right) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, g, h, i]));
        write!(f, "{{{left}:{right}}}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        Options(bytes).to_string()
    }

    #[test]
    fn the_reference_session_reads_as_tcpdump_prints_it() {
        let syn = [
            2, 4, 0x40, 0x0c, 4, 2, 8, 10, 0x01, 0xb5, 0x9d, 0xf2, 0x01, 0xb5, 0x9d, 0x82, 1, 3, 3,
            7,
        ];
        assert_eq!(text(&syn), "mss 16396,sackOK,TS val 28679666 ecr 28679554,nop,wscale 7");
    }

    #[test]
    fn selective_acknowledgments() {
        assert_eq!(text(&[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9]), "nop,nop,sack 1 {1:9}");
    }

    #[test]
    fn lengths_that_lie_end_the_list() {
        assert_eq!(text(&[1, 2, 40, 0]), "nop,[bad opt]");
        assert_eq!(text(&[8, 1]), "[bad opt]");
        assert_eq!(text(&[8]), "[bad opt]");
        assert_eq!(text(&[2, 3, 1]), "unknown-2");
        assert_eq!(text(&[0, 9, 9]), "eol");
    }
}

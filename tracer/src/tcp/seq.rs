//! Sequence number arithmetic (RFC 9293 section 3.4): 32 bits that wrap around.

/// How far `b` is after `a`, negative where it is before: right as long as both are less than
/// 2^31 bytes apart.
pub fn distance(a: u32, b: u32) -> i32 {
    b.wrapping_sub(a).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_wrap_around() {
        assert_eq!(distance(10, 15), 5);
        assert_eq!(distance(15, 10), -5);
        assert_eq!(distance(u32::MAX - 1, 3), 5);
        assert_eq!(distance(3, u32::MAX - 1), -5);
        assert_eq!(distance(0, 0x7fff_ffff), i32::MAX);
    }
}

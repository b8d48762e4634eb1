//! Numbers and addresses as text, appended to a buffer: several of them are in every line, and
//! `core::fmt` takes ten times the instructions.

use std::{io::Write as _, net::SocketAddr};

use crate::segment::Endpoint;

/// Appends a number.
#[inline(always)]
pub(super) fn push(number: u64, buffer: &mut Vec<u8>) {
    if number < 10 {
        return buffer.push(b'0' + number as u8);
    }
    if number >= 10_000 {
        return push_large(number, buffer);
    }
    // Four digits, the zeros before them shifted out.
    let ([a, b], [c, d]) = (pair(number as u32 / 100), pair(number as u32 % 100));
    let digits = u32::from_le_bytes([a, b, c, d]);
    let zeros = (digits ^ u32::from_le_bytes(*b"0000")).trailing_zeros() / 8;
    let end = buffer.len() + 4 - zeros as usize;
    buffer.extend_from_slice(&(digits >> (8 * zeros)).to_le_bytes());
    buffer.truncate(end);
}

/// Apart, for the room that it takes on the stack.
#[inline(never)]
fn push_large(number: u64, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The last `N` digits of a number, zeros included.
#[inline]
pub(super) fn fixed<const N: usize>(mut number: u32) -> [u8; N] {
    let mut digits = [b'0'; N];
    let (first, pairs) = digits.as_rchunks_mut::<2>();
    for digits in pairs.iter_mut().rev() {
        *digits = pair(number);
        number /= 100;
    }
    if let [first] = first {
        *first = b'0' + (number % 10) as u8;
    }
    digits
}

/// The last two digits.
fn pair(number: u32) -> [u8; 2] {
    PAIRS[(number % 100) as usize]
}

/// The digits of the numbers below a hundred.
static PAIRS: [[u8; 2]; 100] = {
    let mut table = [[0; 2]; 100];
    let mut number = 0;
    while number < table.len() {
        table[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    table
};

/// Appends an endpoint, as it displays.
pub(super) fn push_endpoint(endpoint: Endpoint, buffer: &mut Vec<u8>) {
    match endpoint.socket_addr() {
        SocketAddr::V4(v4) => {
            let (text, len) = dotted(v4.ip().octets());
            buffer.extend_from_slice(&text[..len]);
            push(u64::from(v4.port()), buffer);
        }
        v6 @ SocketAddr::V6(_) => {
            let result = write!(buffer, "{v6}");
            debug_assert!(result.is_ok(), "a Vec takes everything");
        }
    }
}

/// `127.0.0.1:` and its length.
fn dotted(octets: [u8; 4]) -> ([u8; 16], usize) {
    let (mut text, mut len) = ([0; 16], 0);
    for octet in octets {
        let (digits, count) = OCTETS[usize::from(octet)];
        // Four bytes whatever the count: the next octet overwrites what is too much.
        text[len..len + 4].copy_from_slice(&digits);
        len += usize::from(count);
    }
    text[len - 1] = b':';
    (text, len)
}

/// Each octet with a dot behind it, and how many characters that is.
static OCTETS: [([u8; 4], u8); 256] = {
    let mut table = [([0; 4], 0); 256];
    let mut octet = 0;
    while octet < table.len() {
        let [hundreds, tens, ones] = [octet / 100, octet / 10 % 10, octet % 10];
        let [h, t, o] = [b'0' + hundreds as u8, b'0' + tens as u8, b'0' + ones as u8];
        table[octet] = match octet {
            0..10 => ([o, b'.', 0, 0], 2),
            10..100 => ([t, o, b'.', 0], 3),
            _ => ([h, t, o, b'.'], 4),
        };
        octet += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut buffer = b"> ".to_vec();
        push(&mut buffer);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn numbers_are_decimal() {
        for number in (0..20_000).chain([u64::MAX]) {
            assert_eq!(pushed(|buffer| push(number, buffer)), format!("> {number}"));
        }
        assert_eq!(fixed(42), *b"000042");
        assert_eq!(fixed(123_456_789), *b"123456789");
        assert_eq!(fixed(1_999_999_999), *b"999999999");
    }

    #[test]
    fn endpoints_are_written_as_they_display() {
        for text in [
            "0.0.0.0:1",
            "10.200.9.99:65535",
            "255.255.255.255:10",
            "[::1]:7272",
            "[2001:db8::1:0:7]:80",
        ] {
            let endpoint = Endpoint::from(text.parse::<SocketAddr>().unwrap());
            assert_eq!(pushed(|buffer| push_endpoint(endpoint, buffer)), format!("> {text}"));
        }
    }
}

//! Numbers and addresses as text, appended to a buffer: several of them are in every line, and
//! `core::fmt` takes ten times the instructions.

use std::{io::Write as _, net::SocketAddr};

use crate::segment::Endpoint;

/// Appends a number.
pub(super) fn push(number: u64, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends the last `N` digits of a number, zeros included.
pub(super) fn push_fixed<const N: usize>(mut number: u64, buffer: &mut Vec<u8>) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    buffer.extend_from_slice(&digits);
}

/// Appends an endpoint, as it displays.
pub(super) fn push_endpoint(endpoint: Endpoint, buffer: &mut Vec<u8>) {
    match endpoint.socket_addr() {
        SocketAddr::V4(v4) => {
            for (octet, after) in v4.ip().octets().into_iter().zip(*b"...:") {
                push(u64::from(octet), buffer);
                buffer.push(after);
            }
            push(u64::from(v4.port()), buffer);
        }
        v6 @ SocketAddr::V6(_) => {
            let result = write!(buffer, "{v6}");
            debug_assert!(result.is_ok(), "a Vec takes everything");
        }
    }
}

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
        assert_eq!(pushed(|buffer| push(0, buffer)), "> 0");
        assert_eq!(pushed(|buffer| push(u64::MAX, buffer)), "> 18446744073709551615");
        assert_eq!(pushed(|buffer| push_fixed::<6>(42, buffer)), "> 000042");
        assert_eq!(pushed(|buffer| push_fixed::<9>(999_999_999, buffer)), "> 999999999");
    }

    #[test]
    fn endpoints_are_written_as_they_display() {
        for text in ["0.0.0.0:1", "10.200.0.255:65535", "[::1]:7272", "[2001:db8::1:0:7]:80"] {
            let endpoint = Endpoint::from(text.parse::<SocketAddr>().unwrap());
            assert_eq!(pushed(|buffer| push_endpoint(endpoint, buffer)), format!("> {text}"));
        }
    }
}

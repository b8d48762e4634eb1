//! A test for each family, with the number of its cases. Each test program has its own way to check
//! that the tracer agrees with a family.

use crate::{agrees, cases};

#[test]
fn family_1_framing() {
    agrees(&cases::framing::cases(), 16);
}

#[test]
fn family_2_pings() {
    agrees(&cases::pings::cases(), 11);
}

#[test]
fn family_3_reserved_bits() {
    agrees(&cases::reserved::bits(), 7);
}

#[test]
fn family_4_reserved_opcodes() {
    agrees(&cases::reserved::opcodes(), 10);
}

#[test]
fn family_5_fragmentation() {
    agrees(&cases::fragmentation::cases(), 20);
}

/// Autobahn has 145; the four of 6.4 are here in both ways that it accepts.
#[test]
fn family_6_utf8() {
    agrees(&cases::utf8::cases(), 149);
}

#[test]
fn family_7_closing() {
    agrees(&cases::closing::cases(), 37);
}

#[test]
fn family_9_limits() {
    agrees(&cases::limits::cases(), 54);
}

#[test]
fn family_10_auto_fragmentation() {
    agrees(&cases::limits::auto_fragmentation(), 1);
}

#[test]
fn family_12_compressed_payloads() {
    agrees(&cases::compression::payloads(), 90);
}

#[test]
fn family_13_compression_parameters() {
    agrees(&cases::compression::parameters(), 126);
}

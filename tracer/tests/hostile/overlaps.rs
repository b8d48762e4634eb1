//! Segments that overlap in every way, and tell different stories.

use std::collections::BTreeMap;

use crate::{
    capture::{Extension, Flow, Side},
    frames::text,
    run::run,
};

const TRUE: &[u8; 12] = b"abcdefghijkl";
const FORGED: &[u8; 12] = b"ABCDEFGHIJKL";
/// A server's header of a short frame.
const HEADER: usize = 2;

/// The stretches `from..to` of a payload.
fn stretches() -> impl Iterator<Item = (usize, usize)> {
    (0..TRUE.len()).flat_map(|from| (from + 1..=TRUE.len()).map(move |to| (from, to)))
}

/// For each two stretches: one comes early and waits, a forged one comes over it, then the true
/// whole. The first copy of each byte counts, and where two differ, that is told.
#[test]
fn each_stretch_over_each_other() {
    let pairs: Vec<_> = stretches().flat_map(|a| stretches().map(move |b| (a, b))).collect();
    let mut expected = BTreeMap::new();
    let run = run(&[], |to| {
        for (n, ((from, until), (forged_from, forged_until))) in pairs.into_iter().enumerate() {
            let mut flow = Flow::new(n as u32);
            flow.open(Extension::None, to)?;
            let true_frame = text(Side::Server, str::from_utf8(TRUE).expect("ASCII"));
            let forged = &FORGED[forged_from..forged_until];
            flow.at(Side::Server, HEADER + from, &TRUE[from..until], to)?;
            flow.at(Side::Server, HEADER + forged_from, forged, to)?;
            flow.server(&true_frame, to)?;
            let mut told = *TRUE;
            told[forged_from..forged_until].copy_from_slice(forged);
            told[from..until].copy_from_slice(&TRUE[from..until]);
            expected.insert(flow.name(), String::from_utf8(told.to_vec()).expect("ASCII"));
        }
        Ok(())
    });
    let shown: BTreeMap<_, _> = run
        .of_kind("ws.message")
        .map(|event| (event.text("client").expect("a client"), event.text("text").expect("a text")))
        .collect();
    assert_eq!(shown.len(), expected.len());
    for (client, text) in &expected {
        assert_eq!(shown.get(&**client), Some(&&**text), "{client}");
    }
    // Wherever a forged byte was shown, or hid behind a true one, somebody said so.
    let conflicts: Vec<_> = run.of_kind("tcp.conflict").filter_map(|e| e.text("client")).collect();
    for client in expected.keys() {
        assert!(conflicts.contains(&&**client), "{client}: two stories, and no word of it");
    }
    assert_eq!(run.count("gaps"), 0);
    run.peaks_below(48);
}

//! Compares what the tracer printed of each connection with what its case says.

use std::collections::BTreeMap;

use crate::{
    cases::Case,
    observed::{Conversation, Event, Item, conversations},
};

/// Events that say something is wrong with the capture, where nothing is.
const NEVER: [&str; 3] = ["gap", "not_websocket", "tcp.conflict"];

/// Checks a whole run: `clients` has the client's `ip:port` of each case. Panics with every
/// disagreement there is.
pub(crate) fn check(cases: &[Case], clients: &[String], events: &[Event]) {
    let shown = conversations(events);
    let mut by_client = BTreeMap::<_, Vec<_>>::new();
    for event in events {
        by_client.entry(event.text("client").unwrap_or_default()).or_default().push(event);
    }
    let mut wrong = Vec::new();
    for (case, client) in cases.iter().zip(clients) {
        let events = by_client.get(client.as_str()).map_or(&[][..], Vec::as_slice);
        let said = shown.get(client).cloned().unwrap_or_default();
        let found = disagreements(case, &said, events);
        wrong.extend(found.into_iter().map(|found| format!("{}: {found}", case.id)));
    }
    assert!(wrong.is_empty(), "{} disagreements\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with the events of one connection.
fn disagreements(case: &Case, shown: &Conversation, events: &[&Event]) -> Vec<String> {
    let mut wrong = Vec::new();
    wrong.extend(difference("client", &case.said.c2s, &shown.c2s));
    wrong.extend(difference("server", &case.said.s2c, &shown.s2c));
    wrong.extend(violations(case, events));
    wrong.extend(opening(events));
    if case.broken.is_empty() {
        wrong.extend(data_frames(case, events));
    }
    for message in of_kind(events, "ws.message") {
        if message.is("compressed") != case.compressed {
            wrong.push(format!("compressed or not: {message}"));
        }
    }
    let never = events.iter().filter(|event| NEVER.contains(&event.kind()));
    wrong.extend(never.map(ToString::to_string));
    wrong
}

fn of_kind<'a>(events: &'a [&Event], kind: &'a str) -> impl Iterator<Item = &'a Event> {
    events.iter().copied().filter(move |event| event.kind() == kind)
}

/// The first difference in one direction.
fn difference(from: &str, said: &[Item], shown: &[Item]) -> Option<String> {
    let longer = said.len().max(shown.len());
    let n = (0..longer).find(|&n| said.get(n) != shown.get(n))?;
    Some(format!(
        "{from}'s item {n}\n  said:  {:?}\n  shown: {:?}\n  {} said, {} shown in all",
        said.get(n),
        shown.get(n),
        said.len(),
        shown.len()
    ))
}

/// Every broken rule is named, in order, and no other one.
fn violations(case: &Case, events: &[&Event]) -> Option<String> {
    let broken: Vec<_> = case.broken.iter().map(|rule| ("client", rule.name())).collect();
    let text = |event: &Event, field| event.text(field).unwrap_or_default().to_owned();
    let named: Vec<_> = of_kind(events, "ws.violation")
        .map(|event| (text(event, "from"), text(event, "rule")))
        .collect();
    let is_same = named.iter().map(|(from, rule)| (&**from, &**rule)).eq(broken.iter().copied());
    (!is_same).then(|| format!("rules\n  broken: {broken:?}\n  named:  {named:?}"))
}

/// The upgrade was seen, once, and accepted.
fn opening(events: &[&Event]) -> Option<String> {
    let opened: Vec<_> = of_kind(events, "ws.open").collect();
    let is_right =
        |open: &&Event| open.is("accept_valid") && open.text("joined") == Some("handshake");
    let is_wrong = opened.len() != 1 || !opened.iter().all(is_right);
    is_wrong.then(|| {
        format!("opened {} times: {:?}", opened.len(), opened.first().map(ToString::to_string))
    })
}

/// Messages have as many frames as the client sent.
fn data_frames(case: &Case, events: &[&Event]) -> Option<String> {
    let messages = of_kind(events, "ws.message").filter(|e| e.text("from") == Some("client"));
    let frames: u64 = messages.filter_map(|message| message.number("frames")).sum();
    let sent = case.data_frames;
    (frames != sent).then(|| format!("{sent} data frames sent, {frames} counted"))
}

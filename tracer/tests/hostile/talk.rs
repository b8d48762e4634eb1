//! A well-behaved connection in the midst of hostile ones: what it said comes in, a panic comes out
//! if any of it is not shown.

use std::{collections::BTreeSet, io};

use crate::{
    capture::{Capture, Extension, Flow, Side},
    frames::text,
    observed::{Conversation, Conversations, Item, assert_same},
    run::Run,
};

/// A connection that says something now and then.
pub(crate) struct Talk {
    pub(crate) flow: Flow,
    said: Conversation,
}

impl Talk {
    /// Of a client with a number of its own.
    pub(crate) fn new() -> Self {
        Self { flow: Flow::new(0xff_ff_ff), said: Conversation::default() }
    }

    pub(crate) fn open(&mut self, to: &mut Capture<'_>) -> io::Result<()> {
        self.flow.open(Extension::None, to)
    }

    /// A message each way.
    pub(crate) fn speak(&mut self, to: &mut Capture<'_>) -> io::Result<()> {
        let n = self.said.c2s.len();
        let (asked, answered) = (format!("question {n}"), format!("answer {n}"));
        self.flow.client(&text(Side::Client, &asked), to)?;
        self.flow.server(&text(Side::Server, &answered), to)?;
        self.said.c2s.push(Item::new("text", asked.as_bytes()));
        self.said.s2c.push(Item::new("text", answered.as_bytes()));
        Ok(())
    }

    /// Everything was shown, in order, on one connection, and nothing else of it.
    #[track_caller]
    pub(crate) fn is_shown_by(&self, run: &Run) {
        let name = self.flow.name();
        assert!(!self.said.c2s.is_empty(), "it spoke");
        let mut shown = Conversation::default();
        let its = run.events.iter().filter(|event| event.text("client") == Some(&name));
        let numbers: BTreeSet<_> = its.clone().map(|event| event.number("conn")).collect();
        for event in its {
            let said = match event.text("from") {
                Some("client") => &mut shown.c2s,
                _ => &mut shown.s2c,
            };
            said.extend(event.item());
        }
        let [said, shown] =
            [&self.said, &shown].map(|all| Conversations::from([(name.clone(), all.clone())]));
        assert_same(&said, &shown);
        assert_eq!(numbers.len(), 1, "one connection");
    }
}

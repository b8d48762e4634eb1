//! Several ring buffers, each with a consumer of its own: who gets what, and that nobody can tell
//! from the events.

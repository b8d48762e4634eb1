//! Whole connections in virtual time: segments made here go in, events are compared.

mod bodies;
mod changing;
mod closing;
mod eliding;
mod joining;
mod limits;
mod talking;
mod together;
mod wire;

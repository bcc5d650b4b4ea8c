//! Decides which message starts next, and which messages have to wait. No function of this module calls a
//! service or is `async`.

mod keyed_change;
mod lanes;
mod leased;
mod line;
mod pace;

pub(crate) use keyed_change::KeyedChange;
pub(crate) use lanes::{Front, Lanes, PutBack};
pub(crate) use leased::{LaneKey, Leased};
pub(crate) use line::{Age, Line, Place};

//! Decides which message is next and which has to wait. No function in this module does I/O or awaits.

mod keyed_change;
mod lanes;
mod leased;
mod line;
mod pace;

pub(crate) use keyed_change::KeyedChange;
pub(crate) use lanes::{Front, Lanes, PutBack};
pub(crate) use leased::{LaneKey, Leased};
pub(crate) use line::{Age, Line, Place};

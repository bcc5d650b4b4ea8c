//! Which message has its turn, and which has to wait: pure, nothing in here awaits anything.

mod lanes;
mod leased;
mod line;
mod pace;

pub(crate) use lanes::{Front, Lanes, PutBack};
pub(crate) use leased::{LaneKey, Leased};
pub(crate) use line::{Age, Line, Place};

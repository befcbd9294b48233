//! Stub.

use super::{Observer, Shape};
use crate::event::Event;

pub(super) fn write(_: &Event, _: &Observer, _: Shape, _: &mut String) {}

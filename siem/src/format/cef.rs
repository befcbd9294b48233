//! Stub.

use super::Observer;
use crate::event::Event;

pub(super) fn write(_: &Event, _: &Observer, _: &mut String) {}

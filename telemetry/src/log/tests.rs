//! Lines stay lines.

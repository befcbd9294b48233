//! The rules: `promtool`'s checks and unit tests, and what every alert has to carry.

//! The engine, its journal and its guard, over a fleet of files.
//!
//! `cfg(test)` is always true here; it tells clippy that these modules are tests.

#[cfg(test)]
mod fake;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod property;
#[cfg(test)]
mod steps;

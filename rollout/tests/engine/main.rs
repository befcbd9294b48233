//! The engine, its journal and its guard, over a fleet of files.

mod fake;
mod faults;
mod guard;
mod kill;
mod property;
mod steps;

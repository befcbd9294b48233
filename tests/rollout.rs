//! Rollouts over real Envoys: hands for watched files, builds that do harm, and whole rollouts of each over a fleet.

mod bad_builds;
mod file_ecds;
mod live;

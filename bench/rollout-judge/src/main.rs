//! The judge of rollouts on simulated fleets.

fn main() {}

//! The Alertmanager configuration: `amtool`, `amlint`, and where each alert goes.

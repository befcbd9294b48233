//! The signals that gates are made of, each a query for one arm.

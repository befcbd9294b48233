//! The corpus through the built module in the embedded host.

//! Every message, and what an accepted configuration means.

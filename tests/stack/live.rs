//! Every alert, caused, fired, delivered and resolved, with the real programs.

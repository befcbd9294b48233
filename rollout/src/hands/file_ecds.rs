//! hands/file_ecds.

//! The laws of the catalogue, and label values against every extractor.

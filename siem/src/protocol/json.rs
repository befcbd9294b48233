//! Any receiver of JSON over HTTPS.

/// Settings of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The path, with its query.
    pub path: String,
    /// What is between the records.
    pub framing: Framing,
    /// How the secret is shown.
    pub authorization: Authorization,
}

/// What is between the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// One JSON array.
    #[default]
    Array,
    /// One record a line.
    Lines,
}

/// How the secret is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authorization {
    /// There is none.
    #[default]
    None,
    /// `authorization: Bearer <secret>`.
    Bearer,
    /// The secret as the value of the header of this name.
    Header(String),
}

//! Any receiver of JSON over HTTPS: Elastic, Vector's or Fluent Bit's HTTP input, a function of one's own.
//!
//! There is no standard, so the rules are the common ones: `POST` with `application/json` and an array, or `application/x-ndjson` and one record a
//! line (`text/plain` when the records are CEF lines). Any 2xx is success, whatever the body says.

use super::headers::{check_name, check_path};
use super::{Frame, Headers, post};
use crate::format::Format;
use crate::settings::{self, Secret, SettingsError};

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
    /// There is none; the secret is not looked at.
    #[default]
    None,
    /// `authorization: Bearer <secret>`.
    Bearer,
    /// The secret as the value of the header of this name, which is in lower case.
    Header(String),
}

impl Settings {
    pub(super) fn frame(&self) -> Frame {
        match self.framing {
            Framing::Array => Frame::ARRAY,
            Framing::Lines => Frame::LINES,
        }
    }

    pub(super) fn headers(&self, settings: &settings::Settings, secret: &Secret) -> Headers {
        let content_type = match (self.framing, settings.format) {
            (Framing::Array, _) => "application/json",
            (Framing::Lines, Format::Cef) => "text/plain; charset=utf-8",
            (Framing::Lines, Format::Native | Format::Ocsf | Format::Asim) => "application/x-ndjson",
        };
        let mut headers = post(&settings.authority, &self.path, content_type);
        match &self.authorization {
            Authorization::None => {}
            Authorization::Bearer => {
                headers.push(("authorization".into(), format!("Bearer {}", secret.reveal()).into_bytes()));
            }
            Authorization::Header(name) => headers.push((name.clone().into(), secret.reveal().into())),
        }
        headers
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        check_path("path", &self.path)?;
        match &self.authorization {
            Authorization::Header(name) => check_name("authorization", name),
            Authorization::None | Authorization::Bearer => Ok(()),
        }
    }
}

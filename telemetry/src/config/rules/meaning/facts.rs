//! Facts and their sources.

use super::super::shape::FactShape;
use super::{Reading, is_header_name, present, quoted};
use crate::rule::{Fact, Source};

/// What stands for a fact that is refused already, so that the others keep their positions.
pub(super) fn unsound() -> Fact {
    Fact {
        name: String::new(),
        sources: Vec::new(),
        is_number: true,
        map: None,
        values: Some(Vec::new()),
        default: Some(String::new()),
        max_bytes: 1,
        hash: false,
    }
}

/// Sources that are one word.
const WORDS: [(&str, Source); 10] = [
    ("endpoint", Source::Endpoint),
    ("method", Source::Method),
    ("status", Source::Status),
    ("status_class", Source::StatusClass),
    ("grpc_status", Source::GrpcStatus),
    ("outcome", Source::Outcome),
    ("correlation_id", Source::CorrelationId),
    ("source", Source::Address),
    ("request_bytes", Source::RequestBytes),
    ("response_bytes", Source::ResponseBytes),
];

impl Reading<'_> {
    pub(super) fn fact(&mut self, path: &str, shape: FactShape) -> Fact {
        self.name(&format!("{path}.name"), &shape.name);
        if self.facts.iter().any(|earlier| earlier.name == shape.name) {
            self.refuse(&format!("{path}.name"), format!("`{}` is there twice; rename one", shape.name));
        }
        let several = shape.from.len() > 1;
        let mut sources = Vec::with_capacity(shape.from.len());
        for (index, text) in present(shape.from) {
            let at = if several { format!("{path}.from[{index}]") } else { format!("{path}.from") };
            sources.extend(self.source(&at, &text));
        }
        let values: Option<Vec<String>> = shape.values.map(|values| values.into_iter().flatten().collect());
        if values.as_ref().is_some_and(Vec::is_empty) {
            self.refuse(
                &format!("{path}.values"),
                "the list is empty; name a value, or leave the field out".to_owned(),
            );
        }
        if let (Some(map), Some(values)) = (&shape.map, &values) {
            for (name, called) in map.iter().filter(|(_, called)| !values.contains(called)) {
                let message = format!("{} is not among the `values`; add it there", quoted(called));
                self.refuse(&format!("{path}.map.{name}"), message);
            }
        }
        if shape.is_number
            && let Some(default) = &shape.default
            && !crate::json::number::is_number(default)
        {
            let message = format!("{} is not a number, as `type` has it; give one, or remove it", quoted(default));
            self.refuse(&format!("{path}.default"), message);
        }
        Fact {
            name: shape.name,
            sources,
            is_number: shape.is_number,
            map: shape.map,
            values,
            default: shape.default,
            max_bytes: shape.max_bytes,
            hash: shape.hash,
        }
    }

    /// Reads a source like `path:id`.
    pub(super) fn source(&mut self, path: &str, text: &str) -> Option<Source> {
        if let Some((_, source)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Some(source.clone());
        }
        if text == "duration_seconds" {
            return Some(Source::DurationSeconds);
        }
        let header = |name: &str| is_header_name(name).then(|| name.to_ascii_lowercase());
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let found = match kind {
            "constant" if !rest.is_empty() => Some(Source::Constant(rest.to_owned())),
            "path" if !rest.is_empty() => self.parameter(path, rest),
            "request_header" => header(rest).map(Source::RequestHeader),
            "response_header" => header(rest).map(Source::ResponseHeader),
            "body" => return self.pointer(path, rest),
            _ => None,
        };
        if found.is_none() {
            let message = format!(
                "{} is no source; use `path:NAME`, `request_header:NAME`, `response_header:NAME`, `body:/POINTER`, `constant:TEXT`, `endpoint`, `method`, `status`, `status_class`, `grpc_status`, `outcome`, `correlation_id`, `source`, `request_bytes`, `response_bytes` or `duration_seconds`",
                quoted(text)
            );
            self.refuse(path, message);
        }
        found
    }

    /// A parameter of some template.
    fn parameter(&mut self, path: &str, name: &str) -> Option<Source> {
        let plain = format!("{{{name}}}");
        let tail = format!("{{{name}...}}");
        let specs = self.routes.specs();
        if !specs.iter().any(|route| route.template.contains(&plain) || route.template.contains(&tail)) {
            let message = format!("no template of `routes.table` has a parameter `{plain}`; name one that is there");
            self.refuse(path, message);
        }
        Some(Source::Path(name.to_owned()))
    }

    /// A JSON pointer; its number is the position among the pointers.
    fn pointer(&mut self, path: &str, pointer: &str) -> Option<Source> {
        if let Err(error) = crate::json::Pointers::compile(&[pointer]) {
            self.refuse(path, error.message);
            return None;
        }
        let at = self.pointers.iter().position(|known| known == pointer).unwrap_or(self.pointers.len());
        if at == self.pointers.len() {
            self.pointers.push(pointer.to_owned());
        }
        Some(Source::Body(at))
    }
}

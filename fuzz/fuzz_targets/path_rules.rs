//! Any target under any rules: its normal form is a path, no longer than the target, and what the rules take away is not in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry::method::Method;
use telemetry::route::{
    Case, Decision, DotSegments, DuplicateSlashes, MatrixParameters, PercentEncoding, RouteOptions, RouteSpec,
    RouteTable,
};

fuzz_target!(|input: &[u8]| {
    let Some((switches, target)) = input.split_first() else { return };
    let on = |bit: u8| switches >> bit & 1 == 1;
    let options = RouteOptions {
        case: if on(0) { Case::Insensitive } else { Case::Sensitive },
        duplicate_slashes: if on(1) { DuplicateSlashes::Merge } else { DuplicateSlashes::Keep },
        dot_segments: if on(2) { DotSegments::Remove } else { DotSegments::Keep },
        matrix_parameters: if on(3) { MatrixParameters::Strip } else { MatrixParameters::Keep },
        percent_encoding: match switches >> 4 & 3 {
            0 | 1 => PercentEncoding::Unreserved,
            2 => PercentEncoding::Slashes,
            _ => PercentEncoding::Keep,
        },
        ..RouteOptions::default()
    };
    let rest = RouteSpec { methods: None, template: "/{rest...}".to_owned(), name: None };
    let Ok(table) = RouteTable::build(&[rest], &options) else { panic!("the tail is a template under all rules") };
    let explanation = table.explain(Method::Get, target);
    let Some(path) = explanation.path else {
        assert_eq!(explanation.decision, Decision::NoPath);
        return;
    };
    assert_eq!(path.first(), Some(&b'/'));
    if matches!(explanation.decision, Decision::TooLong | Decision::TooManySegments) {
        return;
    }
    let normal = explanation.normal.unwrap_or_else(|| path.clone());
    assert!(normal.len() <= path.len() && normal.first() == Some(&b'/'));
    if options.duplicate_slashes == DuplicateSlashes::Merge {
        assert!(!normal.windows(2).any(|pair| pair == b"//"));
    }
    if options.matrix_parameters == MatrixParameters::Strip {
        assert!(!normal.contains(&b';'));
    }
    if options.dot_segments == DotSegments::Remove {
        assert!(!normal.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b"..")));
    }
    if options.case == Case::Insensitive {
        assert!(!normal.iter().any(u8::is_ascii_uppercase));
    }
    assert_eq!(matches!(explanation.decision, Decision::Template(_)), normal.len() > 1);
});

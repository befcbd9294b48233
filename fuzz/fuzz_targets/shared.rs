//! What holds of every operation that an importer reads.

use edge_observer::routes::import::Operation;
use telemetry::route::{RouteOptions, RouteSpec, RouteTable};

/// The router takes the template, or it is only too long: the import then leaves the operation out and says so.
pub(crate) fn check(operations: &[Operation]) {
    for operation in operations.iter().take(200) {
        let route = RouteSpec { methods: None, template: operation.template.clone(), name: None };
        if let Err(problems) = RouteTable::build(&[route], &RouteOptions::default()) {
            let only_too_long = problems.iter().all(|problem| problem.message.contains("use at most"));
            assert!(only_too_long, "{operation:?}: {problems:?}");
        }
    }
}

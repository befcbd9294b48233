//! Builds that do harm, each in its own way, and one that does none.
//!
//! Those that are modules are the built one with a callback wrapped: the rest of it is as it always is, so that nothing else gives them away.

mod live;
mod surgery;

use std::path::{Path, PathBuf};

use edge_observer::envoy::profile_json;
use serde_json::{Value, json};
use walrus::ValType;
use walrus::ir::BinaryOp;

use self::surgery::Surgery;
use crate::support::proxy::module_path;

/// A build, and what is expected of a rollout of it.
#[derive(Debug, Clone)]
pub(crate) struct BadBuild {
    /// What it does.
    pub(crate) name: &'static str,
    /// Its module.
    pub(crate) module: PathBuf,
    /// Its configuration.
    pub(crate) configuration: Value,
    /// Variables that its rollout file says the proxies have.
    pub(crate) environment: &'static [&'static str],
    /// The gates of which one stops it; none for the good one. More than one where the harm has more than one sign.
    pub(crate) gates: &'static [&'static str],
}

/// The harm that a wrapped callback does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// The VM dies of one request in so many.
    Trap(i64),
    /// Requests under `/api/v1/audit/` are held for so many microseconds.
    Slow(i64),
    /// One request in so many is answered with 503.
    Errors(i64),
    /// So many rounds of a loop for each request.
    Spin(i32),
    /// One request in so many leaves a page of memory behind.
    Leak(i64),
    /// One request in so many is not counted.
    Forget(i32),
    /// Each request gets an endpoint of its own in one metric.
    Explode,
    /// The module imports what Envoy does not have and the embedded host does.
    Stranger,
}

/// The endpoint that [`Harm::Slow`] slows down.
pub(crate) const SLOW: &str = "/api/v1/audit/";
/// How many rounds of [`Harm::Spin`] take about as long as everything else that a proxy of a fleet does for a request.
pub(crate) const ROUNDS: i32 = 400_000;

/// The metric of [`Harm::Explode`], with eight digits in the place of its endpoint.
const EXPLODED: [&str; 2] = ["eucora_http_request_duration_microseconds_total.method=.=GET;.;endpoint=.=/x/", ";.;"];

/// All of them, with their modules in a folder; the good one is first.
pub(crate) fn all(folder: &Path) -> Vec<BadBuild> {
    let profile: Value = serde_json::from_str(&profile_json()).unwrap();
    let with = |name, harm, gates| BadBuild {
        name,
        module: module_with(harm, folder),
        configuration: profile.clone(),
        environment: &[],
        gates,
    };
    vec![
        good(folder),
        with("traps on one request in 10,000", Harm::Trap(10_000), &["traps", "liveness", "completeness"]),
        with("adds 2 ms to one endpoint", Harm::Slow(2_000), &["latency"]),
        with("answers 0.5 % with 503", Harm::Errors(200), &["errors"]),
        with("doubles the processor time", Harm::Spin(ROUNDS), &["cpu"]),
        with("leaks memory", Harm::Leak(4), &["memory"]),
        with("forgets 2 % of requests", Harm::Forget(50), &["completeness"]),
        with("explodes a label", Harm::Explode, &["series"]),
        refused_configuration(),
        with("cannot be loaded by Envoy", Harm::Stranger, &["refusals", "hands"]),
    ]
}

/// Another module, which does what the built one does, and another configuration.
pub(crate) fn good(folder: &Path) -> BadBuild {
    let mut configuration: Value = serde_json::from_str(&profile_json()).unwrap();
    configuration["metrics"]["series_budget"] = 59_000.into();
    BadBuild {
        name: "good: another module and configuration",
        module: another_module(folder),
        configuration,
        environment: &[],
        gates: &[],
    }
}

/// Other bytes than the built module's, and the same behaviour.
pub(crate) fn another_module(folder: &Path) -> PathBuf {
    Surgery::new().save(folder, "another")
}

/// A configuration with a secret that the rollout file says the proxies have, and they do not.
pub(crate) fn refused_configuration() -> BadBuild {
    let mut configuration: Value = serde_json::from_str(&profile_json()).unwrap();
    configuration["events"]["sinks"] = json!([{
        "name": "siem", "cluster": "siem", "authority": "siem.example",
        "json": { "path": "/events", "authorization": "bearer" }, "secret_env": "SIEM_TOKEN",
    }]);
    BadBuild {
        name: "needs a secret that proxies lack",
        module: module_path().to_owned(),
        configuration,
        environment: &["SIEM_TOKEN"],
        gates: &["refusals", "hands"],
    }
}

/// The built module with a harm.
pub(crate) fn module_with(harm: Harm, folder: &Path) -> PathBuf {
    let mut surgery = Surgery::new();
    match harm {
        Harm::Trap(one_in) => {
            let chance = surgery.chance();
            surgery.before("proxy_on_request_headers", &[ValType::I32; 3], &[ValType::I32], |body, _| {
                body.i64_const(one_in).call(chance).if_else(None, |then| _ = then.unreachable(), |_| {});
            });
        }
        Harm::Slow(us) => slow(&mut surgery, us),
        Harm::Errors(one_in) => errors(&mut surgery, one_in),
        Harm::Spin(rounds) => {
            let spin = surgery.spin();
            surgery.before("proxy_on_request_headers", &[ValType::I32; 3], &[ValType::I32], |body, _| {
                body.i32_const(rounds).call(spin);
            });
        }
        Harm::Leak(one_in) => {
            let (chance, leak) = (surgery.chance(), surgery.leak());
            surgery.before("proxy_on_request_headers", &[ValType::I32; 3], &[ValType::I32], |body, _| {
                body.i64_const(one_in).call(chance).if_else(None, |then| _ = then.call(leak), |_| {});
            });
        }
        Harm::Forget(one_in) => {
            let seen = surgery.counter();
            surgery.before("proxy_on_log", &[ValType::I32], &[], |body, _| {
                body.global_get(seen).i32_const(1).binop(BinaryOp::I32Add).global_set(seen);
                body.global_get(seen).i32_const(one_in).binop(BinaryOp::I32RemU);
                body.if_else(None, |_| {}, |forgotten| _ = forgotten.return_());
            });
        }
        Harm::Explode => explode(&mut surgery),
        Harm::Stranger => surgery.import_a_stranger(),
    }
    surgery.save(folder, &format!("{harm:?}"))
}

fn slow(surgery: &mut Surgery, us: i64) {
    let (path, wait) = (surgery.path_begins_with(SLOW), surgery.wait());
    surgery.after("proxy_on_request_headers", &[ValType::I32; 3], ValType::I32, |body, _| {
        body.call(path).if_else(None, |then| _ = then.i64_const(us).call(wait), |_| {});
    });
}

fn errors(surgery: &mut Surgery, one_in: i64) {
    let chance = surgery.chance();
    let reply = surgery.hostcall("proxy_send_local_response", &[ValType::I32; 8]);
    surgery.after("proxy_on_request_headers", &[ValType::I32; 3], ValType::I32, |body, action| {
        body.i64_const(one_in).call(chance).if_else(
            None,
            |then| {
                then.i32_const(503);
                // No details, no body, no headers.
                for _ in 0..6 {
                    then.i32_const(0);
                }
                // And no gRPC status.
                then.i32_const(-1).call(reply).drop();
                // Pause: what follows would be sent for a request that is answered.
                then.i32_const(1).local_set(action);
            },
            |_| {},
        );
    });
}

fn explode(surgery: &mut Surgery) {
    let number = surgery.counter();
    let define = surgery.hostcall("proxy_define_metric", &[ValType::I32; 4]);
    let increment = surgery.hostcall("proxy_increment_metric", &[ValType::I32, ValType::I64]);
    let (name, digits) = surgery.text_with_digits(EXPLODED, number);
    let id = surgery.scratch();
    surgery.before("proxy_on_request_headers", &[ValType::I32; 3], &[ValType::I32], |body, of| {
        body.global_get(number).i32_const(1).binop(BinaryOp::I32Add).global_set(number);
        body.call(digits);
        // A counter.
        body.i32_const(0).call(name).i32_const(EXPLODED.concat().len() as i32 + 8).call(id).call(define).drop();
        of.load_i32(body, id);
        body.i64_const(1).call(increment).drop();
    });
}

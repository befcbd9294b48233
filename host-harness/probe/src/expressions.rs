//! Expressions, by the foreign functions that make, evaluate and forget them.

use crate::foreign::call;
use crate::host::{self, Arg, Place, Received, Written};
use crate::properties;
use crate::turn::{Action, CONTINUE, Case, Phase, Turn};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("expressions", expressions),
    ("expressions-literals", |turn| in_request(turn, LITERALS)),
    ("expressions-operators", |turn| in_request(turn, OPERATORS)),
    ("expressions-functions", |turn| in_request(turn, FUNCTIONS)),
    ("expressions-macros", |turn| in_request(turn, MACROS)),
    ("expressions-refused", |turn| in_request(turn, REFUSED)),
    ("expressions-missing", |turn| in_request(turn, MISSING)),
    ("expressions-attributes", attributes),
    ("expressions-tokens", tokens),
];

// An expression is a line.
const LITERALS: &str = include_str!("expressions/literals.txt");
const OPERATORS: &str = include_str!("expressions/operators.txt");
const FUNCTIONS: &str = include_str!("expressions/functions.txt");
const MACROS: &str = include_str!("expressions/macros.txt");
const REFUSED: &str = include_str!("expressions/refused.txt");
/// What this project's host has none of.
const MISSING: &str = include_str!("expressions/missing.txt");

/// What the proxy knows, as far as it is the same in every run.
const ATTRIBUTES: &str = include_str!("expressions/attributes.txt");

/// Makes an expression and evaluates it once. Its number depends on how many there were before, and is not told.
fn evaluate(turn: &Turn<'_>, text: &str) {
    let created = host::call_foreign_function(Arg::from("expr_create"), Arg::from(text), Place::Here);
    let Written::Bytes(token) = &created.written else {
        turn.say(format_args!("expr_create({text:?})"), &created);
        return;
    };
    let value = host::call_foreign_function(Arg::from("expr_evaluate"), Arg::from(token), Place::Here);
    turn.say(format_args!("expr_evaluate({text:?})"), &value);
    host::call_foreign_function(Arg::from("expr_delete"), Arg::from(token), Place::Here);
}

fn in_request(turn: &mut Turn<'_>, texts: &str) -> Action {
    if turn.phase == Phase::RequestHeaders {
        for text in texts.lines() {
            evaluate(turn, text);
        }
    }
    CONTINUE
}

/// What expressions can be about, in each phase.
fn attributes(turn: &mut Turn<'_>) -> Action {
    if turn.begins() {
        turn.expect_tick();
        host::set_property(Arg::from("mine"), Arg::from("value"));
    }
    for text in ATTRIBUTES.lines() {
        evaluate(turn, text);
    }
    if turn.phase == Phase::ResponseHeaders {
        turn.enter_root();
        for text in ["request.path", "mine", "plugin_name"] {
            evaluate(turn, text);
        }
    }
    CONTINUE
}

/// The lives of expressions, which streams of a root context share.
fn tokens(turn: &mut Turn<'_>) -> Action {
    let tell = |turn: &Turn<'_>, name: &str, token: &[u8]| -> Received {
        let answer = host::call_foreign_function(Arg::from(name), Arg::from(token), Place::Here);
        turn.say(format_args!("{name}(the token)"), &answer);
        answer
    };
    match turn.phase {
        Phase::RequestHeaders => {
            turn.expect_tick();
            let created = host::call_foreign_function(Arg::from("expr_create"), Arg::from("request.path"), Place::Here);
            turn.say(format_args!("expr_create(request.path)"), created.status);
            if let Written::Bytes(token) = created.written {
                host::set_property(Arg::from("token"), Arg::from(&token));
                tell(turn, "expr_evaluate", &token);
                let nowhere =
                    host::call_foreign_function(Arg::from("expr_evaluate"), Arg::from(&token), Place::Nowhere);
                turn.say(format_args!("expr_evaluate(the token) to nowhere"), &nowhere);
            }
            let nowhere = host::call_foreign_function(Arg::from("expr_create"), Arg::from("1"), Place::Nowhere);
            turn.say(format_args!("expr_create(1) to nowhere"), nowhere.status);
        }
        Phase::ResponseHeaders | Phase::Log => {
            let token = host::get_property(Arg::from("token"), Place::Here);
            if let Written::Bytes(token) = &token.written {
                tell(turn, "expr_evaluate", token);
                turn.enter_root();
                tell(turn, "expr_evaluate", token);
                if turn.phase == Phase::Log {
                    tell(turn, "expr_delete", token);
                    tell(turn, "expr_evaluate", token);
                    tell(turn, "expr_delete", token);
                }
            }
        }
        Phase::Tick => {
            for text in ["request.path", "plugin_name", "1 + 1", "xds.node.id", "nope"] {
                evaluate(turn, text);
            }
        }
        _ => {}
    }
    CONTINUE
}

/// Expressions made, evaluated and deleted, and what is no token.
fn expressions(turn: &mut Turn<'_>) -> Action {
    if !matches!(turn.phase, Phase::RequestHeaders | Phase::Configure) {
        return CONTINUE;
    }
    for text in ["1 + 1", "request.path", "1 +", "nope.nope", "plugin_name == 'probe'", "", " ", "'a\nb'"] {
        evaluate(turn, text);
    }
    for name in ["expr_evaluate", "expr_delete"] {
        for bad in ["", "abc", "abcde", "\u{7f}\u{7f}\u{7f}\u{7f}"] {
            call(turn, name, Arg::from(bad), Place::Here);
        }
        call(turn, name, Arg::Nowhere(4), Place::Here);
    }
    call(turn, "expr_create", Arg::Nowhere(4), Place::Here);
    call(turn, "expr_create", Arg::from(b"'\xff'".as_slice()), Place::Here);
    if turn.phase == Phase::RequestHeaders {
        properties::get_raw(turn, "cel", Place::Here);
    }
    CONTINUE
}

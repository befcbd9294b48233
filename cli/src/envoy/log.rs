//! Envoy's own log: what in it is the reason for a refusal.

/// What Envoy and the filter had to complain about, oldest first, each once. `log` is Envoy's log in its default format.
pub(super) fn complaints(log: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in log.lines() {
        let Some(message) = complaint(line) else { continue };
        let message = for_people(message);
        if !found.contains(&message) {
            found.push(message);
        }
    }
    found
}

/// The message of a line that says why something was refused, without Envoy's prefix.
fn complaint(line: &str) -> Option<&str> {
    // [time][thread][level][component] [source:line] message
    let Some((_, rest)) = line.split_once("][") else {
        // A fatal message before logging starts, such as a wrong argument, or the rest of a message of several lines.
        return (!line.trim().is_empty() && !line.starts_with('[')).then_some(line.trim());
    };
    let (_, rest) = rest.split_once("][")?;
    let (level, rest) = rest.split_once("][")?;
    let (component, rest) = rest.split_once("] ")?;
    let message = if rest.starts_with('[') { rest.split_once("] ").map_or(rest, |(_, message)| message) } else { rest };
    let wanted = match level {
        "error" | "critical" => true,
        // A refused file is only a warning to Envoy.
        "warning" => component == "config",
        _ => false,
    };
    wanted.then(|| without_plugin_prefix(message))
}

/// `wasm log NAME ROOT VM: message` is the filter's own message.
fn without_plugin_prefix(message: &str) -> &str {
    match message.strip_prefix("wasm log ").and_then(|rest| rest.split_once(": ")) {
        Some((_, own)) => own,
        None => message,
    }
}

/// The filter logs JSON; a person at a terminal wants `field: problem`.
fn for_people(message: &str) -> String {
    let Ok(line) = serde_json::from_str::<serde_json::Value>(message) else { return message.to_owned() };
    let text = |name: &str| line.get(name).and_then(serde_json::Value::as_str);
    match (text("field"), text("problem"), text("message")) {
        (Some(""), Some(problem), _) => problem.to_owned(),
        (Some(field), Some(problem), _) => format!("{field}: {problem}"),
        (_, _, Some(own)) => own.to_owned(),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_own_message_comes_out_without_envoys_prefix() {
        let log = "\
[2026-11-23 16:38:26.100][13997][info][main] [source/server/server.cc:430] initializing epoch 0
[2026-11-23 16:38:26.200][13997][warning][misc] [source/common/protobuf/message.cc:21] deprecated field
[2026-11-23 16:38:26.367][13997][error][wasm] [source/extensions/common/wasm/context.cc:1157] wasm log edge_observer edge_observer edge_observer: ring: `a b`: has a space; use letters
[2026-11-23 16:38:26.367][13997][error][wasm] [source/extensions/common/wasm/context.cc:1157] wasm log edge_observer edge_observer edge_observer: ring: `a b`: has a space; use letters
[2026-11-23 16:38:26.377][13997][critical][wasm] [source/extensions/common/wasm/wasm.cc:626] Plugin edge_observer failed to load
[2026-11-23 16:38:26.399][13997][warning][config] [source/extensions/config_subscription/filesystem/filesystem_subscription_impl.cc:81] Filesystem config update rejected: Unable to create Wasm plugin edge_observer
";
        assert_eq!(
            complaints(log),
            [
                "ring: `a b`: has a space; use letters",
                "Plugin edge_observer failed to load",
                "Filesystem config update rejected: Unable to create Wasm plugin edge_observer",
            ]
        );
    }

    #[test]
    fn the_filters_json_lines_are_shortened() {
        let check = |message, expected: &str| assert_eq!(for_people(message), expected);
        check(
            r#"{"level":"error","message":"the configuration is refused","field":"ring","problem":"too long"}"#,
            "ring: too long",
        );
        check(
            r#"{"level":"error","message":"the configuration is refused","field":"","problem":"no JSON"}"#,
            "no JSON",
        );
        check(r#"{"level":"error","message":"a hostcall failed","hostcall":"x"}"#, "a hostcall failed");
        check("plain: text", "plain: text");
        check("[1]", "[1]");
    }

    #[test]
    fn what_is_said_before_logging_starts_is_kept() {
        let said = "PARSE ERROR: Argument: --concurrency\n             Couldn't read argument value\n";
        assert_eq!(complaints(said), ["PARSE ERROR: Argument: --concurrency", "Couldn't read argument value"]);
    }
}

//! Objects of a cluster, through `kubectl` or what stands for it.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// How long a request may take, in kubectl's form.
const TIMEOUT: &str = "--request-timeout=20s";

/// A command that speaks to a cluster.
#[derive(Debug, Clone)]
pub struct Kubectl {
    command: Vec<String>,
}

impl Kubectl {
    /// The command with its own first arguments: `kubectl --context production`.
    #[must_use]
    pub fn new(command: &[String]) -> Self {
        Self { command: command.to_vec() }
    }

    /// An object; `None` where there is none of this name.
    ///
    /// # Errors
    /// When the cluster cannot be asked or does not know the kind.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Result<Option<Value>, String> {
        let output = self.run(&["get", resource, name, "-n", namespace, "-o", "json", "--ignore-not-found"], None)?;
        if output.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        serde_json::from_slice(&output).map(Some).map_err(|error| format!("kubectl printed no JSON: {error}"))
    }

    /// All objects of a kind, in all namespaces or in one. None where the cluster does not know the kind.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> Result<Vec<Value>, String> {
        let mut arguments = vec!["get", resource, "-o", "json"];
        match namespace {
            Some(namespace) => arguments.extend(["-n", namespace]),
            None => arguments.push("--all-namespaces"),
        }
        match self.run(&arguments, None) {
            Ok(output) => {
                let list: Value =
                    serde_json::from_slice(&output).map_err(|error| format!("kubectl printed no JSON: {error}"))?;
                Ok(list.get("items").and_then(Value::as_array).cloned().unwrap_or_default())
            }
            Err(error) if error.contains("the server doesn't have a resource type") => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Puts an object in place of whatever has its name, or creates it.
    ///
    /// # Errors
    /// When the cluster refuses it or cannot be asked.
    pub fn put(&self, resource: &str, namespace: &str, name: &str, object: &Value) -> Result<(), String> {
        // `replace` without a resourceVersion takes the one that is there, so what others changed meanwhile is overwritten, as it should be. `strict`
        // refuses a field that the server would drop. Another process may create or delete it in between; hence twice.
        let text = object.to_string();
        let mut error = String::new();
        for _ in 0..2 {
            let verb = if self.get(resource, namespace, name)?.is_some() { "replace" } else { "create" };
            match self.run(&[verb, "-n", namespace, "--validate=strict", "-f", "-"], Some(text.as_bytes())) {
                Ok(_) => return Ok(()),
                Err(found)
                    if found.contains("NotFound") || found.contains("AlreadyExists") || found.contains("Conflict") =>
                {
                    error = found;
                }
                Err(found) => return Err(found),
            }
        }
        Err(error)
    }

    /// Deletes an object; that there is none is fine.
    ///
    /// # Errors
    /// When the cluster refuses it or cannot be asked.
    pub fn delete(&self, resource: &str, namespace: &str, name: &str) -> Result<(), String> {
        let arguments = ["delete", resource, name, "-n", namespace, "--ignore-not-found", "--wait=false"];
        self.run(&arguments, None).map(drop)
    }

    /// Runs the command; what it printed, or why it failed.
    fn run(&self, arguments: &[&str], input: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let (program, own) = self.command.split_first().ok_or("hands.istio.apply.kubectl: is empty; name a command")?;
        let mut command = Command::new(program);
        command.args(own).args(arguments).arg(TIMEOUT).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let cannot = |error: std::io::Error| {
            format!("`{program}` cannot be run: {error}; install it, or name it in `hands.istio.apply.kubectl`")
        };
        let mut child = command.spawn().map_err(cannot)?;
        if let (Some(bytes), Some(mut stdin)) = (input, child.stdin.take()) {
            // One that ends without reading says why on its standard error.
            let _ = stdin.write_all(bytes);
        }
        let Output { status, stdout, stderr } = child.wait_with_output().map_err(cannot)?;
        if status.success() {
            return Ok(stdout);
        }
        let said = String::from_utf8_lossy(&stderr);
        let said: Vec<&str> = said.lines().filter(|line| !is_log(line)).collect();
        Err(format!("`{program} {}` failed: {}", arguments.join(" "), said.join(" ").trim()))
    }
}

/// Whether a line is of kubectl's own log, `E1127 02:15:41.8…`, which repeats for each try what the last line says.
fn is_log(line: &str) -> bool {
    let mut letters = line.chars();
    letters.next().is_some_and(|level| "IWEF".contains(level))
        && letters.by_ref().take(4).filter(char::is_ascii_digit).count() == 4
        && letters.next() == Some(' ')
}

#[cfg(test)]
mod tests {
    #[test]
    fn kubectls_log_is_told_from_what_it_says() {
        assert!(super::is_log("E1127 02:15:41.825514   13911 memcache.go:265] \"Unhandled Error\""));
        for said in ["Error from server (NotFound): x", "E11 x", "", "error: y", "Error 1127 x"] {
            assert!(!super::is_log(said), "{said}");
        }
    }
}

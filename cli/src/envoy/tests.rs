//! Rendering, and real Envoy where there is one.

use std::path::Path;

use serde_yaml_ng::Value;

use super::*;

mod live;

fn options() -> EnvoyOptions {
    let mut options = EnvoyOptions::new("/usr/bin/envoy", "/modules/filter.wasm");
    options.listen = "127.0.0.1:8080".parse().unwrap();
    options.configuration = r#"{"namespace": "shop"}"#.into();
    options
}

fn bootstrap(options: &EnvoyOptions) -> Value {
    serde_yaml_ng::from_str(&render(options, Path::new("/run/edge"), 7).unwrap().bootstrap).unwrap()
}

fn http(bootstrap: &Value) -> &Value {
    &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

#[test]
fn upstreams_are_parsed() {
    let check = |text: &str, host: &str, port, http2| {
        let upstream: Upstream = text.parse().unwrap();
        assert_eq!(upstream, Upstream { host: host.into(), port, http2 });
        assert_eq!(upstream.to_string().parse(), Ok(upstream));
    };
    check("http://127.0.0.1:8000", "127.0.0.1", 8000, false);
    check("http://api.internal/", "api.internal", 80, false);
    check("http://[::1]:8000", "::1", 8000, false);
    check("h2c://127.0.0.1:50051", "127.0.0.1", 50051, true);
    let refuse = |text: &str, message: &str| assert_eq!(text.parse::<Upstream>().unwrap_err().to_string(), message);
    refuse("127.0.0.1:80", "upstream: `127.0.0.1:80` has no scheme that can be used; write it as http://HOST:PORT");
    refuse(
        "http://api/v1",
        "upstream: `http://api/v1` has a path, and requests keep their own; write it as http://HOST:PORT",
    );
    for url in ["http://api:99999", "http://api:", "http://[::1]:0", "http://api:http"] {
        assert!(url.parse::<Upstream>().is_err(), "{url}");
    }
    refuse(
        "http://api:99999",
        "upstream: `http://api:99999` has no port from 1 to 65535; write it as http://HOST:PORT",
    );
    refuse(
        "http://me:secret@api",
        "upstream: `http://me:secret@api` has a user, and requests keep their own; write it as http://HOST:PORT",
    );
    refuse(
        "https://api",
        "upstream: `https://api` uses TLS, which the bundled proxies do not speak to the upstream; write it as http://HOST:PORT",
    );
}

#[test]
fn a_run_differs_from_the_shipped_files_only_where_it_must() {
    let shipped: Value = serde_yaml_ng::from_str(BOOTSTRAP).unwrap();
    let mut options = EnvoyOptions::new("envoy", "/etc/envoy/edge_observer.wasm");
    options.listen = "0.0.0.0:8080".parse().unwrap();
    options.admin = "127.0.0.1:9901".parse().unwrap();
    options.metrics = Some("0.0.0.0:9102".parse().unwrap());
    options.upstream = "http://127.0.0.1:8000".parse().unwrap();
    options.access_log = AccessLog::Stdout;
    options.json_log = true;
    let rendered = render(&options, Path::new("/etc/envoy"), 1).unwrap();
    assert_eq!(serde_yaml_ng::from_str::<Value>(&rendered.bootstrap).unwrap(), shipped);

    let mut ecds: Value = serde_yaml_ng::from_str(&rendered.ecds).unwrap();
    let mut shipped: Value = serde_yaml_ng::from_str(ECDS).unwrap();
    let json = |ecds: &mut Value| -> serde_json::Value {
        let value = std::mem::take(&mut ecds["resources"][0]["typed_config"]["config"]["configuration"]["value"]);
        serde_json::from_str(value.as_str().unwrap()).unwrap()
    };
    assert_eq!(
        json(&mut ecds),
        json(&mut shipped),
        "the profile in the ECDS file is out of date: run `cargo xtask gen`"
    );
    assert_eq!(ecds, shipped);
}

#[test]
fn addresses_and_paths_are_put_in() {
    let mut options = options();
    options.admin = "[::1]:9999".parse().unwrap();
    options.upstream = "h2c://[::1]:50051".parse().unwrap();
    options.route_timeout = Some(Duration::from_millis(1500));
    let bootstrap = bootstrap(&options);
    assert_eq!(bootstrap["admin"]["address"]["socket_address"]["address"], "::1");
    assert_eq!(bootstrap["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"], 8080);
    let http = http(&bootstrap);
    assert_eq!(http["access_log"][0]["typed_config"]["path"], "/run/edge/access.log");
    let source = &http["http_filters"][0]["config_discovery"]["config_source"]["path_config_source"];
    assert_eq!(source["path"], "/run/edge/ecds/edge-observer.yaml");
    assert_eq!(source["watched_directory"]["path"], "/run/edge/ecds");
    assert_eq!(http["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["timeout"], "1.500000000s");
    let cluster = &bootstrap["static_resources"]["clusters"][0];
    let address =
        &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"];
    assert_eq!((address["address"].as_str(), address["port_value"].as_u64()), (Some("::1"), Some(50051)));
    let protocol =
        &cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
    assert!(protocol["explicit_http_config"]["http2_protocol_options"].is_mapping());
    assert!(protocol["explicit_http_config"]["http_protocol_options"].is_null());
}

#[test]
fn the_namespace_of_the_configuration_is_used_in_the_access_log_and_the_buckets() {
    let bootstrap = bootstrap(&options());
    let format = &http(&bootstrap)["access_log"][0]["typed_config"]["log_format"]["json_format"];
    assert_eq!(format["outcome"], "%FILTER_STATE(wasm.shop.outcome:PLAIN)%");
    assert_eq!(format["endpoint"], "%FILTER_STATE(wasm.shop.endpoint:PLAIN)%");
    assert!(format["risk_score"].as_str().unwrap().contains("filter_state['wasm.shop.risk_score']"));
    let histogram = &bootstrap["stats_config"]["histogram_bucket_settings"][0]["match"]["prefix"];
    assert_eq!(histogram, "wasmcustom.shop_http_request_duration_milliseconds");
}

#[test]
fn a_configuration_that_is_no_json_still_reaches_the_filter() {
    let options = EnvoyOptions { configuration: "{oops".into(), ..options() };
    let rendered = render(&options, Path::new("/run/edge"), 7).unwrap();
    let ecds: Value = serde_yaml_ng::from_str(&rendered.ecds).unwrap();
    assert_eq!(ecds["version_info"], "7");
    let config = &ecds["resources"][0]["typed_config"]["config"];
    assert_eq!(config["configuration"]["value"], "{oops");
    assert_eq!(config["vm_config"]["code"]["local"]["filename"], "/modules/filter.wasm");
    assert_eq!(config["failure_policy"], "FAIL_OPEN");
}

#[test]
fn a_static_filter_is_the_shipped_one_in_place_of_the_watched_file() {
    let options = EnvoyOptions { delivery: Delivery::Static, ..options() };
    let bootstrap = bootstrap(&options);
    let filters = http(&bootstrap)["http_filters"].as_sequence().unwrap();
    assert_eq!(filters[0]["name"], FILTER);
    assert!(filters[0].get("config_discovery").is_none());
    let config = &filters[0]["typed_config"]["config"];
    assert_eq!(config["vm_config"]["vm_id"], "edge_observer");
    assert_eq!(config["configuration"]["value"], r#"{"namespace": "shop"}"#);
    assert_eq!(filters[1]["name"], "envoy.filters.http.router");
}

#[test]
fn the_request_id_can_be_put_on_responses() {
    let bootstrap = bootstrap(&EnvoyOptions { request_id_in_response: true, ..options() });
    assert_eq!(http(&bootstrap)["always_set_request_id_in_response"], true);
}

#[test]
fn other_filters_can_stand_in_its_place() {
    let other = serde_json::json!({ "name": "other", "typed_config": { "@type": "type.googleapis.com/some.Filter" } });
    for instead in [vec![], vec![other.clone(), other]] {
        let bootstrap = bootstrap(&EnvoyOptions { delivery: Delivery::Instead(instead.clone()), ..options() });
        let filters = http(&bootstrap)["http_filters"].as_sequence().unwrap();
        let names: Vec<&str> = filters.iter().map(|filter| filter["name"].as_str().unwrap()).collect();
        let expected = instead.iter().map(|_| "other").chain(["envoy.filters.http.router"]);
        assert_eq!(names, expected.collect::<Vec<_>>());
    }
}

#[test]
fn more_clusters_stand_after_the_upstreams() {
    let siem = vec![("siem".to_owned(), "127.0.0.1:8088".parse().unwrap())];
    let bootstrap = bootstrap(&EnvoyOptions { clusters: siem, ..options() });
    let clusters = bootstrap["static_resources"]["clusters"].as_sequence().unwrap();
    assert_eq!(clusters.len(), 2);
    let address = "load_assignment.endpoints.0.lb_endpoints.0.endpoint.address.socket_address";
    let address = address.split('.').fold(&clusters[1], |value, step| match step.parse::<usize>() {
        Ok(index) => &value[index],
        Err(_) => &value[step],
    });
    assert_eq!((&clusters[1]["name"], &address["port_value"]), (&"siem".into(), &8088.into()));
}

#[test]
fn files_have_the_names_of_variables_and_not_their_values() {
    let environment = vec![("SIEM_TOKEN".to_owned(), "s3cr3t".to_owned())];
    for delivery in [Delivery::Watched, Delivery::Static] {
        let options = EnvoyOptions { delivery: delivery.clone(), environment: environment.clone(), ..options() };
        let rendered = render(&options, Path::new("/run/edge"), 7).unwrap();
        let file = if delivery == Delivery::Static { &rendered.bootstrap } else { &rendered.ecds };
        assert!(file.contains("host_env_keys:"), "{file}");
        assert!(file.contains("SIEM_TOKEN") && !file.contains("s3cr3t"), "{file}");
    }
}

#[test]
fn the_access_log_can_be_off_or_elsewhere() {
    let off = bootstrap(&EnvoyOptions { access_log: AccessLog::Off, ..options() });
    assert_eq!(http(&off)["access_log"].as_sequence().unwrap().len(), 0);
    let file = bootstrap(&EnvoyOptions { access_log: AccessLog::File("/var/log/edge.json".into()), ..options() });
    assert_eq!(http(&file)["access_log"][0]["typed_config"]["path"], "/var/log/edge.json");
}

#[test]
fn own_answers_come_before_the_route_to_the_upstream() {
    let own = OwnAnswers { header: HeaderName::from_static("x-answer"), statuses: vec![StatusCode::NOT_FOUND] };
    let bootstrap =
        bootstrap(&EnvoyOptions { own_answers: Some(own), route_timeout: Some(Duration::from_secs(3)), ..options() });
    let routes = http(&bootstrap)["route_config"]["virtual_hosts"][0]["routes"].as_sequence().unwrap();
    assert_eq!(routes.len(), 2);
    assert_eq!(routes[0]["match"]["headers"][0]["name"], "x-answer");
    assert_eq!(routes[0]["match"]["headers"][0]["string_match"]["exact"], "404");
    assert_eq!(routes[0]["direct_response"]["status"], 404);
    assert_eq!(routes[1]["route"]["timeout"], "3.000000000s");
}

#[test]
fn the_istio_files_say_the_same_as_the_bootstrap() {
    let read = |name: &str| -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy/istio").join(name);
        serde_yaml_ng::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let bootstrap: Value = serde_yaml_ng::from_str(BOOTSTRAP).unwrap();
    let tags = bootstrap["stats_config"]["stats_tags"].as_sequence().unwrap();
    let tags: Vec<&str> = tags.iter().map(|tag| tag["tag_name"].as_str().unwrap()).collect();

    let mesh = read("mesh-config.yaml");
    let mesh_tags = mesh["meshConfig"]["defaultConfig"]["extraStatTags"].as_sequence().unwrap();
    assert_eq!(mesh_tags.iter().map(|tag| tag.as_str().unwrap()).collect::<Vec<_>>(), tags);
    let provider = &mesh["meshConfig"]["extensionProviders"][0];
    assert_eq!(
        provider["envoyFileAccessLog"]["logFormat"]["labels"],
        http(&bootstrap)["access_log"][0]["typed_config"]["log_format"]["json_format"]
    );
    assert_eq!(read("telemetry.yaml")["spec"]["accessLogging"][0]["providers"][0]["name"], provider["name"]);

    let annotations = &read("pod-annotations.yaml")["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["sidecar.istio.io/extraStatTags"], tags.join(","));
    let buckets: Value =
        serde_yaml_ng::from_str(annotations["sidecar.istio.io/statsHistogramBuckets"].as_str().unwrap()).unwrap();
    let histogram = &bootstrap["stats_config"]["histogram_bucket_settings"][0];
    assert_eq!(buckets[histogram["match"]["prefix"].as_str().unwrap()], histogram["buckets"]);

    let mut profile: Value = serde_yaml_ng::from_str(PROFILE).unwrap();
    profile["polls"][0]["cluster"] = "inbound|8000||".into();
    assert_eq!(read("base/wasmplugin.yaml")["spec"]["pluginConfig"], profile, "run `cargo xtask gen`");
    assert_eq!(read("base/trafficextension.yaml")["spec"]["wasm"]["pluginConfig"], profile, "run `cargo xtask gen`");
    let filter = &read("envoyfilter.yaml")["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]["config"];
    let configuration: Value = serde_yaml_ng::from_str(filter["configuration"]["value"].as_str().unwrap()).unwrap();
    assert_eq!(configuration, profile, "run `cargo xtask gen`");
}

#[test]
fn errors_hold_what_was_said() {
    let refused = EnvoyError::Refused { messages: vec!["ring: too long".into(), "Plugin failed to load".into()] };
    assert_eq!(
        refused.to_string(),
        "Envoy refused the filter's configuration:\n  ring: too long\n  Plugin failed to load"
    );
    assert_eq!(refused.messages().len(), 2);
}

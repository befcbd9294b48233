//! The fields of the section `events`.

use super::super::fields::{Field, Kind, doc, text};

const WORD: Kind = text("text");
const CLUSTER: Kind = text("the name of a cluster");
const HOST: Kind = text("a host");

pub(in crate::config) const EVENTS: &[Field] = &[
    Field {
        name: "device",
        kind: WORD,
        default: Some("\"\""),
        doc: doc(
            "who saw the requests, for formats that say so (ASIM's `Dvc`, CEF's `dvchost`); where it is empty the ring, or `edge-observer`",
        ),
    },
    Field {
        name: "sinks",
        kind: Kind::List { of: &Kind::Section(SINK), many: "sinks", most: Some(4) },
        default: Some("[]"),
        doc: doc("the receivers; each gets every event. Without any, events go to the proxy's log alone"),
    },
];

const SINK: &[Field] = &[
    Field {
        name: "name",
        kind: text("a name"),
        default: None,
        doc: doc("the sink's name: a label of `edge_events_total`"),
    },
    Field { name: "cluster", kind: CLUSTER, default: None, doc: doc("the proxy's cluster that leads to it") },
    Field { name: "authority", kind: HOST, default: None, doc: doc("the `:authority` of the calls") },
    Field {
        name: "format",
        kind: Kind::Choice(&["native", "ocsf", "asim", "cef"]),
        default: Some("\"native\""),
        doc: doc(
            "how an event is written: with the names that the API has used, as OCSF, with the columns of ASIM, or as CEF",
        ),
    },
    Field {
        name: "secret_env",
        kind: text("the name of an environment variable"),
        default: Some(""),
        doc: doc(
            "the variable of the VM's environment (`vm_config.environment_variables`) that has the secret: the client's secret, the shared key, the token, the header's value. It is never in the configuration",
        ),
    },
    Field {
        name: "logs_ingestion",
        kind: Kind::Section(LOGS_INGESTION),
        default: Some(""),
        doc: doc("it is Azure Monitor's Logs Ingestion API"),
    },
    Field {
        name: "data_collector",
        kind: Kind::Section(DATA_COLLECTOR),
        default: Some(""),
        doc: doc("it is Azure Monitor's HTTP Data Collector API, in a cloud that still has it"),
    },
    Field {
        name: "splunk_hec",
        kind: Kind::Section(SPLUNK_HEC),
        default: Some(""),
        doc: doc("it is Splunk's HTTP Event Collector"),
    },
    Field {
        name: "json",
        kind: Kind::Section(JSON),
        default: Some(""),
        doc: doc("it takes JSON over HTTP; any 2xx is an acceptance"),
    },
    Field {
        name: "limits",
        kind: Kind::Section(LIMITS),
        default: Some(""),
        doc: doc("how much may wait, and for how long, in each worker"),
    },
];

const LOGS_INGESTION: &[Field] = &[
    Field {
        name: "rule",
        kind: WORD,
        default: None,
        doc: doc("the immutable ID of the data collection rule, `dcr-…`"),
    },
    Field {
        name: "stream",
        kind: WORD,
        default: None,
        doc: doc("the stream, `Custom-<Table>` or `Microsoft-<Table>`"),
    },
    Field { name: "client_id", kind: WORD, default: None, doc: doc("the client's ID; its secret is in `secret_env`") },
    Field {
        name: "token_cluster",
        kind: CLUSTER,
        default: None,
        doc: doc("the proxy's cluster that leads to the token endpoint"),
    },
    Field {
        name: "token_authority",
        kind: HOST,
        default: Some("\"login.microsoftonline.com\""),
        doc: doc("the token endpoint's host"),
    },
    Field {
        name: "token_path",
        kind: text("a path"),
        default: None,
        doc: doc("its path, `/<tenant>/oauth2/v2.0/token`"),
    },
    Field {
        name: "scope",
        kind: WORD,
        default: Some("\"https://monitor.azure.com/.default\""),
        doc: doc("what the token is for; ends in `.us` or `.cn` in other clouds"),
    },
];

const DATA_COLLECTOR: &[Field] = &[
    Field {
        name: "workspace_id",
        kind: WORD,
        default: None,
        doc: doc("the workspace's ID; its shared key is in `secret_env`"),
    },
    Field {
        name: "log_type",
        kind: WORD,
        default: Some("\"EUCORA_SecurityEvents\""),
        doc: doc("the table, to which the service adds `_CL`"),
    },
];

const SPLUNK_HEC: &[Field] = &[
    Field {
        name: "host",
        kind: WORD,
        default: Some(""),
        doc: doc("`host` of the events; `events.device` where it is left out"),
    },
    Field { name: "source", kind: WORD, default: Some(""), doc: doc("`source` of the events") },
    Field { name: "sourcetype", kind: WORD, default: Some(""), doc: doc("`sourcetype` of the events") },
    Field {
        name: "index",
        kind: WORD,
        default: Some(""),
        doc: doc("`index` of the events; the token's own where it is left out"),
    },
    Field {
        name: "acknowledge",
        kind: Kind::Bool,
        default: Some("false"),
        doc: doc("the token has indexer acknowledgement: an event counts as delivered when the indexer has it"),
    },
];

const JSON: &[Field] = &[
    Field { name: "path", kind: text("a path"), default: Some("\"/\""), doc: doc("where events are posted to") },
    Field {
        name: "framing",
        kind: Kind::Choice(&["array", "lines"]),
        default: Some("\"array\""),
        doc: doc("one JSON array, or one record a line"),
    },
    Field {
        name: "authorization",
        kind: Kind::Choice(&["none", "bearer", "header"]),
        default: Some("\"none\""),
        doc: doc("how the secret is shown: not at all, as `authorization: Bearer`, or as the value of `header`"),
    },
    Field {
        name: "header",
        kind: text("a header name"),
        default: Some(""),
        doc: doc("only with `authorization: header`"),
    },
];

const LIMITS: &[Field] = &[
    Field {
        name: "queue_events",
        kind: Kind::Whole { min: 1, max: 8_192 },
        default: Some("2048"),
        doc: doc("how many events may wait; past that they go to the proxy's log"),
    },
    Field {
        name: "batch_events",
        kind: Kind::Whole { min: 1, max: 10_000 },
        default: Some("500"),
        doc: doc("how many go into one call"),
    },
    Field {
        name: "max_wait_ms",
        kind: Kind::Whole { min: 0, max: 600_000 },
        default: Some("1000"),
        doc: doc("how long an event waits for others"),
    },
    Field {
        name: "timeout_ms",
        kind: Kind::Whole { min: 100, max: 120_000 },
        default: Some("10000"),
        doc: doc("how long a call may take"),
    },
    Field {
        name: "backoff_ms",
        kind: Kind::Whole { min: 10, max: 60_000 },
        default: Some("500"),
        doc: doc("the longest pause after a failure; it doubles with each that follows"),
    },
    Field {
        name: "backoff_cap_ms",
        kind: Kind::Whole { min: 10, max: 3_600_000 },
        default: Some("60000"),
        doc: doc("the longest pause after any number of failures"),
    },
    Field {
        name: "max_age_ms",
        kind: Kind::Whole { min: 1_000, max: 86_400_000 },
        default: Some("3600000"),
        doc: doc("how long an event may be undeliverable before it goes to the proxy's log"),
    },
];

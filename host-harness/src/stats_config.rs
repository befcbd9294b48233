//! Envoy's `stats_config`: which labels a stat's name holds, which histogram buckets it has, whether it exists at all.
//!
//! Read from the same bootstrap file that Envoy is given, and applied by Envoy's rules:
//!
//! - Every extractor looks at the *original* name. What the first match's capture 1 covers is removed from the name; the
//!   value is capture 2, or capture 1 when the expression has only one. Removed ranges are united, so extractors do not
//!   see each other's work.
//! - Expressions that begin with `^word\.` are tried last, and only on names whose first segment is `word`.
//! - When several extractors have one tag name, the first that matches wins and the others leave the name alone.
//! - Histogram settings are matched against the whole original name, `wasmcustom.` included; the first match wins.
//! - Dots at the end of what is left of a name, and of a value, are dropped: Envoy keeps both as lists of segments.

mod extract;
mod matcher;

use serde::Deserialize;

use extract::Extractor;
use matcher::{StringMatcher, StringMatcherYaml};

/// Envoy's buckets where no setting says otherwise.
pub const DEFAULT_BUCKETS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10000.0,
    30000.0,
    60000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// How stats are named and shown. The default is Envoy's: its own tags, its own buckets, all stats.
#[derive(Debug, Clone)]
pub struct StatsConfig {
    /// Extractors for every name, then those for names with one first segment, each in the order of the file.
    extractors: Vec<Extractor>,
    buckets: Vec<(StringMatcher, Vec<f64>)>,
    filter: StatsFilter,
}

/// Which stats there are.
#[derive(Debug, Clone)]
enum StatsFilter {
    All,
    None,
    Only(Vec<StringMatcher>),
    Except(Vec<StringMatcher>),
}

/// What a stat's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedName {
    /// The name without its tags.
    pub name: String,
    /// Tag names and values in the order in which they were found.
    pub tags: Vec<(String, String)>,
}

/// What is wrong with a `stats_config`: one line for each mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct StatsConfigError(Vec<String>);

impl StatsConfigError {
    /// The mistakes, each `path: what was found; cure`.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.0
    }
}

impl Default for StatsConfig {
    fn default() -> Self {
        Self { extractors: extract::defaults(), buckets: Vec::new(), filter: StatsFilter::All }
    }
}

impl StatsConfig {
    /// Reads the `stats_config` of an Envoy bootstrap file. A file without one means Envoy's defaults.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn from_bootstrap_yaml(text: &str) -> Result<Self, StatsConfigError> {
        let fail = |message: String| StatsConfigError(vec![message]);
        let bootstrap: serde_yaml_ng::Value =
            serde_yaml_ng::from_str(text).map_err(|error| fail(format!("bootstrap: {error}; write it as YAML")))?;
        let section = ["stats_config", "statsConfig"].iter().find_map(|key| bootstrap.get(key));
        let Some(section) = section.filter(|section| !section.is_null()) else {
            return Ok(Self::default());
        };
        let yaml: StatsConfigYaml = serde_yaml_ng::from_value(section.clone())
            .map_err(|error| fail(format!("stats_config: {error}; see Envoy's config.metrics.v3.StatsConfig")))?;
        Self::build(yaml)
    }

    fn build(yaml: StatsConfigYaml) -> Result<Self, StatsConfigError> {
        let mut problems = Vec::new();
        let mut extractors = if yaml.use_all_default_tags.unwrap_or(true) { extract::defaults() } else { Vec::new() };
        for (index, tag) in yaml.stats_tags.into_iter().enumerate() {
            let path = format!("stats_config.stats_tags[{index}]");
            if tag.tag_name.is_empty() {
                problems.push(format!("{path}.tag_name: it is empty; name the label"));
                continue;
            }
            match (tag.regex.filter(|regex| !regex.is_empty()), tag.fixed_value) {
                (Some(_), Some(_)) => {
                    problems.push(format!("{path}: it has both `regex` and `fixed_value`; keep one"));
                }
                (None, Some(value)) => extractors.push(Extractor::fixed(&tag.tag_name, &value)),
                (Some(regex), None) => match Extractor::regex(&tag.tag_name, &regex) {
                    Ok(extractor) => extractors.push(extractor),
                    Err(error) => problems.push(format!("{path}.regex: `{regex}`: {error}; mend the expression")),
                },
                (None, None) => {
                    let named = extract::defaults().into_iter().filter(|extractor| extractor.tag() == tag.tag_name);
                    let before = extractors.len();
                    extractors.extend(named);
                    if extractors.len() == before && !tag.tag_name.starts_with("envoy.") {
                        problems.push(format!(
                            "{path}: `{}` has no `regex` and Envoy has no default for it; give one",
                            tag.tag_name
                        ));
                    }
                }
            }
        }
        // A stable sort keeps the order of the file within both groups.
        extractors.sort_by_key(Extractor::is_prefixed);
        let mut buckets = Vec::new();
        for (index, setting) in yaml.histogram_bucket_settings.into_iter().enumerate() {
            let path = format!("stats_config.histogram_bucket_settings[{index}]");
            if setting.buckets.is_empty() || setting.buckets.iter().any(|bound| !bound.is_finite() || *bound <= 0.0) {
                problems.push(format!("{path}.buckets: every bound must be above 0 and there must be one; list them"));
            }
            let mut bounds = setting.buckets;
            bounds.sort_by(f64::total_cmp);
            bounds.dedup();
            match StringMatcher::build(setting.matcher) {
                Ok(matcher) => buckets.push((matcher, bounds)),
                Err(error) => problems.push(format!("{path}.match: {error}")),
            }
        }
        let filter = Self::filter(yaml.stats_matcher, &mut problems);
        if problems.is_empty() { Ok(Self { extractors, buckets, filter }) } else { Err(StatsConfigError(problems)) }
    }

    fn filter(yaml: Option<StatsMatcherYaml>, problems: &mut Vec<String>) -> StatsFilter {
        let Some(yaml) = yaml else {
            return StatsFilter::All;
        };
        let mut list = |name: &str, patterns: PatternsYaml| {
            let mut matchers = Vec::new();
            for (index, pattern) in patterns.patterns.into_iter().enumerate() {
                match StringMatcher::build(pattern) {
                    Ok(matcher) => matchers.push(matcher),
                    Err(error) => {
                        problems.push(format!("stats_config.stats_matcher.{name}.patterns[{index}]: {error}"))
                    }
                }
            }
            matchers
        };
        match (yaml.reject_all, yaml.inclusion_list, yaml.exclusion_list) {
            (None | Some(false), None, None) => StatsFilter::All,
            (Some(true), None, None) => StatsFilter::None,
            (None, Some(patterns), None) => StatsFilter::Only(list("inclusion_list", patterns)),
            (None, None, Some(patterns)) => StatsFilter::Except(list("exclusion_list", patterns)),
            _ => {
                problems.push(String::from(
                    "stats_config.stats_matcher: more than one of `reject_all`, `inclusion_list`, `exclusion_list`; \
                     keep one",
                ));
                StatsFilter::All
            }
        }
    }

    /// Name and tags of the stat `name`.
    #[must_use]
    pub fn tagged(&self, name: &str) -> TaggedName {
        extract::tagged(&self.extractors, name)
    }

    /// Upper bounds of the buckets of the histogram `name`, ascending, without the infinite one.
    #[must_use]
    pub fn buckets(&self, name: &str) -> &[f64] {
        self.buckets
            .iter()
            .find(|(matcher, _)| matcher.matches(name))
            .map_or(DEFAULT_BUCKETS.as_slice(), |(_, bounds)| bounds.as_slice())
    }

    /// Whether the stat `name` is kept at all (`stats_matcher`).
    #[must_use]
    pub fn keeps(&self, name: &str) -> bool {
        match &self.filter {
            StatsFilter::All => true,
            StatsFilter::None => false,
            StatsFilter::Only(matchers) => matchers.iter().any(|matcher| matcher.matches(name)),
            StatsFilter::Except(matchers) => !matchers.iter().any(|matcher| matcher.matches(name)),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatsConfigYaml {
    #[serde(default, alias = "statsTags")]
    stats_tags: Vec<TagYaml>,
    #[serde(default, alias = "useAllDefaultTags")]
    use_all_default_tags: Option<bool>,
    #[serde(default, alias = "statsMatcher")]
    stats_matcher: Option<StatsMatcherYaml>,
    #[serde(default, alias = "histogramBucketSettings")]
    histogram_bucket_settings: Vec<HistogramYaml>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TagYaml {
    #[serde(default, alias = "tagName")]
    tag_name: String,
    #[serde(default)]
    regex: Option<String>,
    #[serde(default, alias = "fixedValue")]
    fixed_value: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistogramYaml {
    #[serde(rename = "match")]
    matcher: StringMatcherYaml,
    #[serde(default)]
    buckets: Vec<f64>,
    /// Settings for native histograms, which the text format does not show.
    #[serde(default)]
    #[allow(dead_code, reason = "accepted because Envoy accepts it")]
    bins: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatsMatcherYaml {
    #[serde(default, alias = "rejectAll")]
    reject_all: Option<bool>,
    #[serde(default, alias = "inclusionList")]
    inclusion_list: Option<PatternsYaml>,
    #[serde(default, alias = "exclusionList")]
    exclusion_list: Option<PatternsYaml>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PatternsYaml {
    patterns: Vec<StringMatcherYaml>,
}

#[cfg(test)]
mod tests;

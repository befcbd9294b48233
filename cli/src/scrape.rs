//! Reads a proxy's metrics the way Prometheus does: `GET /stats/prometheus`, text exposition format 0.0.4.

mod parse;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

pub use parse::ParseError;

use crate::client;
use crate::quantile::Buckets;

/// One line of the exposition.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Its labels, in the order of the line.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

impl Sample {
    /// The value of one label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// All samples of one scrape, in the order they came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scrape {
    samples: Vec<Sample>,
}

impl Scrape {
    /// Parses text exposition; the error names the line.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Ok(Self { samples: parse::exposition(text)? })
    }

    /// Every sample.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The samples of one metric.
    pub fn metric<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }

    /// The sum of one metric over the series that carry all of `labels`.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.metric(name)
            .filter(|sample| labels.iter().all(|(key, value)| sample.label(key) == Some(value)))
            .map(|sample| sample.value)
            .sum()
    }

    /// The sum of one counter over the series that carry all of `labels`, as a whole number.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        whole(self.sum(name, labels))
    }

    /// One counter summed by the values of `by`; a series without one of these labels counts under an empty value.
    pub fn counts_by<const N: usize>(&self, name: &str, by: [&str; N]) -> BTreeMap<[String; N], u64> {
        let mut sums = BTreeMap::new();
        for sample in self.metric(name) {
            let key = by.map(|label| sample.label(label).unwrap_or_default().to_owned());
            *sums.entry(key).or_insert(0) += whole(sample.value);
        }
        sums
    }

    /// The cumulative buckets of one histogram (its `_bucket` series) summed by the values of `by`.
    pub fn buckets_by<const N: usize>(&self, name: &str, by: [&str; N]) -> BTreeMap<[String; N], Buckets> {
        let mut bounds: BTreeMap<[String; N], Vec<(f64, f64)>> = BTreeMap::new();
        for sample in self.metric(name) {
            let Some(bound) = sample.label("le").and_then(|le| parse::number(le).ok()) else { continue };
            let key = by.map(|label| sample.label(label).unwrap_or_default().to_owned());
            bounds.entry(key).or_default().push((bound, sample.value));
        }
        bounds.into_iter().map(|(key, buckets)| (key, Buckets::new(buckets))).collect()
    }

    /// Series that occur more than once, as `name{labels}`; a Prometheus refuses such a scrape.
    pub fn duplicates(&self) -> Vec<String> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            labels.sort();
            *seen.entry(format!("{}{labels:?}", sample.name)).or_default() += 1;
        }
        seen.into_iter().filter(|(_, times)| *times > 1).map(|(series, _)| series).collect()
    }
}

/// Fetches and parses `/stats/prometheus` of the proxy whose admin address this is.
pub async fn fetch(admin: SocketAddr) -> anyhow::Result<Scrape> {
    let answer = client::get(admin, "/stats/prometheus")
        .await
        .with_context(|| format!("no metrics from http://{admin}/stats/prometheus"))?;
    if answer.status != 200 {
        bail!("http://{admin}/stats/prometheus answered with status {}", answer.status);
    }
    let text =
        std::str::from_utf8(&answer.body).with_context(|| format!("http://{admin}/stats/prometheus is not UTF-8"))?;
    Scrape::parse(text).with_context(|| format!("http://{admin}/stats/prometheus"))
}

/// Scrapes until `done` says so, and returns the scrape that it accepted, or after `limit` the last one.
///
/// The filter hands its counts over once a tick, so a scrape right after the last answer may be short of some.
pub async fn wait_until(
    admin: SocketAddr,
    limit: Duration,
    mut done: impl FnMut(&Scrape) -> bool,
) -> anyhow::Result<Waited> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(20);
    loop {
        let scrape = fetch(admin).await?;
        if done(&scrape) {
            return Ok(Waited { scrape, in_time: true });
        }
        if Instant::now() >= deadline {
            return Ok(Waited { scrape, in_time: false });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}

/// The outcome of [`wait_until`].
#[derive(Debug, Clone)]
pub struct Waited {
    /// The last scrape.
    pub scrape: Scrape,
    /// Whether the condition held in it.
    pub in_time: bool,
}

/// A counter's value as a whole number; counters are integers below 2^53, which `f64` holds exactly.
fn whole(value: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter; the cast saturates")]
    let value = value.round() as u64;
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# TYPE a_total counter
a_total{method="GET",endpoint="/x",status="200"} 3
a_total{method="GET",endpoint="/y",status="200"} 4
a_total{method="POST",endpoint="/x",status="500"} 1
# TYPE d histogram
d_bucket{endpoint="/x",le="0.1"} 1
d_bucket{endpoint="/x",le="+Inf"} 2
d_bucket{endpoint="/y",le="0.1"} 5
d_bucket{endpoint="/y",le="+Inf"} 5
"#;

    #[test]
    fn sums_by_labels() {
        let scrape = Scrape::parse(TEXT).unwrap();
        assert_eq!(scrape.count("a_total", &[]), 8);
        assert_eq!(scrape.count("a_total", &[("status", "200")]), 7);
        let by = scrape.counts_by("a_total", ["method", "status"]);
        assert_eq!(by.get(&["GET".to_owned(), "200".to_owned()]), Some(&7));
        assert_eq!(by.len(), 2);
    }

    #[test]
    fn buckets_are_summed_by_bound() {
        let scrape = Scrape::parse(TEXT).unwrap();
        assert_eq!(scrape.buckets_by("d_bucket", []).get(&[]), Some(&Buckets::new([(0.1, 6.0), (f64::INFINITY, 7.0)])));
    }

    #[test]
    fn duplicates_are_found_whatever_the_order_of_labels() {
        let scrape = Scrape::parse("a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 1\na{y=\"2\"} 1\n").unwrap();
        assert_eq!(scrape.duplicates().len(), 1);
    }
}

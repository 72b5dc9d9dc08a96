//! What a scrape of the metrics reads.

use std::collections::BTreeMap;

use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::registry::Registry;

/// The samples of one scrape.
#[derive(Debug)]
pub(crate) struct Scrape {
    types: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    /// Reads what a registry shows. Every sample must belong to a metric with a help and a type.
    pub(crate) fn of(registry: &Registry) -> Self {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        let (mut types, mut helped) = (BTreeMap::new(), Vec::new());
        let mut samples = BTreeMap::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                helped.push(help.split_once(' ').unwrap().0.to_owned());
            } else if let Some(of) = line.strip_prefix("# TYPE ") {
                let (name, kind) = of.split_once(' ').unwrap();
                assert_eq!(helped.last().map(String::as_str), Some(name), "{line}");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}: a second time");
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let metric = helped.last().unwrap();
                assert!(sample.starts_with(metric), "{line} is not of {metric}");
                let value = value.parse().unwrap();
                assert!(samples.insert(sample.to_owned(), value).is_none(), "{line}: a second time");
            }
        }
        Self { types, samples }
    }

    /// The types of all metrics, by their names without the gateway's prefix.
    pub(crate) fn types(&self) -> BTreeMap<&str, &str> {
        let short = |name: &'_ str| name.len() - name.strip_prefix("roomkeeper_gateway_").unwrap().len();
        self.types.iter().map(|(name, kind)| (&name[short(name)..], kind.as_str())).collect()
    }

    /// The value of a sample of the gateway; 0 where it is not shown.
    pub(crate) fn value(&self, sample: &str) -> f64 {
        self.samples.get(&format!("roomkeeper_gateway_{sample}")).copied().unwrap_or(0.0)
    }
}

//! A summary: count, sum, and quantiles of the recent past.
//!
//! Histograms can be put together over several nodes and are what new dashboards should use. Web3Signer's
//! dashboard reads quantiles by name, and shows nothing where there are none.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily, MetricType, Quantile, Summary as SummaryValue};

/// The quantiles that Web3Signer gives.
const QUANTILES: [f64; 6] = [0.2, 0.5, 0.8, 0.95, 0.99, 1.0];
/// The past is kept in this many pieces.
const WINDOWS: usize = 5;
/// The length of one; together they are the ten minutes over which Web3Signer looks back.
const WINDOW: Duration = Duration::from_secs(120);
/// Longest time that is told from longer ones, in microseconds: a minute.
const LONGEST: u64 = 60_000_000;
/// Values are kept to two digits.
const DIGITS: u8 = 2;

/// Durations in seconds; clones share their content.
#[derive(Debug, Clone)]
pub(super) struct Summary {
    desc: Desc,
    values: Arc<Mutex<Values>>,
}

#[derive(Debug)]
struct Values {
    count: u64,
    sum: f64,
    /// The newest at the back, each with its beginning.
    windows: VecDeque<(Instant, Histogram<u64>)>,
}

impl Summary {
    /// `label` tells summaries of one name apart.
    pub(super) fn new(
        name: &str,
        help: &str,
        label: Option<(&str, &str)>,
    ) -> Result<Self, prometheus::Error> {
        let labels = label.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let labels = labels.into_iter().collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), Vec::new(), labels)?;
        let values = Values { count: 0, sum: 0.0, windows: VecDeque::new() };
        Ok(Self { desc, values: Arc::new(Mutex::new(values)) })
    }

    pub(super) fn observe(&self, elapsed: Duration) {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.observe(elapsed, Instant::now());
    }
}

impl Values {
    fn observe(&mut self, elapsed: Duration, now: Instant) {
        self.count += 1;
        self.sum += elapsed.as_secs_f64();
        self.forget(now);
        let current = self.windows.back().is_some_and(|(begun, _)| now < *begun + WINDOW);
        // It fails for bounds that make no sense, and these are constants.
        if !current && let Ok(window) = Histogram::new_with_max(LONGEST, DIGITS) {
            self.windows.push_back((now, window));
        }
        if let Some((_, window)) = self.windows.back_mut() {
            window.saturating_record(u64::try_from(elapsed.as_micros()).unwrap_or(LONGEST).max(1));
        }
    }

    fn forget(&mut self, now: Instant) {
        let past = WINDOW * u32::try_from(WINDOWS).unwrap_or(1);
        while self.windows.front().is_some_and(|(begun, _)| *begun + past <= now) {
            self.windows.pop_front();
        }
    }

    /// The value of each quantile in seconds; not a number where nothing was observed lately.
    fn quantiles(&mut self, now: Instant) -> Vec<(f64, f64)> {
        self.forget(now);
        let mut whole = Histogram::<u64>::new_with_max(LONGEST, DIGITS).ok();
        for (_, window) in &self.windows {
            whole = whole.and_then(|mut whole| whole.add(window).ok().map(|()| whole));
        }
        let value = |quantile| match &whole {
            Some(whole) if !whole.is_empty() => {
                Duration::from_micros(whole.value_at_quantile(quantile)).as_secs_f64()
            }
            _ => f64::NAN,
        };
        QUANTILES.iter().map(|quantile| (*quantile, value(*quantile))).collect()
    }
}

impl Collector for Summary {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut value = SummaryValue::default();
        {
            let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
            value.set_sample_count(values.count);
            value.set_sample_sum(values.sum);
            let quantiles = values.quantiles(Instant::now()).into_iter();
            let quantiles = quantiles.map(|(quantile, value)| {
                let mut pair = Quantile::default();
                pair.set_quantile(quantile);
                pair.set_value(value);
                pair
            });
            value.set_quantile(quantiles.collect());
        }
        let mut metric = Metric::default();
        metric.set_summary(value);
        metric.set_label(self.desc.const_label_pairs.clone());
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::SUMMARY);
        family.set_metric(vec![metric]);
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantile(values: &mut Values, wanted: f64, now: Instant) -> f64 {
        values.quantiles(now).into_iter().find(|(quantile, _)| *quantile == wanted).unwrap().1
    }

    #[test]
    fn quantiles_are_of_the_recent_past_and_count_and_sum_of_all_time() {
        let mut values = Values { count: 0, sum: 0.0, windows: VecDeque::new() };
        let begun = Instant::now();
        assert!(quantile(&mut values, 0.5, begun).is_nan());
        for milliseconds in 1..=100 {
            values.observe(Duration::from_millis(milliseconds), begun);
        }
        let median = quantile(&mut values, 0.5, begun);
        assert!((0.049..=0.051).contains(&median), "{median}");
        let longest = quantile(&mut values, 1.0, begun);
        assert!((0.099..=0.101).contains(&longest), "{longest}");

        let later = begun + WINDOW * 4;
        values.observe(Duration::from_secs(3600), later);
        assert!(quantile(&mut values, 1.0, later) >= 59.0);
        assert!(quantile(&mut values, 0.5, later) < 0.06);
        let much_later = begun + WINDOW * 5;
        assert!(quantile(&mut values, 0.2, much_later) >= 59.0);
        assert_eq!(values.count, 101);
        assert!((values.sum - 3605.05).abs() < 1e-6, "{}", values.sum);
    }
}

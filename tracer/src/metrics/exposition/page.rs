//! The text in the making: families of metrics come in, each with its values, and are written by the
//! encoder of `prometheus-client`.

use std::fmt::Error;

use prometheus_client::{
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
    },
    metrics::MetricType,
    registry::Unit,
};

use crate::metrics::histogram::Histogram;

/// A name, what stands behind it, and the unit, which the encoder adds to the name.
pub(super) type About<'a> = (&'a str, &'a str, Option<Unit>);
/// Names and values.
pub(super) type Labels<'a> = Vec<(&'a str, &'a str)>;

/// No unit: something is counted.
pub(super) const COUNT: Option<Unit> = None;
pub(super) const BYTES: Option<Unit> = Some(Unit::Bytes);
pub(super) const SECONDS: Option<Unit> = Some(Unit::Seconds);

pub(super) struct Page<'e>(pub(super) DescriptorEncoder<'e>);

impl Page<'_> {
    fn family<'s>(
        &'s mut self,
        (name, help, unit): &'s About<'_>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, Error> {
        self.0.encode_descriptor(name, help, unit.as_ref(), kind)
    }

    pub(super) fn info(&mut self, about: &About<'_>, labels: &Labels<'_>) -> Result<(), Error> {
        self.family(about, MetricType::Info)?.encode_info(labels)
    }

    pub(super) fn counter(
        &mut self,
        about: &About<'_>,
        value: impl EncodeCounterValue + Copy,
    ) -> Result<(), Error> {
        let mut family = self.family(about, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    pub(super) fn counters<'a>(
        &mut self,
        about: &About<'_>,
        values: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) -> Result<(), Error> {
        let mut family = self.family(about, MetricType::Counter)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    pub(super) fn gauge(
        &mut self,
        about: &About<'_>,
        value: impl EncodeGaugeValue + Copy,
    ) -> Result<(), Error> {
        self.family(about, MetricType::Gauge)?.encode_gauge(&value)
    }

    pub(super) fn gauges<'a>(
        &mut self,
        about: &About<'_>,
        values: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) -> Result<(), Error> {
        let mut family = self.family(about, MetricType::Gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// `scale` of what was observed are one unit.
    pub(super) fn histogram<const N: usize>(
        &mut self,
        about: &About<'_>,
        scale: f64,
        histogram: &Histogram<N>,
    ) -> Result<(), Error> {
        write(&mut self.family(about, MetricType::Histogram)?, scale, histogram)
    }

    /// The same of several, which a label tells apart.
    pub(super) fn histograms<'a, const N: usize>(
        &mut self,
        about: &About<'_>,
        scale: f64,
        values: impl IntoIterator<Item = (Labels<'a>, &'a Histogram<N>)>,
    ) -> Result<(), Error> {
        let mut family = self.family(about, MetricType::Histogram)?;
        for (labels, histogram) in values {
            write(&mut family.encode_family(&labels)?, scale, histogram)?;
        }
        Ok(())
    }
}

fn write<const N: usize>(
    encoder: &mut MetricEncoder<'_>,
    scale: f64,
    histogram: &Histogram<N>,
) -> Result<(), Error> {
    let in_units = |value: u64| value as f64 / scale;
    let buckets: Vec<_> = histogram
        .buckets()
        .map(|(bound, count)| (bound.map_or(f64::INFINITY, in_units), count))
        .collect();
    encoder.encode_histogram::<NoLabelSet>(
        in_units(histogram.sum()),
        histogram.count(),
        &buckets,
        None,
    )
}

/// One label with each of its values.
pub(super) fn by<'a>(
    label: &'a str,
    names: impl IntoIterator<Item = &'a str>,
    values: &'a [u64],
) -> impl Iterator<Item = (Labels<'a>, u64)> {
    names.into_iter().zip(values).map(move |(name, value)| (vec![(label, name)], *value))
}

/// Two labels with all of their values.
pub(super) fn by_both<'a, const COLUMNS: usize>(
    [row_label, column_label]: [&'a str; 2],
    rows: &'a [&'a str],
    columns: &'a [&'a str; COLUMNS],
    values: &'a [[u64; COLUMNS]],
) -> impl Iterator<Item = (Labels<'a>, u64)> {
    rows.iter().zip(values).flat_map(move |(row, values)| {
        let cells = columns.iter().zip(values);
        cells.map(move |(column, value)| (vec![(row_label, *row), (column_label, *column)], *value))
    })
}

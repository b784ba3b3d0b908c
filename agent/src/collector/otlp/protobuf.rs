//! `ExportMetricsServiceRequest` in protobuf.
//!
//! Field numbers are those of `opentelemetry/proto/metrics/v1/metrics.proto` (1.x): resource metrics 1 hold a resource 1
//! and scope metrics 2, these a scope 1 and metrics 2, and a metric its name 1 and one kind of data.

use super::point::{Attributes, Data, Origin, PARTS_MAX, Point, Points, Temporality};
use super::wire::{self, Message, fields, messages};
use crate::collector::fault::FaultKind;

/// Hands over all data points of the request.
///
/// # Errors
/// It is none, or was cut; what was handed over before does not count.
pub(super) fn decode(body: &[u8], points: &mut Points<'_>) -> Result<(), FaultKind> {
    for resource_metrics in messages(body, 1) {
        let resource_metrics = resource_metrics?;
        let mut origin = Origin::default();
        for resource in messages(resource_metrics, 1) {
            for attribute in messages(resource?, 1) {
                add_attribute(attribute?, &mut origin.resource)?;
            }
        }
        for scope_metrics in messages(resource_metrics, 2) {
            let scope_metrics = scope_metrics?;
            for scope in messages(scope_metrics, 1) {
                for name in messages(scope?, 1) {
                    origin.scope = wire::text(name?).into();
                }
            }
            for metric in messages(scope_metrics, 2) {
                add_metric(metric?, &origin, points)?;
            }
        }
    }
    Ok(())
}

/// The kind of data of a metric, by the number of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Number,
    Histogram,
    ExponentialHistogram,
    Summary,
}

fn add_metric(message: Message<'_>, origin: &Origin<'_>, points: &mut Points<'_>) -> Result<(), FaultKind> {
    let mut name = "";
    for field in messages(message, 1) {
        name = wire::text(field?);
    }
    for field in fields(message) {
        let field = field?;
        let shape = match field.number {
            5 | 7 => Shape::Number,
            9 => Shape::Histogram,
            10 => Shape::ExponentialHistogram,
            11 => Shape::Summary,
            _ => continue,
        };
        let data = field.message()?;
        let has_temporality = matches!(field.number, 7 | 9);
        let mut temporality = if has_temporality { Temporality::Unknown } else { Temporality::Cumulative };
        for field in fields(data) {
            let field = field?;
            if field.number == 2 && has_temporality {
                temporality = Temporality::of(field.varint()?);
            }
        }
        for point in messages(data, 1) {
            points.take(origin, name, temporality, &read_point(shape, point?)?);
        }
    }
    Ok(())
}

fn read_point(shape: Shape, message: Message<'_>) -> Result<Point<'_>, FaultKind> {
    let mut point = Point {
        attributes: Attributes::default(),
        start_ns: 0,
        time_ns: 0,
        is_empty: false,
        data: Data::ExponentialHistogram,
    };
    let (mut value, mut count, mut sum) = (None, 0, None);
    let (mut bounds, mut buckets, mut quantiles) = (Vec::new(), Vec::new(), Vec::new());
    for field in fields(message) {
        let field = field?;
        match (shape, field.number) {
            (_, 2) => point.start_ns = field.fixed64()?,
            (_, 3) => point.time_ns = field.fixed64()?,
            (Shape::Number | Shape::Summary, 7)
            | (Shape::Histogram, 9)
            | (Shape::ExponentialHistogram, 1) => add_attribute(field.message()?, &mut point.attributes)?,
            (Shape::Number | Shape::Summary, 8) | (Shape::Histogram | Shape::ExponentialHistogram, 10) => {
                point.is_empty = field.varint()? & 1 != 0;
            }
            (Shape::Number, 4) => value = Some(field.double()?),
            #[expect(clippy::cast_precision_loss, reason = "samples are doubles")]
            (Shape::Number, 6) => value = Some(field.fixed64()?.cast_signed() as f64),
            (Shape::Histogram | Shape::Summary, 4) => count = field.fixed64()?,
            (Shape::Histogram | Shape::Summary, 5) => sum = Some(field.double()?),
            (Shape::Histogram, 6) => field.extend_fixed64(&mut buckets, PARTS_MAX)?,
            (Shape::Histogram, 7) => field.extend_fixed64(&mut bounds, PARTS_MAX)?,
            (Shape::Summary, 6) if quantiles.len() == PARTS_MAX => return Err(FaultKind::TooLarge),
            (Shape::Summary, 6) => quantiles.push(quantile(field.message()?)?),
            _ => {}
        }
    }
    point.data = match shape {
        Shape::Number => Data::Number(value),
        Shape::ExponentialHistogram => Data::ExponentialHistogram,
        // Not optional there: without a field it is 0.
        Shape::Summary => Data::Summary { count, sum: sum.unwrap_or_default(), quantiles },
        Shape::Histogram => {
            let bounds = bounds.into_iter().map(f64::from_bits).collect();
            Data::Histogram { count, sum, bounds, buckets }
        }
    };
    Ok(point)
}

fn quantile(message: Message<'_>) -> Result<(f64, f64), FaultKind> {
    let (mut quantile, mut value) = (0.0, 0.0);
    for field in fields(message) {
        let field = field?;
        match field.number {
            1 => quantile = field.double()?,
            2 => value = field.double()?,
            _ => {}
        }
    }
    Ok((quantile, value))
}

fn add_attribute<'a>(message: Message<'a>, attributes: &mut Attributes<'a>) -> Result<(), FaultKind> {
    let mut key = "";
    let mut scalar = Some("".into());
    for field in fields(message) {
        let field = field?;
        match field.number {
            1 => key = wire::text(field.message()?),
            2 => {
                for field in fields(field.message()?) {
                    let field = field?;
                    scalar = match field.number {
                        1 => Some(wire::text(field.message()?).into()),
                        2 => Some((field.varint()? != 0).to_string().into()),
                        3 => Some(field.varint()?.cast_signed().to_string().into()),
                        4 => Some(field.double()?.to_string().into()),
                        _ => None,
                    };
                }
            }
            _ => {}
        }
    }
    attributes.push(key.into(), scalar);
    Ok(())
}

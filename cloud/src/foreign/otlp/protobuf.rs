//! `ExportMetricsServiceRequest` in protobuf.
//!
//! Field numbers are those of `opentelemetry/proto/metrics/v1/metrics.proto` (1.x): resource metrics 1 hold a resource 1
//! and scope metrics 2, these a scope 1 and metrics 2, and a metric its name 1 and one kind of data.

use storepulse_shared::limits::SAMPLES_MAX;

use super::points::{Attributes, Metric, Origin, Point, Points, Shape};
use crate::foreign::body::BodyError;
use crate::foreign::protobuf::{Broken, Message};

/// Hands over all data points of the request.
///
/// # Errors
/// It is broken, or has too many samples.
pub(super) fn decode(body: &[u8], points: &mut Points) -> Result<(), BodyError> {
    for resource_metrics in Message::of_body(body).all(1) {
        let resource_metrics = resource_metrics?.message()?;
        let mut attributes = Attributes::of_resource();
        for resource in resource_metrics.all(1) {
            for attribute in resource?.message()?.all(1) {
                add_attribute(attribute?.message()?, &mut attributes)?;
            }
        }
        let origin = Origin::of(attributes);
        for scope_metrics in resource_metrics.all(2) {
            add_scope(scope_metrics?.message()?, &origin, points)?;
        }
    }
    Ok(())
}

fn add_scope(message: Message<'_>, origin: &Origin, points: &mut Points) -> Result<(), BodyError> {
    let mut name = "";
    for scope in message.all(1) {
        for field in scope?.message()?.all(1) {
            name = text(field?.message()?);
        }
    }
    let origin = origin.in_scope(name);
    for metric in message.all(2) {
        add_metric(metric?.message()?, &origin, points)?;
    }
    Ok(())
}

fn add_metric(message: Message<'_>, origin: &Origin, points: &mut Points) -> Result<(), BodyError> {
    let mut name = "";
    for field in message.all(1) {
        name = text(field?.message()?);
    }
    for field in message.fields() {
        let field = field?;
        let shape = match field.number {
            5 => Shape::Gauge,
            7 => Shape::Sum,
            9 => Shape::Histogram,
            10 => Shape::ExponentialHistogram,
            11 => Shape::Summary,
            _ => continue,
        };
        let data = field.message()?;
        let mut temporality = 0;
        if matches!(shape, Shape::Sum | Shape::Histogram) {
            for field in data.all(2) {
                temporality = field?.varint()?;
            }
        }
        let metric = Metric { name: name.into(), shape, temporality };
        for point in data.all(1) {
            points.add(origin, &metric, &read_point(shape, point?.message()?)?)?;
        }
    }
    Ok(())
}

fn read_point(shape: Shape, message: Message<'_>) -> Result<Point<'_>, Broken> {
    let mut point = Point::default();
    let mut bounds = Vec::new();
    for field in message.fields() {
        let field = field?;
        match (shape, field.number) {
            (_, 3) => point.time_ns = field.fixed64()?,
            (Shape::Gauge | Shape::Sum | Shape::Summary, 7) | (Shape::Histogram, 9) => {
                add_attribute(field.message()?, &mut point.attributes)?;
            }
            (Shape::Gauge | Shape::Sum | Shape::Summary, 8)
            | (Shape::Histogram | Shape::ExponentialHistogram, 10) => point.flags = field.varint()?,
            (Shape::Gauge | Shape::Sum, 4) => point.value = Some(field.double()?),
            #[expect(clippy::cast_precision_loss, reason = "samples are doubles")]
            (Shape::Gauge | Shape::Sum, 6) => point.value = Some(field.fixed64()?.cast_signed() as f64),
            (Shape::Histogram | Shape::Summary, 4) => point.count = field.fixed64()?,
            (Shape::Histogram | Shape::Summary, 5) => point.sum = Some(field.double()?),
            (Shape::Histogram, 6) => field.extend_fixed64(&mut point.buckets)?,
            (Shape::Histogram, 7) => field.extend_fixed64(&mut bounds)?,
            // One more than can be stored is enough to be too many.
            (Shape::Summary, 6) if point.quantiles.len() <= SAMPLES_MAX => {
                point.quantiles.push(quantile(field.message()?)?);
            }
            _ => {}
        }
    }
    point.bounds = bounds.into_iter().map(f64::from_bits).collect();
    if shape == Shape::Summary {
        // Not optional there: without a field it is 0.
        point.sum = point.sum.or(Some(0.0));
    }
    Ok(point)
}

fn quantile(message: Message<'_>) -> Result<(f64, f64), Broken> {
    let (mut quantile, mut value) = (0.0, 0.0);
    for field in message.fields() {
        let field = field?;
        match field.number {
            1 => quantile = field.double()?,
            2 => value = field.double()?,
            _ => {}
        }
    }
    Ok((quantile, value))
}

fn add_attribute<'a>(message: Message<'a>, attributes: &mut Attributes<'a>) -> Result<(), Broken> {
    let mut key = "";
    let mut scalar = Some("".into());
    for field in message.fields() {
        let field = field?;
        match field.number {
            1 => key = text(field.message()?),
            2 => {
                for field in field.message()?.fields() {
                    let field = field?;
                    scalar = match field.number {
                        1 => Some(text(field.message()?).into()),
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

/// What is no text becomes one that no name can be.
fn text(message: Message<'_>) -> &str {
    message.text().unwrap_or("\0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::protobuf::by_hand::{bytes, double, fixed64, varint};

    fn attribute(number: u64, key: &str, value: &[u8]) -> Vec<u8> {
        bytes(number, &[bytes(1, key.as_bytes()), bytes(2, value)].concat())
    }

    /// A request with one metric, whose data has this number and content.
    fn request(number: u64, data: &[u8]) -> Vec<u8> {
        let metric = [bytes(1, b"m"), bytes(number, data)].concat();
        let scope = bytes(2, &[bytes(1, &bytes(1, b"lib")), bytes(2, &metric)].concat());
        let resource = bytes(1, &attribute(1, "service.name", &bytes(1, b"till")));
        bytes(1, &[scope, resource].concat())
    }

    fn samples(body: &[u8]) -> Vec<(String, i64, f64)> {
        let mut points = Points::default();
        decode(body, &mut points).unwrap();
        let batches = points.gathered.take_batches("otlp").unwrap();
        let of = |f: &storepulse_shared::batch::Frame<'_>| {
            (f.columns[0].series.clone().into_owned(), f.times[0], f.columns[0].values[0])
        };
        batches[0].frames.iter().map(of).collect()
    }

    #[test]
    fn numbers_are_read_with_attributes_of_every_scalar_type() {
        let point = [
            attribute(7, "s", &bytes(1, b"x")),
            attribute(7, "b", &varint(2, 1)),
            attribute(7, "i", &varint(3, (-3_i64).cast_unsigned())),
            attribute(7, "d", &double(4, 0.5)),
            fixed64(2, 1),
            fixed64(3, 1_763_700_000_000_999_999),
            fixed64(6, (-7_i64).cast_unsigned()),
        ];
        let body = request(5, &bytes(1, &point.concat()));
        let name = r#"m{b="true",d="0.5",i="-3",otel.scope.name="lib",s="x",service.name="till"}"#;
        assert_eq!(samples(&body), [(name.to_owned(), 1_763_700_000_000, -7.0)]);
    }

    #[test]
    fn cumulative_sums_histograms_and_summaries_are_read() {
        let sum = [varint(2, 2), bytes(1, &[fixed64(3, 1), double(4, 2.5)].concat())].concat();
        assert_eq!(samples(&request(7, &sum))[0].2, 2.5);
        let bounds = [1.0_f64.to_le_bytes(), 2.0_f64.to_le_bytes()].concat();
        let counts = [3_u64.to_le_bytes(), 4_u64.to_le_bytes(), 5_u64.to_le_bytes()].concat();
        let point =
            [fixed64(3, 1), fixed64(4, 12), double(5, 9.0), bytes(6, &counts), bytes(7, &bounds)].concat();
        let values: Vec<f64> =
            samples(&request(9, &[bytes(1, &point), varint(2, 2)].concat())).iter().map(|s| s.2).collect();
        assert_eq!(values, [12.0, 3.0, 7.0, 12.0, 9.0], "+Inf, 1, 2, count, sum");
        let quantile = bytes(6, &[double(1, 0.5), double(2, 4.0)].concat());
        let summary = request(11, &bytes(1, &[fixed64(3, 1), fixed64(4, 2), quantile].concat()));
        let values: Vec<f64> = samples(&summary).iter().map(|s| s.2).collect();
        assert_eq!(values, [2.0, 0.0, 4.0], "count, sum, quantile");
    }

    #[test]
    fn a_body_cut_off_anywhere_is_broken() {
        let body = request(5, &bytes(1, &[fixed64(3, 1), double(4, 1.0)].concat()));
        for cut in 1..body.len() {
            assert!(decode(&body[..cut], &mut Points::default()).is_err(), "cut at {cut}");
        }
    }
}

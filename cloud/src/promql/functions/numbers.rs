//! Value by value: roundings, limits, logarithms, trigonometry.

use super::{Element, Shape};

pub(super) fn find(name: &str) -> Option<Shape> {
    let compute: fn(f64, &[f64]) -> Option<f64> = match name {
        "abs" => |v, _| Some(v.abs()),
        "ceil" => |v, _| Some(v.ceil()),
        "floor" => |v, _| Some(v.floor()),
        "round" => |v, to| Some(round(v, to.first().copied().unwrap_or(1.0))),
        "clamp" => |v, to| clamp(v, to),
        "clamp_max" => |v, to| to.first().map(|most| lower(v, *most)),
        "clamp_min" => |v, to| to.first().map(|least| higher(v, *least)),
        "sgn" => |v, _| Some(if v == 0.0 || v.is_nan() { v } else { v.signum() }),
        "sqrt" => |v, _| Some(v.sqrt()),
        "exp" => |v, _| Some(v.exp()),
        "ln" => |v, _| Some(v.ln()),
        "log2" => |v, _| Some(v.log2()),
        "log10" => |v, _| Some(v.log10()),
        "deg" => |v, _| Some(v * 180.0 / std::f64::consts::PI),
        "rad" => |v, _| Some(v * std::f64::consts::PI / 180.0),
        "sin" => |v, _| Some(v.sin()),
        "cos" => |v, _| Some(v.cos()),
        "tan" => |v, _| Some(v.tan()),
        "asin" => |v, _| Some(v.asin()),
        "acos" => |v, _| Some(v.acos()),
        "atan" => |v, _| Some(v.atan()),
        "sinh" => |v, _| Some(v.sinh()),
        "cosh" => |v, _| Some(v.cosh()),
        "tanh" => |v, _| Some(v.tanh()),
        "asinh" => |v, _| Some(v.asinh()),
        "acosh" => |v, _| Some(v.acosh()),
        "atanh" => |v, _| Some(v.atanh()),
        _ => return None,
    };
    Some(Shape::Element(Element { compute }))
}

/// To the nearest multiple; halves go up.
fn round(value: f64, to: f64) -> f64 {
    let inverse = 1.0 / to;
    (value * inverse + 0.5).floor() / inverse
}

/// Nothing if the limits leave no room.
fn clamp(value: f64, limits: &[f64]) -> Option<f64> {
    match limits {
        [least, most] if most < least => None,
        [least, most] => Some(higher(*least, lower(*most, value))),
        _ => None,
    }
}

/// NaN if either is.
fn lower(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// NaN if either is.
fn higher(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: f64, parameters: &[f64]) -> Option<f64> {
        let Some(Shape::Element(element)) = find(name) else { panic!("{name}") };
        (element.compute)(value, parameters)
    }

    #[test]
    fn values_are_rounded_halves_up() {
        assert_eq!([of("round", 2.5, &[]), of("round", -2.5, &[])], [Some(3.0), Some(-2.0)]);
        assert_eq!(of("round", 7.3, &[5.0]), Some(5.0));
        assert_eq!([of("ceil", 1.2, &[]), of("floor", -1.2, &[])], [Some(2.0), Some(-2.0)]);
    }

    #[test]
    fn values_are_held_between_limits() {
        assert_eq!(of("clamp", 7.0, &[1.0, 5.0]), Some(5.0));
        assert_eq!(of("clamp", 0.0, &[1.0, 5.0]), Some(1.0));
        assert_eq!(of("clamp", 0.0, &[5.0, 1.0]), None);
        assert_eq!([of("clamp_min", 0.0, &[1.0]), of("clamp_max", 2.0, &[1.0])], [Some(1.0), Some(1.0)]);
        assert!(of("clamp_min", f64::NAN, &[1.0]).unwrap().is_nan());
    }

    #[test]
    fn the_sign_of_nothing_is_nothing() {
        assert_eq!(
            [of("sgn", -3.0, &[]), of("sgn", 0.0, &[]), of("sgn", 2.0, &[])],
            [Some(-1.0), Some(0.0), Some(1.0)]
        );
        assert!(of("sgn", f64::NAN, &[]).unwrap().is_nan());
    }

    #[test]
    fn logarithms_end_at_zero() {
        assert_eq!(of("ln", 0.0, &[]), Some(f64::NEG_INFINITY));
        assert!(of("log2", -1.0, &[]).unwrap().is_nan());
        assert_eq!(
            [of("log2", 8.0, &[]), of("log10", 1_000.0, &[]), of("exp", 0.0, &[])],
            [Some(3.0), Some(3.0), Some(1.0)]
        );
        assert_eq!(
            [of("deg", std::f64::consts::PI, &[]), of("rad", 180.0, &[])],
            [Some(180.0), Some(std::f64::consts::PI)]
        );
    }
}

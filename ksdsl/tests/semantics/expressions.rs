//! Values of expressions, by hand.

use crate::{codes, compiled};
use ksdsl::value::Value;

fn value(expression: &str) -> Value {
    let text = format!("net n(value = {expression}) {{ input 3; relu }}");
    let compilation = compiled(&text);
    assert!(
        compilation.diagnostics.is_empty(),
        "{expression}: {:?}",
        compilation.diagnostics
    );
    compilation.networks[0].parameters[0].1.clone()
}

#[test]
fn whole_numbers() {
    for (expression, expected) in [
        ("7 % 3", 1),
        ("-7 % 3", 2),
        ("floor_div(7, 2)", 3),
        ("floor_div(-7, 2)", -4),
        ("floor_div(7, -2)", -4),
        ("floor_div(-7, -2)", 3),
        ("floor_div(8, 2)", 4),
        ("floor_div(-8, 2)", -4),
        ("floor_div(-1, 2)", -1),
        ("ceil_div(7, 2)", 4),
        ("ceil_div(-7, 2)", -3),
        ("ceil_div(7, -2)", -3),
        ("ceil_div(-7, -2)", 4),
        ("ceil_div(8, 2)", 4),
        ("ceil_div(-8, 2)", -4),
        ("ceil_div(1, 2)", 1),
        ("min(3, 2)", 2),
        ("max(3, 2)", 3),
        ("min(-3, -2)", -3),
        ("select(true, 1, 2)", 1),
        ("select(false, 1, 2)", 2),
        ("6 / 3 - 5 * 2", -8),
        ("-(2 + 3)", -5),
        ("9223372036854775807", i64::MAX),
    ] {
        assert_eq!(value(expression), Value::Int(expected), "{expression}");
    }
}

#[test]
fn numbers_with_a_fraction() {
    for (expression, expected) in [
        ("0.5 + 1", 1.5),
        ("1 - 0.25", 0.75),
        ("0.5 * 3", 1.5),
        ("3 / 2.0", 1.5),
        ("-1.5 % 1", 0.5),
        ("5.5 % 2", 1.5),
        ("-0.5", -0.5),
        ("min(0.5, 1)", 0.5),
        ("max(0.5, 0.75)", 0.75),
        ("sqrt(2.25)", 1.5),
        ("sqrt(4)", 2.0),
    ] {
        assert_eq!(value(expression), Value::Float(expected), "{expression}");
    }
    // Of two equal numbers the first, with its type.
    assert_eq!(value("min(1, 1.0)"), Value::Int(1));
    assert_eq!(value("max(1.0, 1)"), Value::Float(1.0));
}

#[test]
fn truth_values() {
    for (expression, expected) in [
        ("1 < 2", true),
        ("2 < 2", false),
        ("2 <= 2", true),
        ("3 <= 2", false),
        ("3 > 2", true),
        ("2 > 2", false),
        ("2 >= 2", true),
        ("1 >= 2", false),
        ("2 == 2", true),
        ("2 == 3", false),
        ("2 != 2", false),
        ("2 != 3", true),
        ("2 == 2.0", true),
        ("1.5 < 2", true),
        ("2.5 >= 2", true),
        ("2.5 != 2", true),
        ("true == true", true),
        ("true == false", false),
        ("true != false", true),
        ("false != false", false),
        ("true and false", false),
        ("true and true", true),
        ("false or true", true),
        ("false or false", false),
        ("not true", false),
        ("not false and false", false),
        ("true or true and false", true),
    ] {
        assert_eq!(value(expression), Value::Bool(expected), "{expression}");
    }
}

/// Errors by their codes: wrong types, division by zero, inexact division, overflow.
#[test]
fn what_has_no_value() {
    let code = |expression: &str| codes(&format!("net n(value = {expression}) {{ input 3; relu }}"));
    let of = |text: &str| code(text).join(" ");
    assert_eq!(of("sqrt(-1)"), "KS0024");
    let (zero, inexact, overflow, wrong) = (of("1 / 0"), of("7 / 2"), of("9223372036854775807 + 1"), of("1 + true"));
    let mut all = vec![&zero, &inexact, &overflow, &wrong];
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4, "{all:?}");
    for (expected, expressions) in [
        (
            &zero,
            &[
                "1 % 0",
                "1 / 0.0",
                "1.5 / 0",
                "1.5 % 0.0",
                "floor_div(1, 0)",
                "ceil_div(1, 0)",
            ][..],
        ),
        (&inexact, &["1 / 2", "-7 / 3"]),
        (
            &overflow,
            &["9223372036854775807 * 2", "-9223372036854775807 - 2", "1e300 * 1e300"],
        ),
        (
            &wrong,
            &[
                "true + 1",
                "1 and true",
                "true and 1",
                "1 or false",
                "false or 2",
                "not 1",
                "-true",
                "true < 1",
                "1 == true",
                "select(1, 2, 3)",
                "min(true, 1)",
                "max(1, false)",
                "floor_div(1.5, 2)",
                "sqrt(true)",
                "ceil_div(4, 2.0)",
            ],
        ),
    ] {
        for expression in expressions {
            assert_eq!(&of(expression), expected, "{expression}");
        }
    }
}

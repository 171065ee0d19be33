//! A unit as text.

use super::roll::{Item, roll};
use super::{Arg, Array, Call, Data, Unit, kernels};
use crate::steps::Place;
use std::fmt::Write;

/// A C file and its header.
#[derive(Clone, Debug)]
pub struct Files {
    /// The C file.
    pub source: String,
    /// The header.
    pub header: String,
}

/// Characters of a line of numbers.
const LINE: usize = 110;

pub(super) fn files(unit: &Unit, header: &str, comment: &[String]) -> Files {
    Files {
        source: source(unit, header, comment),
        header: self::header(unit, comment),
    }
}

fn comment_of(lines: &[String]) -> String {
    let safe = |line: &String| line.replace("*/", "* /");
    let lines: Vec<String> = lines.iter().map(safe).collect();
    format!("/* {} */\n", lines.join("\n * "))
}

/// `digits_run(const float *input, float *output)`.
fn signature(unit: &Unit) -> String {
    let element = unit.element;
    let inputs = unit.inputs.iter().map(|(name, _)| format!("const {element} *{name}"));
    let outputs = unit.outputs.iter().map(|(name, _)| format!("{element} *{name}"));
    let all: Vec<String> = inputs.chain(outputs).collect();
    format!("void {}_run({})", unit.name, all.join(", "))
}

fn header(unit: &Unit, comment: &[String]) -> String {
    let upper = unit.name.to_uppercase();
    let mut text = comment_of(comment);
    let _ = write!(
        text,
        "#ifndef KSDSL_{upper}_H\n#define KSDSL_{upper}_H\n\n#include <stdint.h>\n\n"
    );
    text.push_str("#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    for (name, len) in unit.inputs.iter().chain(&unit.outputs) {
        let _ = writeln!(text, "#define {upper}_{}_LEN {len}", name.to_uppercase());
    }
    for line in &unit.header {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(
        "\n/* Runs the network on one item. Values are laid out as in PyTorch: channel by channel, row by row. Inputs and\n \
         * outputs must not overlap. Activations are in one static arena, so calls must not overlap in time either. */\n",
    );
    let _ = writeln!(text, "{};", signature(unit));
    for (declaration, _) in &unit.functions {
        let _ = writeln!(text, "\n{declaration};");
    }
    text.push_str("\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    text
}

fn source(unit: &Unit, header: &str, comment: &[String]) -> String {
    let items = roll(&unit.rows);
    let mut names: Vec<&str> = unit.calls().map(|call| call.kernel).collect();
    names.extend(&unit.helpers);
    let mut kinds: Vec<&str> = unit.sizes.iter().map(|(kind, ..)| *kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let functions = kernels::functions(unit.element, unit.of_value.values(), &names);
    let mut text = comment_of(comment);
    let _ = writeln!(text, "#include \"{header}\"\n\n#include <stdint.h>");
    if functions.iter().any(|part| part.math) {
        text.push_str("#include <math.h>\n");
    }
    for part in kernels::structs(&kinds).iter().chain(&functions) {
        let _ = write!(text, "\n{}", part.text);
    }
    if !unit.sizes.is_empty() {
        text.push('\n');
    }
    for (kind, name, content) in &unit.sizes {
        let _ = writeln!(
            text,
            "static const struct {kind} {name} = {{{}}};",
            braces(kind, content)
        );
    }
    unit.arrays.iter().for_each(|of| array(of, &mut text));
    if unit.arena.len > 0 {
        let _ = writeln!(text, "\nstatic {} arena[{}];", unit.element, unit.arena.len);
    }
    for (at, item) in items.iter().enumerate() {
        table(unit, item, at, &mut text);
    }
    let _ = writeln!(text, "\n{}\n{{", signature(unit));
    let loops = [
        ("i", items.iter().any(|item| item.rounds.len() > 1)),
        ("j", unit.rows.iter().any(|row| row.slices > 1)),
    ];
    let loops: Vec<&str> = loops.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
    if !loops.is_empty() {
        let _ = writeln!(text, "    uint32_t {};", loops.join(", "));
    }
    for (at, item) in items.iter().enumerate() {
        body(unit, item, at, &mut text);
    }
    text.push_str("}\n");
    for (_, function) in &unit.functions {
        let _ = write!(text, "\n{function}");
    }
    text
}

/// The numbers of a struct, those of arrays in it in braces.
fn braces(kind: &str, content: &str) -> String {
    if kind != "ksn_move" {
        return content.to_owned();
    }
    let numbers: Vec<&str> = content.split(", ").collect();
    let part = |range: std::ops::Range<usize>| format!("{{{}}}", numbers[range].join(", "));
    [part(0..3), part(3..7), part(7..11)].join(", ")
}

fn array(of: &Array, text: &mut String) {
    let (word, name) = (of.data.word(), &of.name);
    let origin = of.origin.replace("*/", "* /");
    let (len, elements): (usize, Box<dyn Iterator<Item = String>>) = match &of.data {
        Data::F32(data) => (data.len(), Box::new(data.iter().map(|value| real(*value)))),
        Data::I8(data) => (data.len(), Box::new(data.iter().map(i8::to_string))),
        Data::I16(data) => (data.len(), Box::new(data.iter().map(i16::to_string))),
        Data::I32(data) => (data.len(), Box::new(data.iter().map(i32::to_string))),
    };
    let _ = writeln!(text, "\n/* {origin} */\nstatic const {word} {name}[{len}] = {{");
    let mut line = String::new();
    for element in elements {
        if line.len() + element.len() > LINE {
            let _ = writeln!(text, "    {}", line.trim_end());
            line.clear();
        }
        let _ = write!(line, "{element}, ");
    }
    let _ = writeln!(text, "    {}\n}};", line.trim_end().trim_end_matches(','));
}

/// A number as the literal in C that is exactly it.
pub(super) fn real(value: f32) -> String {
    let bits = value.to_bits();
    let sign = if bits >> 31 == 1 { "-" } else { "" };
    let (exponent, fraction) = ((bits >> 23 & 0xff) as i32, bits & 0x7f_ffff);
    if exponent == 0 && fraction == 0 {
        return format!("{sign}0.0f");
    }
    // The fraction has 23 bits, 6 digits with one bit of zero.
    let digits = format!("{:06x}", fraction << 1);
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    match exponent {
        0 => format!("{sign}0x0{point}{digits}p-126f"),
        exponent => format!("{sign}0x1{point}{digits}p{}f", exponent - 127),
    }
}

/// The type of a column of a table.
fn column_type(arg: &Arg, unit: &Unit) -> String {
    match arg {
        Arg::Array(Some(at)) => format!("const {} *", unit.arrays[*at].data.word()),
        Arg::Int(_) => "int32_t ".to_owned(),
        Arg::Real(_) => "float ".to_owned(),
        Arg::Struct(kind, _) => format!("const struct {kind} *"),
        Arg::Array(None) | Arg::Buffer(_) => "uint32_t ".to_owned(),
        Arg::Slice(whole, _) => column_type(whole, unit),
    }
}

/// An argument in a table.
fn cell(arg: &Arg, unit: &Unit) -> String {
    match arg {
        Arg::Array(Some(at)) => unit.arrays[*at].name.clone(),
        Arg::Array(None) => "0".to_owned(),
        Arg::Struct(_, at) => format!("&{}", unit.sizes[*at].1),
        Arg::Int(value) => value.to_string(),
        Arg::Real(value) => real(*value),
        Arg::Buffer(Place::Arena(at)) => at.to_string(),
        Arg::Buffer(Place::Input(at) | Place::Output(at)) => at.to_string(),
        Arg::Slice(whole, _) => cell(whole, unit),
    }
}

/// The table of what differs between the iterations of a loop.
fn table(unit: &Unit, item: &Item<'_>, at: usize, text: &mut String) {
    if item.columns.is_empty() {
        return;
    }
    text.push_str("\nstatic const struct {\n");
    for (column, args) in item.columns.iter().enumerate() {
        let _ = writeln!(text, "    {}a{column};", column_type(args[0], unit));
    }
    let _ = writeln!(text, "}} visits_{at}[{}] = {{", item.rounds.len());
    for round in 0..item.rounds.len() {
        let cells: Vec<String> = item.columns.iter().map(|args| cell(args[round], unit)).collect();
        let _ = writeln!(text, "    {{{}}},", cells.join(", "));
    }
    text.push_str("};\n");
}

/// The calls of an item.
fn body(unit: &Unit, item: &Item<'_>, at: usize, text: &mut String) {
    let rounds = item.rounds.len();
    let indent = if rounds > 1 { "        " } else { "    " };
    if rounds > 1 {
        let _ = writeln!(text, "    for (i = 0; i < {rounds}; i++) {{");
    }
    let mut places = item.places.iter();
    for row in item.rounds[0] {
        let more = if row.slices > 1 { "    " } else { "" };
        if row.slices > 1 {
            let _ = writeln!(text, "{indent}for (j = 0; j < {}; j++) {{", row.slices);
        }
        for (call, places) in row.calls.iter().zip(&mut places) {
            let cell = |column: usize| format!("visits_{at}[i].a{column}");
            let args = call.args.iter().zip(places);
            let args: Vec<String> = args.map(|(arg, column)| value(unit, arg, column.map(cell))).collect();
            let (function, args, place) = (function(call), args.join(", "), place(call));
            let _ = writeln!(text, "{indent}{more}{function}({args}); /* {place} */");
        }
        if row.slices > 1 {
            let _ = writeln!(text, "{indent}}}");
        }
    }
    if rounds > 1 {
        text.push_str("    }\n");
    }
}

/// An argument, or what stands in the table in its place.
fn value(unit: &Unit, arg: &Arg, in_table: Option<String>) -> String {
    match (arg, in_table) {
        (Arg::Slice(whole, distance), in_table) => {
            let first = value(unit, whole, in_table);
            match distance {
                1 => format!("{first} + j"),
                _ => format!("{first} + {distance} * j"),
            }
        }
        (Arg::Buffer(_), Some(cell)) => format!("arena + {cell}"),
        (_, Some(cell)) => cell,
        (Arg::Buffer(Place::Arena(at)), None) => format!("arena + {at}"),
        (Arg::Buffer(Place::Input(at)), None) => unit.inputs[*at].0.clone(),
        (Arg::Buffer(Place::Output(at)), None) => unit.outputs[*at].0.clone(),
        (arg, None) => cell(arg, unit),
    }
}

fn function(call: &Call) -> String {
    match call.kernel.starts_with("ksn_") {
        true => call.kernel.to_owned(),
        false => format!("ksn_{}", call.kernel),
    }
}

fn place(call: &Call) -> String {
    call.place.replace("*/", "* /")
}

#[cfg(test)]
mod tests {
    /// `float.hex` of Python.
    #[test]
    fn literals_are_exact() {
        for (value, expected) in [
            (1.0, "0x1p0f"),
            (-0.1, "-0x1.99999ap-4f"),
            (0.0, "0.0f"),
            (-0.0, "-0.0f"),
            (f32::MAX, "0x1.fffffep127f"),
            (f32::MIN_POSITIVE, "0x1p-126f"),
            (1e-45, "0x0.000002p-126f"),
        ] {
            assert_eq!(super::real(value), expected);
        }
    }
}

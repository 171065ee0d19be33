//! Inputs with their outputs as a header, to compare what a device computes.

use crate::quantize::{Quantized, infer, quantized};
use crate::steps::{Program, run};
use ksdsl_train_core::program::data::Data;
use std::fmt::{Display, Write};

/// The first validation images: labels, inputs and outputs, in single precision and in integers.
pub(super) fn header(program: &Program, integers: &Quantized, data: &Data, count: usize) -> String {
    let images: Vec<_> = data.validation.iter().take(count).collect();
    let singles: Vec<Vec<f32>> = images.iter().map(|image| data.scaling.apply(image.pixels)).collect();
    let scale = integers.scales[program.inputs[0].buffer];
    let inputs: Vec<Vec<i8>> = singles.iter().map(|image| quantized(image, scale)).collect();
    let outputs = singles.iter().map(|image| run(program, &[image], |_, _| {}).remove(0));
    let outputs: Vec<Vec<f32>> = outputs.collect();
    let integer_outputs = inputs.iter().map(|image| infer(integers, &[image]).remove(0));
    let integer_outputs: Vec<Vec<i8>> = integer_outputs.collect();
    let labels: Vec<usize> = images.iter().map(|image| image.label).collect();
    let mut text = format!(
        "/* Validation images and the outputs of `{}` for them. */\n#include <stdint.h>\n\n#define SAMPLES {}\n",
        program.name,
        images.len()
    );
    let _ = writeln!(
        text,
        "static const uint16_t sample_labels[SAMPLES] = {{{}}};",
        joined(&labels)
    );
    let real = |value: &f32| format!("{value:?}f");
    rows(&mut text, "float sample_inputs", &singles, real);
    rows(&mut text, "float sample_outputs", &outputs, real);
    rows(&mut text, "int8_t sample_integer_inputs", &inputs, i8::to_string);
    rows(
        &mut text,
        "int8_t sample_integer_outputs",
        &integer_outputs,
        i8::to_string,
    );
    text
}

fn joined<T: Display>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn rows<T>(text: &mut String, name: &str, rows: &[Vec<T>], word: impl Fn(&T) -> String) {
    let len = rows.first().map_or(0, Vec::len);
    let _ = writeln!(text, "\nstatic const {name}[SAMPLES][{len}] = {{");
    for row in rows {
        let words: Vec<String> = row.iter().map(&word).collect();
        let _ = writeln!(text, "    {{{}}},", words.join(", "));
    }
    text.push_str("};\n");
}

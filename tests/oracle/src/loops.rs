//! Loops over operands, element by element in `f64`.

use ksdsl_engine::Real;
use ksdsl_engine::loops::{Binary, Expr, Loops, Unary, View};

/// The output of loops.
pub fn compute<E: Real>(loops: &Loops, operands: &[&[E]]) -> Vec<E> {
    let output = (0..loops.len()).map(|at| {
        let outer = indices(at, &loops.output);
        if loops.summed.is_empty() {
            return E::of(value(&loops.value, &elements(loops, operands, &outer)));
        }
        let addends = (0..loops.addends()).map(|addend| {
            let index = [outer.clone(), indices(addend, &loops.summed)].concat();
            value(&loops.value, &elements(loops, operands, &index))
        });
        E::of(addends.sum())
    });
    output.collect()
}

/// The indices of the `at`-th combination, the last running fastest.
fn indices(mut at: usize, sizes: &[usize]) -> Vec<usize> {
    let mut index = vec![0; sizes.len()];
    for (index, size) in index.iter_mut().zip(sizes).rev() {
        *index = at % size;
        at /= size;
    }
    index
}

fn elements<E: Real>(loops: &Loops, operands: &[&[E]], index: &[usize]) -> Vec<f64> {
    let sizes: Vec<usize> = loops.sizes().collect();
    let element = |(view, operand): (&View, &&[E])| {
        let mut place: usize = view.steps.iter().zip(index).map(|(step, index)| step * index).sum();
        for table in &view.tables {
            let mut at = 0;
            for &over in &table.loops {
                at = at * sizes[over] + index[over];
            }
            place += table.offsets[at];
        }
        operand[place].wide()
    };
    loops.views.iter().zip(operands).map(element).collect()
}

fn value(of: &Expr, elements: &[f64]) -> f64 {
    match of {
        Expr::Operand(n) => elements[*n],
        Expr::Constant(value) => *value,
        Expr::Unary(function, of) => {
            let of = value(of, elements);
            match function {
                Unary::Exp => of.exp(),
                Unary::ExpM1 => of.exp_m1(),
                Unary::Ln1P => of.ln_1p(),
                Unary::Sqrt => of.sqrt(),
                Unary::Tanh => of.tanh(),
            }
        }
        Expr::Binary(function, of) => {
            let [a, b] = [value(&of[0], elements), value(&of[1], elements)];
            match function {
                Binary::Add => a + b,
                Binary::Subtract => a - b,
                Binary::Multiply => a * b,
                Binary::Divide => a / b,
            }
        }
        Expr::IfPositive(of) => match value(&of[0], elements) > 0.0 {
            true => value(&of[1], elements),
            false => value(&of[2], elements),
        },
    }
}

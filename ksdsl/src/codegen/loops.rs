//! Loops: a struct as often as a pass says.

use super::forward::Forward;
use super::types;
use crate::plan::{LocalId, LoopStep};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

/// The values that one iteration of a loop leaves to the next: their variables, and others for their new ones.
struct Carried {
    names: Vec<TokenStream>,
    new: Vec<Ident>,
}

impl Forward<'_> {
    /// The iterations of a loop. A value that is used no more after them ends with them.
    pub(super) fn run_time_loop(&self, of: &LoopStep) -> TokenStream {
        let (count, most) = (types::size(of.count as u64), types::size(of.most));
        let sets = self.carried(of);
        let (new, names) = self.new_values(&sets);
        let carried = Carried { names, new };
        let call = self.iteration_call(of, &sets);
        let untaped = of.gradients.map(|last| self.untaped(of, last, &carried, &call));
        let iterations = match of.exit {
            None => each(&carried, &call, of),
            Some(exit) => halting(&self.value(exit), &carried, &call),
        };
        let visits = self.counts_visits(of).then(|| quote!(let visits = shared.clone();));
        let ended = of.uses.iter().filter(|of| of.last && !sets.contains(&of.value));
        let ended = ended.map(|of| self.value(of.value));
        quote! {
            let mut x = x;
            let outer = x.begin_loop();
            let (first, count) = (0, pass.count(#count, #most));
            #visits
            #untaped
            #iterations
            x.end_loop(outer);
            #(drop(#ended);)*
        }
    }

    /// Those of the values that a loop takes which it sets.
    fn carried(&self, of: &LoopStep) -> Vec<LocalId> {
        let taken = of.uses.len();
        let sets = self.plan.types[self.type_of(of.field)].body.sets.iter();
        // The exit is none that is taken.
        sets.filter(|at| **at < taken).map(|at| of.uses[*at].value).collect()
    }

    /// The call of the struct, which gives the output, what it sets, and the exit.
    fn iteration_call(&self, of: &LoopStep, sets: &[LocalId]) -> TokenStream {
        let (name, args) = (&self.fields[of.field], self.args(of.field));
        let values = of.uses.iter().map(|of| {
            let value = self.value(of.value);
            match sets.contains(&of.value) {
                true => value,
                false => quote!(#value.again()),
            }
        });
        let call = quote!(self.#name.forward(#args x, #(#values),*)?);
        match self.counts_visits(of) {
            // Each iteration visits the same kernels.
            true => quote!({ *shared = visits.clone(); #call }),
            false => call,
        }
    }

    /// Whether the kernels of an iteration may be handed out in the order of visits.
    fn counts_visits(&self, of: &LoopStep) -> bool {
        let shares = self.plan.types[self.type_of(of.field)].uses_shared;
        shares && self.plan.network.groups.iter().any(|group| group.kernels > 1)
    }

    /// The iterations of a training pass before the last ones: they record nothing.
    fn untaped(&self, of: &LoopStep, last: u64, Carried { names, new }: &Carried, call: &TokenStream) -> TokenStream {
        let last = types::size(last);
        let taken = of.uses.iter().map(|of| self.value(of.value));
        let carried = Carried {
            names: names.clone(),
            new: new.clone(),
        };
        let iterations = each(&carried, call, of);
        quote! {
            let untaped = rt::untaped::<E, D, T>(count, #last);
            if untaped > 0 {
                let (mut x_now, tape) = x.detach()?;
                let (x_now, #(#new),*) = {
                    let (mut x, count) = (x_now, untaped);
                    #(let (mut #taken, _) = #taken.again().detach()?;)*
                    #iterations
                    (x, #(#names),*)
                };
                x = x_now.attach(tape)?;
                #(#names = #new.attach(Default::default())?;)*
            }
            let first = untaped;
        }
    }
}

/// Iterations that all items run.
fn each(Carried { names, new }: &Carried, call: &TokenStream, of: &LoopStep) -> TokenStream {
    let exit = of.exit.map(|_| format_ident!("_exit"));
    let given: Vec<&Ident> = new.iter().chain(&exit).collect();
    let output = match given.is_empty() {
        true => quote!(y),
        false => quote!((y, #(#given),*)),
    };
    quote! {
        for _ in first..count {
            let #output = #call;
            x = y;
            #(#names = #new;)*
        }
    }
}

/// Iterations whose items stop in inference: those that have stopped keep their values.
fn halting(exit: &TokenStream, Carried { names, new }: &Carried, call: &TokenStream) -> TokenStream {
    let old: Vec<Ident> = (0..names.len()).map(|at| format_ident!("old_{at}")).collect();
    quote! {
        let mut halting = pass.halting(&x);
        let mut #exit = None;
        for step in first..count {
            let (now, old_x) = halting.hold(x)?;
            x = now;
            #(let (now, #old) = halting.hold(#names)?; #names = now;)*
            let (y, #(#new,)* logits) = #call;
            x = halting.select(y, old_x)?;
            #(#names = halting.select(#new, #old)?;)*
            let logits = halting.select(logits, #exit)?;
            let ends = step + 1 < count && halting.stop(&logits)?;
            #exit = Some(logits);
            if ends { break; }
        }
        let Some(mut #exit) = #exit else { unreachable!("a loop runs at least once") };
    }
}

//! Loops: a part as often as a call says.

use super::class::Class;
use super::helpers::Helper;
use super::lines::Lines;
use crate::ir::Network;
use crate::plan::LoopStep;

impl Class<'_> {
    /// The iterations of a loop. Those before the last `gradients` record nothing.
    pub(super) fn run_time_loop(&mut self, of: &LoopStep, x: &str) {
        let part = self.part(of.field);
        let args = self.args(of.field, &of.uses, x);
        let count = format!("loop_counts[\"{}\"]", self.file.plan.network.loops[of.count].name);
        let carried = self.carried(of, x);
        let exit = of.exit.map(|exit| self.values[exit].clone());
        let running = exit.as_ref().map(|exit| self.begin(exit, x));
        let call = Iteration {
            part,
            args,
            carried,
            exit: exit.zip(running),
        };
        let Some(last) = of.gradients else {
            self.forward.line(&format!("for _ in range({count}):"));
            return self.iteration(&call);
        };
        let first = self.variables.name("first");
        self.forward.line(&format!("{first} = max(0, {count} - {last})"));
        self.forward.line("with torch.no_grad():");
        self.forward.indent();
        self.forward.line(&format!("for _ in range({first}):"));
        self.iteration(&call);
        self.forward.outdent();
        self.forward.line(&format!("for _ in range({first}, {count}):"));
        self.iteration(&call);
    }

    /// The variables of what one iteration leaves to the next, the current value first.
    fn carried(&self, of: &LoopStep, x: &str) -> Vec<String> {
        let sets = self.sets(of.field, &of.uses);
        std::iter::once(x.to_owned()).chain(sets).collect()
    }

    /// The items that run, all at first; the variable that says so.
    fn begin(&mut self, exit: &str, x: &str) -> String {
        self.used.insert(Helper::Select);
        let running = self.variables.name("running");
        self.forward.line(&format!("{exit} = {x}.new_zeros({x}.shape[0], 1)"));
        self.forward.line(&format!(
            "{running} = torch.ones({x}.shape[0], dtype=torch.bool, device={x}.device)"
        ));
        running
    }

    fn iteration(
        &mut self,
        Iteration {
            part,
            args,
            carried,
            exit,
        }: &Iteration,
    ) {
        let Some((exit, running)) = exit else {
            let head = format!("{} = {part}", carried.join(", "));
            return self.forward.nested(|lines| lines.call(&head, args, ""));
        };
        let all: Vec<&String> = carried.iter().chain([exit]).collect();
        let new: Vec<String> = all
            .iter()
            .map(|name| self.variables.name(&format!("new_{name}")))
            .collect();
        self.forward.nested(|lines| {
            lines.line(&format!("if not bool({running}.any()):"));
            lines.nested(|lines| lines.line("break"));
            lines.call(&format!("{} = {part}", new.join(", ")), args, "");
            for (name, new) in all.iter().zip(&new) {
                lines.line(&format!("{name} = select({running}, {new}, {name})"));
            }
            lines.line("if not self.training:");
            lines.nested(|lines| lines.line(&format!("{running} = {running} & ~({exit}[:, 0] > 0)")));
        });
    }
}

/// An iteration in the making.
struct Iteration {
    part: String,
    args: Vec<String>,
    carried: Vec<String>,
    /// The variables of the exit, and of the items that run.
    exit: Option<(String, String)>,
}

/// Checks the counts that a call gives.
pub(super) fn checked(network: &Network, counts: &[String], lines: &mut Lines) {
    let items = network.loops.iter().zip(counts).map(|(of, count)| {
        let (name, most) = (&of.name, of.most);
        format!("\"{name}\": iterations(\"{name}\", {count}, {most})")
    });
    let items: Vec<String> = items.collect();
    if !items.is_empty() {
        lines.list("loop_counts = {", items, ", ", "}");
    }
}

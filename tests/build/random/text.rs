//! The text of random networks.

use super::choices::*;
use std::fmt::Write as _;

/// Writes networks one after the other.
pub(super) struct Writer {
    rng: Rng,
    maps: Deck,
    vectors: Deck,
    activations: Deck,
    mappings: Deck,
    places: Deck,
    private: Deck,
    clauses: Deck,
    down: Deck,
    heads: Deck,
    stems: Deck,
    convs: Deck,
    depthwises: Deck,
    transposed: Deck,
    /// Whether the network that is being written has batch norms.
    batch_norms: bool,
    /// Labels of the layers of the cell that is being written.
    named: Vec<String>,
    /// Blocks of the network that is being written.
    blocks: String,
    labels: usize,
}

impl Writer {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Rng(seed),
            maps: Deck::new(OF_MAPS),
            vectors: Deck::new(OF_VECTORS),
            activations: Deck::new(ACTIVATIONS),
            mappings: Deck::new(MAPPINGS),
            places: Deck::new(PLACES),
            private: Deck::new(PRIVATE),
            clauses: Deck::new(CLAUSES),
            down: Deck::new(DOWN),
            heads: Deck::new(HEADS),
            stems: Deck::new(STEMS),
            convs: Deck::new(CONVS),
            depthwises: Deck::new(DEPTHWISES),
            transposed: Deck::new(TRANSPOSED),
            batch_norms: true,
            named: Vec::new(),
            blocks: String::new(),
            labels: 0,
        }
    }

    /// A family and its two instances, `{name}_shared` and `{name}_free`.
    pub(super) fn network(&mut self, name: &str) -> String {
        (self.blocks, self.labels) = (String::new(), 0);
        self.batch_norms = self.rng.one_in(2);
        let mut shares = String::new();
        let (input, stages) = match self.rng.one_in(6) {
            true => self.on_vectors(&mut shares),
            false => self.on_maps(&mut shares),
        };
        let blocks = std::mem::take(&mut self.blocks);
        format!(
            "net {name}(shared) {{\n    input {input}\n{blocks}{stages}{shares}}}\n\
             net {name}_shared = {name}(shared = true)\nnet {name}_free = {name}(shared = false)\n"
        )
    }

    fn on_vectors(&mut self, shares: &mut String) -> (String, String) {
        let input = 1 + self.rng.below(64);
        let width = self.rng.pick(&[4, 7, 16, 33]);
        let stages = format!("    stage stem {{ linear({width}) }}\n");
        (input.to_string(), stages + &self.vectors_on(width, shares))
    }

    fn on_maps(&mut self, shares: &mut String) -> (String, String) {
        let rng = &mut self.rng;
        let input = [rng.pick(&[1, 3, 4]), 2 + rng.below(15), 2 + rng.below(15)];
        let input = if rng.one_in(8) { [input[0], 64, 24] } else { input };
        let mut width = rng.pick(&[2, 4, 6, 8, 16, 17, 24, 64]);
        let mut size = [input[1], input[2]];
        let stem = self.stem(input[0], &mut width, &mut size);
        let mut stages = format!("    stage stem {{ {stem} }}\n");
        for stage in 0..1 + self.rng.below(2) {
            let down = self.down.draw(&mut self.rng);
            if stage > 0 && size[0].min(size[1]) >= 4 {
                let line = self.downwards(down, &mut width, &mut size);
                writeln!(stages, "    stage down{stage} {{ {line} }}").expect("a string");
            }
            stages += &self.repeated(&format!("body{stage}"), width, Some(size), shares);
        }
        let head = self.heads.draw(&mut self.rng);
        stages += &format!("    stage pool {{ {head} }}\n");
        let features = if head == "flatten" {
            width * size[0] * size[1]
        } else {
            width
        };
        let features = if features > 64 {
            stages += "    stage narrow { linear(24) }\n";
            24
        } else {
            features
        };
        let [channels, height, width] = input;
        (
            format!("{channels} x {height} x {width}"),
            stages + &self.vectors_on(features, shares),
        )
    }

    /// Vectors of this many features, down to the logits.
    fn vectors_on(&mut self, width: usize, shares: &mut String) -> String {
        let body = self.repeated("vectors", width, None, shares);
        let classes = 2 + self.rng.below(9);
        format!("{body}    stage head {{ linear({classes}) }}\n")
    }

    /// From the channels of an image to `width`, or the other way round.
    fn stem(&mut self, channels: usize, width: &mut usize, size: &mut [usize; 2]) -> String {
        match self.stems.draw(&mut self.rng) {
            // Norms of one channel make noise of rounding.
            "none" if channels > 1 => {
                *width = channels;
                "identity".to_owned()
            }
            "patch_embedding" => {
                let patch = size.map(|size| if size.is_multiple_of(2) { 2 } else { 1 });
                *size = [size[0] / patch[0], size[1] / patch[1]];
                format!("patch_embedding({width}, patch = {} x {})", patch[0], patch[1])
            }
            _ => format!("conv({width}, kernel = 3, pad = 1)"),
        }
    }

    fn downwards(&mut self, kind: &str, width: &mut usize, size: &mut [usize; 2]) -> String {
        let even = size.iter().all(|size| size.is_multiple_of(2));
        let (line, halved) = match kind {
            "none" => return "identity".to_owned(),
            "max_pool" | "avg_pool" => (format!("{kind}(2)"), size.map(|size| size / 2)),
            _ => {
                *width = self.rng.pick(&[3, 8, 20, 32]);
                match kind {
                    "patch_embedding" if even => (format!("{kind}({width}, patch = 2)"), size.map(|size| size / 2)),
                    _ => (
                        format!("conv({width}, kernel = 3, stride = 2, pad = 1)"),
                        size.map(|size| size.div_ceil(2)),
                    ),
                }
            }
        };
        *size = halved;
        line
    }

    /// A stage of equal cells, and a clause for it.
    fn repeated(&mut self, stage: &str, width: usize, size: Option<[usize; 2]>, shares: &mut String) -> String {
        let (count, steps) = (4 + self.rng.below(3), 2 + self.rng.below(3));
        self.named.clear();
        let mut cell = Vec::new();
        for _ in 0..steps {
            cell.push(self.step(width, size, 0));
        }
        // Something to share, and something that keeps the values from growing.
        let label = self.label();
        cell.push(match size {
            Some(_) => format!("{label}: conv({width}, kernel = 3, pad = 1, bias = true)"),
            None => format!("{label}: linear({width})"),
        });
        cell.push(self.activation());
        cell.push(if self.batch_norms { "batch_norm" } else { "layer_norm" }.to_owned());
        *shares += &self.clause(stage, count, size.is_some());
        format!(
            "    stage {stage} {{\n        repeat {count} as i {{ {} }}\n    }}\n",
            cell.join("; ")
        )
    }

    fn label(&mut self) -> String {
        self.labels += 1;
        let label = format!("k{}", self.labels);
        self.named.push(label.clone());
        label
    }

    /// A step that keeps the shape; `depth` bounds steps in steps.
    fn step(&mut self, width: usize, size: Option<[usize; 2]>, depth: usize) -> String {
        match size {
            Some(size) => self.step_on_maps(width, size, depth),
            None => self.step_on_vectors(width, depth),
        }
    }

    fn step_on_maps(&mut self, width: usize, size: [usize; 2], depth: usize) -> String {
        let (kind, batch_norms) = (self.maps.draw(&mut self.rng), self.batch_norms);
        let mut inner = || match depth < 2 {
            true => self.step(width, Some(size), depth + 1),
            false => self.activation(),
        };
        match kind {
            "residual" => format!("residual {{ {}; {} }}", inner(), inner()),
            "project" if batch_norms => format!("residual(project = always) {{ {} }}", inner()),
            "project" | "project without norm" => format!("residual(project = always, norm = false) {{ {} }}", inner()),
            "shortcut" => format!("residual {{ {} }} shortcut {{ pointwise({width}) }}", inner()),
            "add" => format!(
                "add {{ path {{ {} }} path {{ identity }} path {{ {} }} }}",
                inner(),
                inner()
            ),
            "multiply" => {
                let gate = format!("global_avg_pool; linear({width}); sigmoid");
                format!("multiply {{ path {{ {} }} gate: path {{ {gate} }} }}", inner())
            }
            "subtract" => format!("subtract {{ path {{ {} }} path {{ {} }} }}", inner(), inner()),
            "when" => format!("when i % 2 == 0 {{ {} }} else {{ {} }}", inner(), inner()),
            "seq" => format!("seq {{ {}; {} }}", inner(), inner()),
            "block" => {
                let body = inner();
                self.block(width, &body)
            }
            _ => self.layer_on_maps(kind, width, size),
        }
    }

    fn activation(&mut self) -> String {
        self.activations.draw(&mut self.rng).to_owned()
    }

    /// A block of this body, and its call.
    fn block(&mut self, width: usize, body: &str) -> String {
        self.labels += 1;
        let name = format!("unit{}", self.labels);
        // A block knows no index of a repetition around its call.
        let body = if body.contains("i %") { "identity" } else { body };
        writeln!(self.blocks, "    block {name}(width) {{ {body}; pointwise(width) }}").expect("a string");
        format!("{name}(width = {width})")
    }

    fn layer_on_maps(&mut self, kind: &str, width: usize, size: [usize; 2]) -> String {
        let rng = &mut self.rng;
        let bias = rng.one_in(2);
        match kind {
            "conv" => self.conv(width, bias),
            "concat" if width > 1 => {
                let left = 1 + rng.below(width - 1);
                let right = width - left;
                format!(
                    "concat {{ near: path {{ conv({left}, kernel = 3, pad = 1); relu }} path {{ pointwise({right}) }} }}"
                )
            }
            "depthwise" => {
                let arguments = self.depthwises.draw(&mut self.rng);
                format!("{}: depthwise({arguments}, pad = same, bias = {bias})", self.label())
            }
            "pointwise" => {
                let label = self.label();
                format!("{label}: pointwise({width}, bias = {bias})")
            }
            "squeeze_excite" => {
                let reduction = if width.is_multiple_of(2) { 2 } else { 1 };
                format!("squeeze_excite(reduction = {reduction}, bias = {bias})")
            }
            "attention" if size[0] * size[1] <= 150 => {
                let heads = rng.pick(&[1, 2, 4]);
                let heads = if width.is_multiple_of(heads) { heads } else { 1 };
                format!("residual {{ layer_norm; attention(heads = {heads}, bias = {bias}) }}")
            }
            "position_embedding" => "position_embedding(init = normal(0.5))".to_owned(),
            "max_pool" => format!("{kind}(3, stride = 1, pad = 1)"),
            "avg_pool" => format!("{kind}(3, stride = 1, pad = 1, count_include_pad = {bias})"),
            "positions" => {
                let gate = "concat { path { channel_mean } path { channel_max } } pointwise(1); sigmoid";
                format!("multiply {{ path {{}} path {{ {gate} }} }}")
            }
            "flat" => format!("flatten; unflatten({width}, {}, {}); tanh", size[0], size[1]),
            "dropout" => "dropout(0.25); noise(0.1)".to_owned(),
            "batch_norm" if !self.batch_norms => "layer_norm".to_owned(),
            "group_norm" if width.is_multiple_of(2) => "group_norm(2)".to_owned(),
            "upsample" => {
                let mode = rng.pick(&["nearest", "bilinear"]);
                format!("upsample(2, mode = {mode}); avg_pool(2)")
            }
            "attend" if size[0] * size[1] <= 150 => {
                "residual { attend(heads = 1) { path {} path {} path {} } }".to_owned()
            }
            "window_attention" => {
                let divisor = |size: usize| (1..=4).rev().find(|of| size.is_multiple_of(*of)).unwrap_or(1);
                let [rows, columns] = size.map(divisor);
                let shift = format!("{} x {}", rows / 2, columns / 2);
                format!("residual {{ window_attention(1, size = {rows} x {columns}, shift = {shift}, bias = {bias}) }}")
            }
            "roll" => "roll(up = 1, right = 2)".to_owned(),
            "conv_transpose" => {
                let arguments = self.transposed.draw(&mut self.rng);
                format!("{}: conv_transpose({width}, {arguments}, bias = {bias})", self.label())
            }
            "shuffle" if width.is_multiple_of(2) => "channel_shuffle(2)".to_owned(),
            "pixels" if width.is_multiple_of(4) => format!(
                "pixel_shuffle(2); subsample(2); zero_channels({}, 0)",
                width - width / 4
            ),
            "slices" if width > 1 => {
                let left = 1 + rng.below(width - 1);
                format!(
                    "concat {{ path {{ slice({left}, {width}) }} path {{ slice(0, {left}); tanh; exp; softmax }} }}"
                )
            }
            "pad" => "pad(top = 1, left = 2); avg_pool(2 x 3, stride = 1)".to_owned(),
            "softmax" => rng.pick(&["softmax", "log_softmax"]).to_owned(),
            "layer_scale" => {
                format!("layer_scale(init = 0.5, per_channel = {bias}); layer_shift(init = constant(0.5))")
            }
            "instance_norm" => format!("instance_norm(affine = {bias})"),
            "adaptive_avg_pool" => format!(
                "max_pool(2, stride = 1, ceil = true, pad = 1); adaptive_avg_pool({}, {})",
                size[0], size[1]
            ),
            "stochastic_depth" => {
                "residual { pointwise(WIDTH); stochastic_depth(0.25) }".replace("WIDTH", &width.to_string())
            }
            "batch_norm" => kind.to_owned(),
            "layer_norm" => format!("layer_norm(bias = {bias})"),
            "rms_norm" => format!("rms_norm(affine = {bias})"),
            _ => self.activation(),
        }
    }

    fn conv(&mut self, width: usize, bias: bool) -> String {
        let arguments = self.convs.draw(&mut self.rng);
        let odd = !width.is_multiple_of(2);
        let arguments = if odd {
            arguments.replace(", groups = 2", "")
        } else {
            arguments.to_owned()
        };
        format!("{}: conv({width}, {arguments}, bias = {bias})", self.label())
    }

    fn step_on_vectors(&mut self, width: usize, depth: usize) -> String {
        let kind = self.vectors.draw(&mut self.rng);
        match kind {
            "residual" if depth < 2 => {
                let inner = self.step_on_vectors(width, depth + 1);
                format!("residual {{ linear({}); gelu; linear({width}); {inner} }}", width + 3)
            }
            "multiply" if depth < 2 => {
                let inner = self.step_on_vectors(width, depth + 1);
                format!("multiply {{ path {{ {inner} }} path {{ linear({width}); sigmoid }} }}")
            }
            "linear" => {
                let bias = self.rng.one_in(2);
                let label = self.label();
                format!("{label}: linear({width}, bias = {bias})")
            }
            "dropout" => "dropout(0.25); noise(0.1)".to_owned(),
            "batch_norm" if !self.batch_norms => "layer_norm".to_owned(),
            "batch_norm" | "layer_norm" | "rms_norm" => kind.to_owned(),
            "layer_scale" => "layer_scale(init = 0.5); layer_shift(init = constant(0.5))".to_owned(),
            _ => self.activation(),
        }
    }

    /// What a stage of this many cells shares.
    fn clause(&mut self, stage: &str, count: usize, maps: bool) -> String {
        let mapping = match self.mappings.draw(&mut self.rng) {
            "list" => list(count),
            mapping => mapping.to_owned(),
        };
        // A list has an entry for each visit that there is.
        let listed = mapping.contains('[');
        let place = if listed { "" } else { self.places.draw(&mut self.rng) };
        let private = self.private.draw(&mut self.rng);
        let last = self.named.last().cloned().unwrap_or_default();
        let kind = self.rng.pick(&["conv", "pointwise", "depthwise"]);
        let kind = if maps { kind } else { "linear" };
        let clauses = match self.clauses.draw(&mut self.rng) {
            "isomorphic" => vec![format!("isomorphic {kind} in {stage} {mapping} {place} {private}")],
            "of one kind" => vec![format!("isomorphic in {stage} {mapping} {place}")],
            "paths" => {
                let clause =
                    |label: &String| format!("{stage}.**.{label} {mapping} {place} {private} as {stage}_{label}");
                self.named.iter().map(clause).collect()
            }
            "blocks" => vec![format!("blocks in {stage} with norms {mapping} {place}")],
            "kernel" => vec![format!(
                "kernel of {stage}[*].{last} {mapping} {place} as {stage}_kernel"
            )],
            "bias" => {
                let mapping = of_kernels_alone(&mapping);
                vec![format!("bias of {stage}[*].{last} {mapping} {place} as {stage}_bias")]
            }
            _ => vec![
                format!("isomorphic batch_norm in {stage} {}", of_kernels_alone(&mapping)),
                format!("isomorphic layer_norm in {stage} {}", of_kernels_alone(&mapping)),
                format!("{stage}[*].{last} {mapping} as {stage}_last"),
            ],
        };
        clauses
            .iter()
            .map(|clause| format!("    share {clause} when shared\n"))
            .collect()
    }
}

/// Two kernels in turn, then a visit of its own and one of the first again, in all this many visits.
fn list(count: usize) -> String {
    let visits: Vec<String> = (0..count - 2).map(|visit| (visit % 2).to_string()).collect();
    format!("into [{}, _, 0]", visits.join(", "))
}

/// A mapping for what is no kernel.
fn of_kernels_alone(mapping: &str) -> &str {
    match mapping.contains("bank") {
        true => "into 2 groups",
        false => mapping,
    }
}

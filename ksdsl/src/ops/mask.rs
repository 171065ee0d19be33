//! Which keys a query of attention sees, and relative positions.

use super::prelude::*;
use proc_macro2::TokenStream;

/// Which keys a query sees: those that everything here allows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mask {
    /// No later ones.
    pub(super) causal: bool,
    /// Those fewer positions away; 0 for all.
    window: u64,
    /// So many first ones even if they are later.
    pub(super) prefix: u64,
    /// Those of the same chunk; 0 for one chunk.
    pub(super) chunk: u64,
    /// Those up to a length that the batch brings along.
    lengths: bool,
    /// The positions of a chunk; zeros if they are in no grid.
    pub(super) grid: [u64; 2],
    /// Whether each distance in the grid has a bias.
    relative: bool,
    /// The map whose windows chunks are, and how far that was moved up and left; zeros if it was not.
    map: [u64; 2],
    shift: [u64; 2],
}

impl Mask {
    /// That of attention to so many tokens as these queries are.
    pub(super) fn of(args: &Args, queries: Shape) -> Result<Self, Problem> {
        let [mut map, shift, grid] = ["map", "shift", "grid"].map(|param| args.sizes(param, [0, 0]));
        if shift == [0, 0] {
            map = [0, 0];
        }
        let mask = Mask {
            causal: args.flag("causal", false),
            window: args.size("window", 0),
            prefix: args.size("prefix", 0),
            chunk: args.size("chunk", 0),
            lengths: args.value("lengths").is_some(),
            grid,
            relative: args.flag("relative", false),
            map,
            shift,
        };
        mask.check(queries.pixels())?;
        Ok(mask)
    }

    fn check(&self, tokens: u64) -> Result<(), Problem> {
        let wrong = |code, text: String, param, help: String| Err(Problem::new(code, text).at(param).help(help));
        if self.prefix > 0 && !self.causal {
            let text = "a prefix is what queries see beyond a causal mask, and there is none".to_owned();
            return wrong(Code::OutOfRange, text, "prefix", "write `causal = true`".to_owned());
        }
        if self.prefix > tokens {
            let text = format!("the prefix is {} of {tokens} tokens", self.prefix);
            let help = format!("choose at most {tokens} tokens");
            return wrong(Code::OutOfRange, text, "prefix", help);
        }
        if self.chunk > 0 && !tokens.is_multiple_of(self.chunk) {
            let text = format!("{tokens} tokens cannot be split into chunks of {}", self.chunk);
            let help = format!("choose a number that divides {tokens}");
            return wrong(Code::InexactDivision, text, "chunk", help);
        }
        let (inside, [rows, columns]) = (if self.chunk > 0 { self.chunk } else { tokens }, self.grid);
        if self.relative && self.grid == [0, 0] {
            let text = "relative positions need the grid that tokens stand in".to_owned();
            let help = format!("write `grid = 1 x {inside}` for a sequence, or rows x columns of a map or a window");
            return wrong(Code::MissingArgument, text, "relative", help);
        }
        if self.grid != [0, 0] && rows.saturating_mul(columns) != inside {
            let text = format!("{inside} tokens are no grid of {rows} x {columns}");
            let help = format!("give rows and columns whose product is {inside}");
            return wrong(Code::ShapesDiffer, text, "grid", help);
        }
        self.check_shift(tokens)
    }

    fn check_shift(&self, tokens: u64) -> Result<(), Problem> {
        let ([height, width], [rows, columns]) = (self.map, self.grid);
        if self.shift == [0, 0] {
            return Ok(());
        }
        let fits = |size: u64, window: u64| window > 0 && size > 0 && size.is_multiple_of(window);
        let is_map = height.saturating_mul(width) == tokens && fits(height, rows) && fits(width, columns);
        if is_map && self.chunk > 0 && self.shift[0] < rows && self.shift[1] < columns {
            return Ok(());
        }
        let text = "a shift is of a map that the windows of the grid cover, by less than a window".to_owned();
        Err(Problem::new(Code::ShapesDiffer, text)
            .at("shift")
            .help("give `map`, `grid` and `chunk`, or write `window_attention`"))
    }

    /// Whether it is at most causal, for which there are kernels.
    pub(super) fn is_plain(&self) -> bool {
        let sizes = [self.window, self.prefix, self.chunk];
        sizes == [0; 3] && !self.lengths && !self.relative
    }

    /// Whether the places of queries and keys correspond, so that there are as many of both.
    pub(super) fn is_of_places(&self) -> bool {
        let sizes = [self.window, self.prefix, self.chunk];
        self.causal || sizes != [0; 3] || self.grid != [0, 0]
    }

    /// The number of biases of a head, if there are biases.
    pub(super) fn distances(&self) -> Option<u64> {
        let [rows, columns] = self.grid;
        self.relative.then(|| {
            (2 * rows)
                .saturating_sub(1)
                .saturating_mul((2 * columns).saturating_sub(1))
        })
    }

    fn numbers(&self) -> [(&'static str, u64); 9] {
        let ([grid_height, grid_width], [map_height, map_width], [up, left]) = (self.grid, self.map, self.shift);
        [
            ("window", self.window),
            ("prefix", self.prefix),
            ("chunk", self.chunk),
            ("grid_height", grid_height),
            ("grid_width", grid_width),
            ("map_height", map_height),
            ("map_width", map_width),
            ("up", up),
            ("left", left),
        ]
    }

    pub(super) fn call(&self, call: Call) -> Call {
        let call = call.with("causal", self.causal);
        if self.is_plain() {
            return call;
        }
        let call = self
            .numbers()
            .into_iter()
            .fold(call, |call, (name, value)| call.with(name, value));
        // The engine sees them by its inputs; two operations differ by them.
        call.with("lengths", self.lengths).with("relative", self.relative)
    }

    /// Whether a query sees no key that comes later than all it is computed with, see [`Operation::decodes`].
    pub(super) fn decodes(&self) -> Result<(), &'static str> {
        match self {
            Mask { lengths: true, .. } => Err("its `lengths` are of whole sequences"),
            Mask { shift, .. } if *shift != [0, 0] => Err("its windows are of maps"),
            Mask { prefix, chunk, .. } if *prefix > 0 && *chunk > 0 => Err("each of its chunks has a prefix"),
            Mask { causal: false, .. } => Err("it sees later tokens: it has no `causal = true`"),
            Mask { .. } => Ok(()),
        }
    }

    pub(super) fn details(&self) -> Vec<String> {
        let mut words = Vec::new();
        words.extend(self.causal.then(|| "causal".to_owned()));
        for (name, value) in &self.numbers()[..3] {
            words.extend((*value > 0).then(|| format!("{name} {value}")));
        }
        words.extend(self.lengths.then(|| "lengths".to_owned()));
        words.extend(self.relative.then(|| format!("relative {}", pair(self.grid))));
        words.extend((self.shift != [0, 0]).then(|| format!("shift {}", pair(self.shift))));
        words
    }

    /// The fields that are not as usual.
    pub(super) fn rust(&self) -> TokenStream {
        let causal = self.causal.then(|| quote!(causal: true,));
        let numbers = self.numbers().into_iter().filter(|(_, value)| *value > 0);
        let fields = numbers.map(|(name, value)| {
            let (name, value) = (quote::format_ident!("{name}"), rust::size(value));
            quote!(#name: #value,)
        });
        quote!(#causal #(#fields)*)
    }

    /// The arguments that are not as usual.
    pub(super) fn python(&self) -> Vec<String> {
        let mut args = Vec::new();
        args.extend(self.causal.then(|| "causal=True".to_owned()));
        for (name, value) in &self.numbers()[..3] {
            args.extend((*value > 0).then(|| format!("{name}={value}")));
        }
        for (name, [a, b]) in [("grid", self.grid), ("map_size", self.map), ("shift", self.shift)] {
            args.extend(([a, b] != [0, 0]).then(|| format!("{name}=({a}, {b})")));
        }
        args
    }
}

impl Mask {
    /// The scores with the biases of their distances, if there are such. The number of a distance is a difference of two
    /// numbers of places, so that no table of all pairs is stored.
    pub(super) fn onnx_biases(&self, scores: String, heads: onnx::Heads, to: &mut Onnx<'_>) -> String {
        let Some(biases) = to.tensor("weight").filter(|_| self.relative) else {
            return scores;
        };
        let [rows, columns] = self.grid;
        let tokens = rows * columns;
        let place = |token: u64| onnx::long(token / columns * (2 * columns - 1) + token % columns);
        let queries = to.int_table(&[tokens, 1], (0..tokens).map(place));
        let keys = to.int_table(&[1, tokens], (0..tokens).map(place));
        let middle = to.int(onnx::long((rows - 1) * (2 * columns - 1) + columns - 1));
        let distances = to.apply("Sub", &[&queries, &keys]);
        let distances = to.apply("Add", &[&distances, &middle]);
        let biases = to.node("Gather", &[&biases, &distances], vec![onnx::int("axis", 0)]);
        let biases = to.transpose(&biases, &[2, 0, 1]);
        let group = onnx::long(heads.heads / heads.key_heads.max(1));
        let tokens = onnx::long(tokens);
        let sizes = heads.sizes([1, 1, onnx::long(heads.key_heads), group, tokens, tokens]);
        let biases = to.reshape(&biases, &sizes);
        to.apply("Add", &[&scores, &biases])
    }

    /// Which keys of its chunk each query sees, if not all. Made of the numbers of places, so that no mask is stored.
    pub(super) fn onnx_seen(&self, heads: onnx::Heads, [queries, keys]: [u64; 2], to: &mut Onnx<'_>) -> Option<String> {
        let mut seen = None;
        let places = |count: u64| (0..count).map(onnx::long);
        let i = |to: &mut Onnx<'_>| to.int_table(&[queries, 1], places(queries));
        let j = |to: &mut Onnx<'_>| to.int_table(&[1, keys], places(keys));
        if self.causal {
            let (i, j) = (i(to), j(to));
            let mut earlier = to.apply("LessOrEqual", &[&j, &i]);
            if self.prefix > 0 {
                let prefix = to.int(onnx::long(self.prefix));
                let first = to.apply("Less", &[&j, &prefix]);
                earlier = to.apply("Or", &[&earlier, &first]);
            }
            seen = both(seen, earlier, to);
        }
        if self.window > 0 {
            let (i, j, window) = (i(to), j(to), to.int(onnx::long(self.window)));
            let distance = to.apply("Sub", &[&i, &j]);
            let distance = to.apply("Abs", &[&distance]);
            let near = to.apply("Less", &[&distance, &window]);
            seen = both(seen, near, to);
        }
        if self.shift != [0, 0] {
            let (chunks, [rows, columns]) = (onnx::long(heads.chunks), [queries, keys].map(onnx::long));
            let parts = to.int_table(&[heads.chunks, queries], self.parts(heads.chunks, queries));
            let of_queries = to.reshape(&parts, &heads.sizes([1, chunks, 1, 1, rows, 1]));
            let of_keys = to.reshape(&parts, &heads.sizes([1, chunks, 1, 1, 1, columns]));
            let together = to.apply("Equal", &[&of_queries, &of_keys]);
            seen = both(seen, together, to);
        }
        seen
    }

    /// The same without keys beyond the length of each item.
    pub(super) fn onnx_present(
        &self,
        seen: Option<String>,
        lengths: Option<&str>,
        heads: onnx::Heads,
        keys: u64,
        to: &mut Onnx<'_>,
    ) -> Option<String> {
        let Some(lengths) = lengths else { return seen };
        let places = to.reals(
            &[heads.chunks, keys],
            (0..heads.chunks * keys).map(|place| place as f64),
        );
        let sizes = heads.sizes([1, onnx::long(heads.chunks), 1, 1, 1, onnx::long(keys)]);
        let places = to.reshape(&places, &sizes);
        let lengths = to.reshape(lengths, &heads.sizes([-1, 1, 1, 1, 1, 1]));
        let present = to.apply("Less", &[&places, &lengths]);
        both(seen, present, to)
    }

    /// For each token of each chunk, the part of the map before its shift that it lies in.
    fn parts(&self, chunks: u64, tokens: u64) -> Vec<i64> {
        let ([height, width], [rows, columns], [up, left]) = (self.map, self.grid, self.shift);
        let across = (width / columns.max(1)).max(1);
        let part = |chunk: u64, token: u64| {
            let y = chunk / across * rows + token / columns.max(1);
            let x = chunk % across * columns + token % columns.max(1);
            i64::from(y + up >= height) * 2 + i64::from(x + left >= width)
        };
        (0..chunks)
            .flat_map(|chunk| (0..tokens).map(move |token| part(chunk, token)))
            .collect()
    }
}

/// What one mask allows, and another, if there is one.
fn both(seen: Option<String>, also: String, to: &mut Onnx<'_>) -> Option<String> {
    Some(match seen {
        Some(seen) => to.apply("And", &[&seen, &also]),
        None => also,
    })
}

/// Whether lengths are one number for each item.
pub(super) fn one_number(lengths: Shape) -> Result<(), Problem> {
    if lengths == Shape::Flat(1) {
        return Ok(());
    }
    let text = format!(
        "lengths are one number for each item, but this value is {}",
        in_words(lengths)
    );
    Err(Problem::new(Code::WrongInput, text)
        .at("lengths")
        .help("declare the lengths as an input, `input lengths: 1`"))
}

pub(super) const MASKED_ATTEND: Helper = Helper {
    name: "masked_attend",
    needs: &[],
    text: r#"def masked_attend(
    query, key, value, heads: int, key_heads: int = 0, lengths=None, biases=None,
    causal: bool = False, window: int = 0, prefix: int = 0, chunk: int = 0,
    grid=(0, 0), map_size=(0, 0), shift=(0, 0),
):
    """Multi-head attention of each chunk to those of its keys that all of the masks allow."""
    shape = query.shape
    if query.dim() == 4:
        query, key, value = (x.flatten(2).transpose(1, 2) for x in (query, key, value))
    chunks = query.shape[1] // chunk if chunk else 1
    query = query.unflatten(2, (heads, -1)).unflatten(1, (chunks, -1)).transpose(2, 3)
    key, value = (
        x.unflatten(2, (key_heads or heads, -1)).unflatten(1, (chunks, -1)).transpose(2, 3)
        for x in (key, value)
    )
    i = torch.arange(query.shape[3], device=query.device)[:, None]
    j = torch.arange(key.shape[3], device=query.device)[None, :]
    seen = (i >= 0) & (j >= 0)
    if causal:
        seen = seen & ((j <= i) | (j < prefix))
    if window:
        seen = seen & ((i - j).abs() < window)
    if any(shift):
        y, x = (torch.arange(n, device=query.device) + s >= n for n, s in zip(map_size, shift))
        part = (y[:, None] * 2 + x[None, :]).unflatten(1, (-1, grid[1]))
        part = part.unflatten(0, (-1, grid[0])).transpose(1, 2).flatten(0, 1).flatten(1)
        seen = (seen & (part[:, :, None] == part[:, None, :]))[:, None]
    if lengths is not None:
        place = torch.arange(chunks * key.shape[3], device=query.device)
        place = place.unflatten(0, (chunks, -1))[None, :, None, None, :]
        seen = seen & (place < lengths[:, :, None, None, None])
    mask = torch.zeros(seen.shape, dtype=query.dtype, device=query.device)
    mask = mask.masked_fill(~seen, float("-inf"))
    if biases is not None:
        y, x = i // grid[1], i % grid[1]
        distance = (y - y.T + grid[0] - 1) * (2 * grid[1] - 1) + x - x.T + grid[1] - 1
        mask = mask + biases[distance].permute(2, 0, 1)
    y = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)
    y = y.transpose(2, 3).flatten(3).flatten(1, 2)
    return y.transpose(1, 2).reshape(shape) if len(shape) == 4 else y
"#,
};

//! `ksn generate MODEL`

use super::Choice;
use super::output::Terminal;
use super::specs::{Usage, finish};
use super::tasks::load;
use crate::generate::{Generator, Overflow, Sampler, Sampling, Stream};
use crate::graph::train::{Model, WeightType};
use crate::graph::{Decoder, NotCausal};
use crate::ir::{Network, Shape};
use crate::spec::Spec;
use clap::ValueEnum;
use ksdsl_cpu::CpuExec;
use ksdsl_train_core::program::Done;
use ksdsl_train_core::program::options::threads;
use ksdsl_train_core::program::output::note;
use ksdsl_train_core::program::saved::Saved;
use ksdsl_train_core::report::printable;
use ksdsl_train_core::text::Tokens;
use std::error::Error;
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The arguments of `ksn generate`.
#[derive(clap::Args)]
pub(super) struct Generate {
    /// A run folder, a checkpoint in one, or a specification file
    #[arg(value_name = "RUN|CHECKPOINT|FILE.ksn")]
    model: PathBuf,
    #[command(flatten)]
    choice: Choice,
    /// The checkpoint of a specification; without it the weights are random, which shows its speed
    #[arg(long, value_name = "CHECKPOINT")]
    weights: Option<PathBuf>,
    /// Round the kernels of linear layers to bf16 or int8, of which each token reads fewer bytes; sums stay in f32
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    weight_type: WeightType,
    /// Use the final model of the run instead of the best one
    #[arg(long)]
    last: bool,
    /// The text to continue [default: a newline]
    #[arg(long, value_name = "TEXT", conflicts_with = "ids")]
    prompt: Option<String>,
    /// The token ids to continue, such as `1,5,3`; token ids are printed
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    ids: Option<Vec<usize>>,
    /// The vocabulary of a specification: a file `tokenizer.json` [default: bytes, for a vocabulary of 256]
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Number of tokens to generate
    #[arg(long, value_name = "N", default_value_t = 200)]
    tokens: usize,
    /// What logits are divided by: below 1 for more probable text, 0 for the most probable token each time
    #[arg(long, value_name = "T", default_value_t = 1.0, value_parser = temperature)]
    temperature: f64,
    /// Draw among the K most probable tokens
    #[arg(long, value_name = "K", value_parser = count)]
    top_k: Option<usize>,
    /// Draw among the fewest most probable tokens whose probabilities sum to P
    #[arg(long, value_name = "P", value_parser = probability)]
    top_p: Option<f64>,
    /// Stop before this text
    #[arg(long, value_name = "TEXT", conflicts_with = "ids")]
    stop: Option<String>,
    /// The seed of the random draws: the same seed gives the same text
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// How often a loop of the network runs for each token [default: its maximum] (repeatable)
    #[arg(long, value_name = "LOOP=COUNT", value_parser = steps)]
    steps: Vec<(String, usize)>,
    /// When the text is longer than the network's input: read the last half of it anew, or stop
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Full::Slide)]
    full: Full,
    /// Number of threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<NonZeroU32>,
}

/// What happens when the network's input is full.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Full {
    /// Read the last half of the text anew
    Slide,
    /// Stop
    Stop,
}

fn temperature(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(temperature) if (0.0..=100.0).contains(&temperature) => Ok(temperature),
        _ => Err("expected a number from 0 to 100"),
    }
}

fn count(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("expected an integer from 1 on"),
    }
}

fn probability(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(probability) if probability > 0.0 && probability <= 1.0 => Ok(probability),
        _ => Err("expected a number above 0, at most 1"),
    }
}

fn steps(text: &str) -> Result<(String, usize), &'static str> {
    let expected = "expected loop=count, such as think=4";
    let (name, count) = text.split_once('=').ok_or(expected)?;
    Ok((name.trim().to_owned(), count.trim().parse().map_err(|_| expected)?))
}

/// A network with what it was read from.
struct Read {
    spec: Spec,
    network: Network,
    model: Model,
    /// The vocabulary, if text is what it generates.
    tokens: Option<Tokens>,
}

impl Generate {
    /// Generates text.
    pub(super) fn run(&self, terminal: &Terminal) -> ExitCode {
        finish(self.done(terminal), terminal)
    }

    fn done(&self, terminal: &Terminal) -> Done {
        ksdsl_train_core::program::train::threads(self.threads);
        let is_specification = self.model.extension().is_some_and(|extension| extension == "ksn");
        let mut read = match is_specification {
            true => self.specification(terminal)?,
            false => self.saved()?,
        };
        for (name, count) in &self.steps {
            let set = read.model.graph_mut().set_steps(name, *count);
            set.map_err(|error| Usage(format!("--steps: {error}")))?;
        }
        read.model.round_weights(self.weight_type);
        let decoder = read.model.graph().decoder();
        let decoder = decoder.map_err(|error| at(&error, &read.spec))?;
        let prompt = self.prompt(&read)?;
        self.generate(decoder, &read, &prompt)?;
        Ok(ExitCode::SUCCESS)
    }

    /// The network of a specification.
    fn specification(&self, terminal: &Terminal) -> Result<Read, Box<dyn Error>> {
        let (network, spec) = self.choice.network(&self.model, terminal)?;
        let model = match &self.weights {
            Some(weights) => load(CpuExec, &network, weights)?,
            None => {
                terminal.warn("no --weights: the weights are random, and so is the text");
                Model::new(&network, self.seed)
            }
        };
        let tokens = match (&self.tokenizer, &self.ids) {
            (Some(file), _) => Some(Tokens::read_tokenizer(file)?),
            (None, Some(_)) => None,
            (None, None) if vocabulary(&network) == Some(256) => Some(Tokens::bytes()),
            (None, None) => {
                let text = "the vocabulary of a specification is unknown: give `--tokenizer FILE.json`, or token ids with `--ids 1,2,3`";
                return Err(Usage(text.to_owned()).into());
            }
        };
        Ok(Read {
            spec,
            network,
            model,
            tokens,
        })
    }

    /// The network of a run, which says all of it.
    fn saved(&self) -> Result<Read, Box<dyn Error>> {
        let given = [
            ("--weights", self.weights.is_some()),
            ("--tokenizer", self.tokenizer.is_some()),
            ("--net", self.choice.net.is_some()),
            ("--set", !self.choice.set.is_empty()),
        ];
        if let Some((option, _)) = given.iter().find(|(_, is_given)| *is_given) {
            let text = format!("{option} is for specifications (FILE.ksn): a run says what its network is");
            return Err(Usage(text).into());
        }
        let saved = Saved::open(&self.model, self.last)?;
        let (spec, _) = super::specs::spec_of(saved.description())?;
        let (network, _) = spec.compile_one()?;
        let model = load(CpuExec, &network, &saved.file)?;
        let folder = saved.file.parent().unwrap_or(Path::new(""));
        Ok(Read {
            tokens: match &self.ids {
                Some(_) => None,
                None => Some(Tokens::load(folder)?),
            },
            spec,
            network,
            model,
        })
    }

    /// The token ids to begin with.
    fn prompt(&self, read: &Read) -> Result<Vec<usize>, Box<dyn Error>> {
        let ids = match (&self.ids, &read.tokens) {
            (Some(ids), _) => ids.clone(),
            (None, Some(tokens)) => {
                let text = self.prompt.as_deref().unwrap_or("\n");
                tokens.encode(text)?.into_iter().map(|id| id as usize).collect()
            }
            (None, None) => Vec::new(),
        };
        let vocabulary = vocabulary(&read.network).unwrap_or(0);
        match ids.iter().find(|id| **id >= vocabulary) {
            _ if ids.is_empty() => Err(Usage("the prompt is empty: give at least one token".to_owned()).into()),
            Some(id) => {
                let text = format!("the token id {id} is not below {vocabulary}, the vocabulary of the network");
                Err(Usage(text).into())
            }
            None => Ok(ids),
        }
    }

    /// How tokens are drawn, and what happens when there is no room.
    fn drawing(&self) -> (Sampler, Overflow) {
        let sampling = Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
        };
        let overflow = match self.full {
            Full::Slide => Overflow::Slide,
            Full::Stop => Overflow::Stop,
        };
        (Sampler::new(sampling, self.seed), overflow)
    }

    fn generate(
        &self,
        decoder: Decoder<'_, f32, CpuExec>,
        read: &Read,
        prompt: &[usize],
    ) -> Result<(), Box<dyn Error>> {
        let known = vocabulary(&read.network).unwrap_or(0);
        let known = read.tokens.as_ref().map_or(known, |tokens| known.min(tokens.len()));
        let start = Instant::now();
        let mut generator = Generator::new(decoder, prompt, known, self.drawing())?;
        let (prefilled, start) = (start.elapsed(), Instant::now());
        let mut stream = Stream::new(self.stop.clone());
        let mut count = 0;
        if read.tokens.is_some() {
            show(self.prompt.as_deref().unwrap_or("\n"))?;
        }
        while count < self.tokens && !stream.is_stopped() {
            let Some(token) = generator.draw()? else { break };
            match &read.tokens {
                Some(tokens) => show(&stream.add(&tokens.decode(&[u32::try_from(token)?])))?,
                None => show(&format!("{}{token}", if count > 0 { "," } else { "" }))?,
            }
            count += 1;
        }
        show(&format!("{}\n", stream.end()))?;
        let loops = match read.network.loops.is_empty() {
            true => String::new(),
            false => format!(", {} iterations of loops", generator.iterations()),
        };
        note(format_args!(
            "{}{loops}",
            speed(count, start.elapsed(), prompt.len(), prefilled)
        ));
        Ok(())
    }
}

/// `200 tokens in 1.25 s: 160.0 tokens/s (prompt of 5 tokens: 0.02 s)`.
fn speed(count: usize, time: Duration, prompt: usize, prefilled: Duration) -> String {
    let (time, prefilled) = (time.as_secs_f64(), prefilled.as_secs_f64());
    // The first token is drawn from what the prompt gave.
    let rate = count.saturating_sub(1) as f64 / time.max(1e-9);
    format!("{count} tokens in {time:.2} s: {rate:.1} tokens/s (prompt of {prompt} tokens: {prefilled:.2} s)")
}

/// The vocabulary of a network on token ids.
fn vocabulary(network: &Network) -> Option<usize> {
    match network.input() {
        Shape::Ids { vocabulary, .. } => usize::try_from(vocabulary).ok(),
        _ => None,
    }
}

/// Why a network does not run token by token, with the place of the layer.
fn at(error: &NotCausal, spec: &Spec) -> Box<dyn Error> {
    let source = spec.source();
    match error.span() {
        Some(span) => {
            let offset = span.range().start;
            let (line, column) = source.line_column(offset);
            format!("{}:{line}:{column}: {error}", source.name_at(offset)).into()
        }
        None => format!("{}: {error}", source.name()).into(),
    }
}

/// Writes text at once; a reader that has gone is no error.
fn show(text: &str) -> Result<(), Box<dyn Error>> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(printable(text).as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}").into())
        }
        _ => Ok(()),
    }
}

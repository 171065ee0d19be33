//! Generates text with language models: the loop around a [`Decoder`].

mod sampling;
mod stream;

pub use sampling::{NotNumbers, Sampler, Sampling};
pub use stream::Stream;

use crate::graph::{Decoder, Error};
use ksdsl_cpu::CpuExec;
use std::fmt;

/// What happens when a sequence has as many tokens as the network takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The last half of the tokens is read again as the beginning of a new sequence.
    #[default]
    Slide,
    /// Generation ends.
    Stop,
}

/// Why no token was generated.
#[derive(Clone, Debug, PartialEq)]
pub enum GenerateError {
    /// The network did not run.
    Run(Error<ksdsl_cpu::Error>),
    /// Its logits are no numbers.
    Logits(NotNumbers),
}

impl fmt::Display for GenerateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(Error::Exec(error)) => error.fmt(f),
            Self::Run(error) => error.fmt(f),
            Self::Logits(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for GenerateError {}

impl From<Error<ksdsl_cpu::Error>> for GenerateError {
    fn from(error: Error<ksdsl_cpu::Error>) -> Self {
        Self::Run(error)
    }
}

/// A sequence that grows by the tokens that a network draws.
#[derive(Debug)]
pub struct Generator<'g> {
    decoder: Decoder<'g, f32, CpuExec>,
    sampler: Sampler,
    overflow: Overflow,
    /// Ids that may be drawn are below.
    vocabulary: usize,
    /// The tokens of the current sequence.
    tokens: Vec<usize>,
    logits: Vec<f32>,
    /// Iterations that loops have run for drawn tokens.
    iterations: usize,
}

impl<'g> Generator<'g> {
    /// A sequence that begins with a prompt, of which the network reads the last tokens, as many as it takes.
    ///
    /// # Errors
    /// If the prompt is empty or has an id that the network does not know.
    pub fn new(
        mut decoder: Decoder<'g, f32, CpuExec>,
        prompt: &[usize],
        vocabulary: usize,
        (sampler, overflow): (Sampler, Overflow),
    ) -> Result<Self, GenerateError> {
        let read = &prompt[prompt.len().saturating_sub(decoder.context())..];
        let logits = decoder.prefill(read)?;
        Ok(Self {
            decoder,
            sampler,
            overflow,
            vocabulary,
            tokens: read.to_vec(),
            logits,
            iterations: 0,
        })
    }

    /// Iterations that all loops have run for the tokens after the prompt.
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// The next token; none if the sequence is full and may not slide.
    ///
    /// # Errors
    /// If the network does not run or gives no logits.
    pub fn draw(&mut self) -> Result<Option<usize>, GenerateError> {
        if self.tokens.len() > self.decoder.len() && !self.read()? {
            return Ok(None);
        }
        let known = self.logits.len().min(self.vocabulary);
        let token = self
            .sampler
            .draw(&self.logits[..known])
            .map_err(GenerateError::Logits)?;
        self.tokens.push(token);
        Ok(Some(token))
    }

    /// Reads the token that was drawn last. Whether there was room.
    fn read(&mut self) -> Result<bool, GenerateError> {
        let context = self.decoder.context();
        if self.tokens.len() <= context {
            let unread = self.decoder.len();
            self.logits = self.decoder.prefill(&self.tokens[unread..])?;
            self.iterations += self.decoder.iterations();
            return Ok(true);
        }
        if self.overflow == Overflow::Stop {
            return Ok(false);
        }
        let kept = (context / 2).max(self.decoder.prefix()).max(1);
        self.tokens.drain(..self.tokens.len() - kept);
        self.decoder.truncate(0);
        self.logits = self.decoder.prefill(&self.tokens)?;
        self.iterations += self.decoder.iterations();
        Ok(true)
    }
}

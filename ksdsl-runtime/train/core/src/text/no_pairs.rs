//! Byte pairs in builds without the feature `tokenizers`.

/// A tokenizer, which such builds do not have.
#[derive(Clone, Debug)]
pub(super) enum Pairs {}

const MISSING: &str = "this program was built without tokenizers: build it with `--features tokenizers`, or choose bytes or \
                       characters";

impl Pairs {
    pub(super) fn read(_: &[u8]) -> Result<Self, String> {
        Err(MISSING.to_owned())
    }

    pub(super) fn train(_: &str, _: usize) -> Result<Self, String> {
        Err(MISSING.to_owned())
    }

    pub(super) fn json(&self) -> Vec<u8> {
        match *self {}
    }

    pub(super) fn len(&self) -> usize {
        match *self {}
    }

    pub(super) fn encode(&self, _: &str) -> Result<Vec<u32>, String> {
        match *self {}
    }

    pub(super) fn decode(&self, _: &[u32]) -> Vec<u8> {
        match *self {}
    }
}

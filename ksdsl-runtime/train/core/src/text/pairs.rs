//! Byte pairs, by the library `tokenizers`.

use std::fmt;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{DecoderWrapper, Tokenizer};

/// A tokenizer.
#[derive(Clone)]
pub(super) struct Pairs {
    tokenizer: Tokenizer,
    /// The bytes of each token, if the decoder is byte-level.
    bytes: Option<Vec<Vec<u8>>>,
    len: usize,
}

/// The tokens that every byte-pair vocabulary starts from.
const BYTES: usize = 256;

impl Pairs {
    pub(super) fn read(json: &[u8]) -> Result<Self, String> {
        let tokenizer = Tokenizer::from_bytes(json);
        let mut tokenizer = tokenizer.map_err(|error| format!("expected a `tokenizer.json`: {error}"))?;
        // A text is encoded as a whole.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
        let last = tokenizer.get_vocab(true).into_values().max();
        let last = last.ok_or("the tokenizer has no tokens")?;
        let is_byte_level = matches!(tokenizer.get_decoder(), Some(DecoderWrapper::ByteLevel(_)));
        Ok(Self {
            bytes: is_byte_level.then(|| (0..=last).map(|id| bytes(&tokenizer, id)).collect()),
            len: last as usize + 1,
            tokenizer,
        })
    }

    pub(super) fn train(text: &str, size: usize) -> Result<Self, String> {
        if size <= BYTES {
            return Err(format!("expected more than {BYTES} tokens: {BYTES} are the bytes"));
        }
        let splits = ByteLevel::default().add_prefix_space(false);
        let mut tokenizer = Tokenizer::new(BPE::default());
        tokenizer.with_pre_tokenizer(Some(splits)).with_decoder(Some(splits));
        let trainer = BpeTrainer::builder()
            .vocab_size(size)
            .min_frequency(2)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let trained = tokenizer.train(&mut TrainerWrapper::from(trainer), text.split_inclusive('\n'));
        trained.map_err(|error| error.to_string())?;
        let found = tokenizer.get_vocab_size(true);
        if found < size {
            return Err(format!(
                "the training text has pairs for {found} tokens only: choose `bpe:{found}` or less"
            ));
        }
        let json = tokenizer.to_string(false).map_err(|error| error.to_string())?;
        Self::read(json.as_bytes())
    }

    pub(super) fn json(&self) -> Vec<u8> {
        let json = self.tokenizer.to_string(true);
        json.expect("a tokenizer that was read or trained").into_bytes()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let encoding = self.tokenizer.encode_fast(text, false);
        Ok(encoding.map_err(|error| error.to_string())?.get_ids().to_vec())
    }

    pub(super) fn decode(&self, ids: &[u32]) -> Vec<u8> {
        let of = |bytes: &[Vec<u8>], id: u32| match bytes.get(id as usize) {
            Some(own) if !own.is_empty() => own.clone(),
            _ => char::REPLACEMENT_CHARACTER.to_string().into_bytes(),
        };
        match &self.bytes {
            Some(bytes) => ids.iter().flat_map(|&id| of(bytes, id)).collect(),
            None => self.tokenizer.decode(ids, false).unwrap_or_default().into_bytes(),
        }
    }
}

/// The bytes of a token of a byte-level tokenizer; none for an id without token. The content of an added token is text.
fn bytes(tokenizer: &Tokenizer, id: u32) -> Vec<u8> {
    let Some(token) = tokenizer.id_to_token(id) else {
        return Vec::new();
    };
    let is_added = tokenizer
        .get_added_vocabulary()
        .get_added_tokens_decoder()
        .contains_key(&id);
    let mapped: Option<Vec<u8>> = token.chars().map(byte).collect();
    match mapped {
        Some(bytes) if !is_added => bytes,
        _ => token.into_bytes(),
    }
}

/// The byte that a character of a byte-level vocabulary stands for: printable ones of Latin-1 for themselves, the others in
/// their order for U+0100 and following (GPT-2's `bytes_to_unicode`).
fn byte(character: char) -> Option<u8> {
    let is_own = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let code = u32::from(character);
    match code.checked_sub(256) {
        None => u8::try_from(code).ok().filter(is_own),
        Some(place) => (0..=255).filter(|byte| !is_own(byte)).nth(place as usize),
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pairs({} tokens)", self.len)
    }
}

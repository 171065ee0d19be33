//! Whether a network has the sizes of the data.

use super::specs::Usage;
use crate::graph::train::{Classifier, LanguageModel};
use ksdsl_train_core::data::Sizes;
use ksdsl_train_core::text::Text;

/// Whether a data set has what a network takes and gives; the error says what to set.
pub(super) fn check_sizes(network: &Classifier, data: Sizes) -> Result<(), Usage> {
    let sizes = network.sizes();
    if sizes == data {
        return Ok(());
    }
    let fix = match sizes.image() == data.image() {
        true => format!(
            "end the network with {} values (often `--set classes={0}`)",
            data.classes
        ),
        false => {
            let [channels, height, width] = data.image();
            format!("change its input to `input {channels} x {height} x {width}`")
        }
    };
    Err(Usage(format!(
        "the data set has {data}; `{}` is for {sizes}: {fix}, or choose another data set with --data",
        network.facts().label()
    )))
}

/// Whether a network has the tokens of a text; the error says what to set.
pub(super) fn check_tokens(network: &LanguageModel, text: &Text) -> Result<(), Usage> {
    let (found, vocabulary) = (text.tokens.len(), network.vocabulary());
    if found <= vocabulary {
        return Ok(());
    }
    Err(Usage(format!(
        "the text has {found} tokens ({}); `{}` has a vocabulary of {vocabulary}: change its input to `input {} of {found}` \
         (often `--set vocabulary={found}`), or choose other tokens with --tokens",
        text.tokens,
        network.facts().label(),
        network.length()
    )))
}

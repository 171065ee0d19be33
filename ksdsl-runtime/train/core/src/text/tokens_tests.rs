//! Vocabularies.

use super::Tokens;
use std::path::Path;

/// A vocabulary as a run folder gives it back.
fn reloaded(tokens: &Tokens) -> Tokens {
    let folder = tempfile::tempdir().unwrap();
    for file in tokens.companions() {
        std::fs::write(folder.path().join(file.name), file.content).unwrap();
    }
    Tokens::load(folder.path()).unwrap()
}

#[test]
fn bytes_are_their_values() {
    let tokens = reloaded(&Tokens::bytes());
    assert_eq!((tokens.len(), tokens.to_string()), (256, "bytes".to_owned()));
    assert_eq!(tokens.encode("aé\n").unwrap(), [97, 0xc3, 0xa9, 10]);
    assert_eq!(tokens.decode(&[0xa9, 0, 255]), [0xa9, 0, 255]);
    assert_eq!(tokens.decode(&[256]), "\u{fffd}".as_bytes());
}

/// nanoGPT's `chars = sorted(list(set(data)))`, `stoi = {ch: i for i, ch in enumerate(chars)}`:
/// `sorted(set("zebra crossing é\n"))` is `\n`, space, `abceginorsz`, `é`.
#[test]
fn characters_have_the_order_of_their_code_points() {
    let tokens = reloaded(&Tokens::characters("zebra crossing é\n").unwrap());
    assert_eq!((tokens.len(), tokens.to_string()), (14, "14 characters".to_owned()));
    assert_eq!(tokens.encode("\n é").unwrap(), [0, 1, 13]);
    assert_eq!(tokens.encode("zebra").unwrap(), [12, 5, 3, 10, 2]);
    assert_eq!(tokens.decode(&[12, 13, 14]), "zé\u{fffd}".as_bytes());
    let error = tokens.encode("bees\nan é é?").unwrap_err().to_string();
    assert_eq!(error, "line 2, column 7: the vocabulary has no character '?'");
    let error = Tokens::characters("").unwrap_err().to_string();
    assert_eq!(error, "the text is empty: expected text");
}

#[test]
fn damaged_vocabularies_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = |content: &str| {
        std::fs::write(folder.path().join("tokens.json"), content).unwrap();
        Tokens::load(folder.path()).unwrap_err().to_string()
    };
    for content in [
        r#"{"kind":"characters","characters":"ba"}"#,
        r#"{"kind":"characters","characters":"aa"}"#,
    ] {
        assert!(error(content).ends_with("must be distinct characters in the order of their code points"));
    }
    assert!(error(r#"{"kind":"words"}"#).contains("tokens.json`: "));
    assert!(error(r#"{"kind":"tokenizer"}"#).starts_with("cannot read `"));
    let none = Tokens::load(Path::new("/nowhere")).unwrap_err().to_string();
    assert!(none.contains("the run has no vocabulary"), "{none}");
}

#[cfg(not(feature = "tokenizers"))]
#[test]
fn builds_without_tokenizers_say_so() {
    let error = Tokens::pairs("text", 300).unwrap_err().to_string();
    assert!(
        error.starts_with("bpe:300: this program was built without tokenizers: build it with"),
        "{error}"
    );
}

#[cfg(feature = "tokenizers")]
mod pairs {
    use super::{Tokens, reloaded};

    const TEXT: &str = "low low low lower lower newest newest newest newest wide\n";

    /// Sennrich et al. 2016 by hand: with GPT-2's splits the words are `low`, ` low` twice, ` lower` twice, ` newest` four
    /// times, ` wide`. `we` occurs 6 times (in ` lower` and ` newest`), more than any other pair, so it is merged first.
    #[test]
    fn the_most_frequent_pairs_are_merged_first() {
        let tokens = reloaded(&Tokens::pairs(TEXT, 257).unwrap());
        assert_eq!(tokens.len(), 257);
        assert_eq!(tokens.decode(&[256]), b"we");
        assert_eq!(tokens.encode("newest").unwrap().len(), 5);
        assert_eq!(tokens.encode(TEXT).unwrap().len(), TEXT.len() - 6);
    }

    /// Of any text, and token by token, whatever is in the training text.
    #[test]
    fn texts_survive() {
        let tokens = reloaded(&Tokens::pairs(TEXT, 262).unwrap());
        let all: String = (0..0x250)
            .filter_map(char::from_u32)
            .chain("  \r\n\n\n 🦀e\u{301}".chars())
            .collect();
        let ids = tokens.encode(&all).unwrap();
        assert_eq!(tokens.decode(&ids), all.as_bytes());
        let single: Vec<u8> = ids.iter().flat_map(|&id| tokens.decode(&[id])).collect();
        assert_eq!(single, all.as_bytes());
        assert_eq!(tokens.decode(&[9999]), "\u{fffd}".as_bytes());
    }

    #[test]
    fn training_is_deterministic() {
        let files = || Tokens::pairs(TEXT, 264).unwrap().companions();
        assert_eq!(files(), files());
    }

    #[test]
    fn sizes_have_bounds() {
        let error = |size| Tokens::pairs(TEXT, size).unwrap_err().to_string();
        assert_eq!(error(256), "bpe:256: expected more than 256 tokens: 256 are the bytes");
        let many = error(100_000);
        assert!(
            many.starts_with("bpe:100000: the training text has pairs for 2"),
            "{many}"
        );
    }

    /// `<|end|>` is a token of its own, with its text as bytes; truncation and padding of the file do not apply.
    #[test]
    fn settings_of_foreign_tokenizers_do_not_change_texts() {
        let own = Tokens::pairs(TEXT, 260).unwrap().companions();
        let mut json: serde_json::Value = serde_json::from_slice(&own[0].content).unwrap();
        json["truncation"] = serde_json::json!({
            "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0
        });
        json["padding"] = serde_json::json!({
            "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0,
            "pad_token": "!"
        });
        json["added_tokens"] = serde_json::json!([{
            "id": 260, "content": "<|énd|>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": true
        }]);
        let tokens = Tokens::tokenizer(&serde_json::to_vec(&json).unwrap(), "`file`").unwrap();
        assert_eq!(tokens.len(), 261);
        let ids = tokens.encode("low<|énd|>lower").unwrap();
        assert!(ids.contains(&260), "{ids:?}");
        assert_eq!(tokens.decode(&ids), "low<|énd|>lower".as_bytes());
        let error = Tokens::tokenizer(b"{}", "`file`").unwrap_err().to_string();
        assert!(error.starts_with("`file`: expected a `tokenizer.json`: "), "{error}");
    }
}

//! `ksn explain CODE`

use super::Status;
use super::markdown::render;
use super::output::Terminal;
use crate::diag::{Code, nearest};

/// The book's page on diagnostics; `docs/book/src/diagnostics.md` is a link to it.
const PAGE: &str = include_str!("../diagnostics.md");

/// The arguments of `ksn explain`.
#[derive(clap::Args)]
pub(super) struct Explain {
    /// The code of a diagnostic, such as KS0050; without one, all codes are listed
    code: Option<String>,
}

impl Explain {
    /// Prints the section of a code, or the list of all codes.
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        let Some(word) = &self.code else {
            return terminal.print(&list());
        };
        match code(word).and_then(section) {
            Some(section) => terminal.print(&render(section, terminal.width.min(100), terminal.colour)),
            None => {
                terminal.complain(&format!("there is no diagnostic `{word}`"), Some(&near(word)));
                Status::Usage
            }
        }
    }
}

/// `KS0001  The text does not follow the grammar`, for every code.
fn list() -> String {
    Code::ALL
        .iter()
        .map(|code| format!("{code}  {}\n", code.meaning()))
        .collect()
}

/// The code that is meant by `KS0050`, `ks50` or `50`.
fn code(word: &str) -> Option<Code> {
    let number = number(word)?;
    Code::ALL.iter().copied().find(|code| *code as u16 == number)
}

fn number(word: &str) -> Option<u16> {
    let digits = match word.get(..2) {
        Some(start) if start.eq_ignore_ascii_case("ks") => &word[2..],
        _ => word,
    };
    // Rust would also read `+50`.
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// The part of the page on a code, from its heading on.
fn section(code: Code) -> Option<&'static str> {
    let start = PAGE.find(&format!("\n## {code}:"))? + 1;
    let rest = &PAGE[start..];
    Some(rest[3..].find("\n## ").map_or(rest, |end| &rest[..end + 3]))
}

/// The codes next to one that does not exist.
fn near(word: &str) -> String {
    let codes: Vec<String> = Code::ALL.iter().map(Code::to_string).collect();
    let near: Vec<Code> = match number(word) {
        Some(number) => {
            let distance = |code: &Code| (*code as u16).abs_diff(number);
            let least = Code::ALL.iter().map(distance).min();
            Code::ALL
                .iter()
                .copied()
                .filter(|code| Some(distance(code)) == least)
                .collect()
        }
        None => nearest(word, codes.iter().map(String::as_str))
            .and_then(code)
            .into_iter()
            .collect(),
    };
    let near: Vec<String> = near
        .iter()
        .map(|code| format!("`{code}` ({})", code.meaning()))
        .collect();
    match near.is_empty() {
        true => "`ksn explain` lists all codes, such as `KS0050`".to_owned(),
        false => format!("the nearest is {}; `ksn explain` lists all codes", near.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{code, near, section};
    use crate::diag::Code;

    #[test]
    fn every_code_has_a_section_of_its_own() {
        for code in Code::ALL {
            let section = section(*code).expect("a section");
            assert!(section.starts_with(&format!("## {code}: ")), "{section}");
            assert_eq!(section.matches("\n## ").count(), 0, "{section}");
        }
    }

    #[test]
    fn codes_are_found_however_they_are_written() {
        for word in ["KS0050", "ks0050", "ks50", "50", "0050"] {
            assert_eq!(code(word), Some(Code::NotIsomorphic), "{word}");
        }
        for word in ["", "KS", "ks-50", "+50", "KS0999", "E0433", "ké50"] {
            assert_eq!(code(word), None, "{word}");
        }
    }

    /// 58 lies between 57 and 60; 48 and 49 between 47 and 50.
    #[test]
    fn unknown_codes_have_neighbours() {
        assert!(near("KS0058").contains("`KS0057`") && !near("KS0058").contains("`KS0060`"));
        assert!(near("9999").contains("`KS0060`"));
        assert!(near("KS005O").contains("`KS005"), "{}", near("KS005O"));
        assert_eq!(near("relu"), "`ksn explain` lists all codes, such as `KS0050`");
    }
}

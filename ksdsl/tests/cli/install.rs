//! Shell completions and man pages.

use super::{Folder, Run};
use std::process::Command;

/// The subcommands that `ksn --help` lists.
fn subcommands(folder: &Folder) -> Vec<String> {
    let help = folder.ksn(&["--help"]).stdout;
    let listed = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.split_whitespace().next());
    let names: Vec<String> = names.filter(|name| *name != "help").map(str::to_owned).collect();
    assert!(names.len() >= 8, "{help}");
    names
}

#[test]
fn every_shell_completes_every_subcommand() {
    let folder = Folder::with(&[]);
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let Run { status, stdout, stderr } = folder.ksn(&["completions", shell]);
        assert_eq!((status, stderr.as_str()), (Some(0), ""), "{shell}");
        for name in subcommands(&folder) {
            assert!(stdout.contains(&name), "{shell} has no {name}");
        }
    }
    assert_eq!(folder.ksn(&["completions", "tcsh"]).status, Some(2));
}

/// Bash itself runs the script and completes three words.
#[cfg(unix)]
#[test]
fn bash_completes_words() {
    let script = r#"
        set -e
        . ./ksn.bash
        complete -p ksn > /dev/null
        words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ksn ksn "${@: -1}" "${@: -2:1}"; echo "${COMPREPLY[*]}"; }
        words ksn che
        words ksn export py
        words ksn summary --js
    "#;
    let folder = Folder::with(&[]);
    let completions = folder.ksn(&["completions", "bash"]).stdout;
    std::fs::write(folder.0.path().join("ksn.bash"), completions).unwrap();
    let run = Command::new("bash")
        .args(["-c", script])
        .current_dir(folder.0.path())
        .output();
    let run = run.expect("bash, which .ci/run needs as well");
    let errors = String::from_utf8_lossy(&run.stderr);
    assert_eq!(
        String::from_utf8_lossy(&run.stdout),
        "check\npytorch\n--json\n",
        "{errors}"
    );
}

#[test]
fn pages_name_what_the_help_names() {
    let folder = Folder::with(&[]);
    let page = folder.ksn(&["man"]).stdout;
    assert!(page.lines().any(|line| line.starts_with(".TH ksn 1")), "{page}");
    for name in subcommands(&folder) {
        assert!(page.contains(&format!("ksn\\-{name}(1)")), "{name}: {page}");
        let own = folder.ksn(&["man", &name]).stdout;
        assert!(own.contains(&format!(".TH ksn-{name} 1")), "{own}");
    }
    let check = folder.ksn(&["man", "check"]).stdout;
    assert!(check.contains("\\-\\-set"), "{check}");
    let pytorch = folder.ksn(&["man", "export", "pytorch"]);
    assert!(pytorch.stdout.contains("\\-\\-output"), "{}", pytorch.stdout);
}

#[test]
fn an_unknown_page_is_wrong_usage() {
    let run = Folder::with(&[]).ksn(&["man", "export", "onxn"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""));
    assert!(
        run.stderr.contains("`ksn export` has no subcommand `onxn`"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("its subcommands are pytorch"), "{}", run.stderr);
}

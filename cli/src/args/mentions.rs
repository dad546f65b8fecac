//! Every `iono …` that a help text, a hint or a page names can be typed: the command exists, and where arguments are
//! shown, they are enough.

use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use iono_lease_api::MoneyWarning;
use iono_primitives::LeaseId;

use super::Cli;

/// Folders and files whose words people read, from the repository's root.
const SPOKEN: [&str; 10] = [
    "cli/src",
    "crates",
    "provider/host/src",
    "provider/node/src",
    "provider/fizz/src",
    "operator",
    "docs",
    "examples",
    "README.md",
    "deploy",
];
/// Where a command ends for the shell.
const SHELL: [&str; 7] = ["|", "||", "&&", ">", ">>", "#", ";"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn texts(path: &Path, found: &mut Vec<(PathBuf, String)>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            texts(&entry.unwrap().path(), found);
        }
    } else if path
        .extension()
        .is_some_and(|kind| ["rs", "md", "toml", "yaml", "service"].iter().any(|k| kind == *k))
    {
        found.push((path.to_owned(), std::fs::read_to_string(path).unwrap()));
    }
}

/// `iono …` between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|part| part.starts_with("iono ") && !part.contains('\n'))
}

/// Lines of a page's code blocks that are a command.
fn typed(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| line.starts_with("iono ") && !line.contains('`'))
}

/// What may stand for a value that the reader fills in.
fn filled(word: &str) -> String {
    match word {
        "ADDRESS" => format!("{:#x}", alloy::primitives::Address::ZERO),
        _ if word.starts_with('{') || word.bytes().all(|b| b.is_ascii_uppercase()) => "1".to_owned(),
        _ => word.trim_matches('\'').to_owned(),
    }
}

/// Why a mention cannot be typed.
fn wrong(mention: &str) -> Option<String> {
    let words: Vec<&str> = mention.split_whitespace().take_while(|word| !SHELL.contains(word)).collect();
    let mut command = Cli::command();
    command.build();
    let mut rest = &words[1..];
    while let Some(inner) = rest.first().and_then(|word| command.find_subcommand(word)) {
        command = inner.clone();
        rest = &rest[1..];
    }
    let parsed = || {
        let parsed = Cli::try_parse_from(words.iter().map(|word| filled(word)));
        parsed.err().filter(clap::Error::use_stderr).map(|error| error.to_string())
    };
    match rest.first() {
        None => None,
        // Options of a command that is only named; before it they are part of one that is typed.
        Some(flag) if flag.starts_with('-') && rest.len() + 1 < words.len() => {
            let known = |flag: &str| {
                flag == "--help"
                    || command
                        .get_arguments()
                        .any(|argument| argument.get_long().is_some_and(|long| flag == format!("--{long}")))
            };
            rest.iter()
                .filter(|word| word.starts_with("--") && **word != "--")
                .find(|flag| !known(flag))
                .map(|flag| format!("`{}` has no {flag}", command.get_name()))
        }
        Some(_) => parsed(),
    }
}

#[test]
fn every_command_that_is_named_can_be_typed() {
    let mut found = Vec::new();
    for place in SPOKEN {
        texts(&root().join(place), &mut found);
    }
    let mut checked = 0;
    let mut problems = Vec::new();
    for (path, text) in found.iter().filter(|(path, _)| !path.ends_with("mentions.rs")) {
        let pages = path.extension().is_some_and(|kind| kind != "rs");
        let found = quoted(text).chain(typed(text).filter(|_| pages));
        for mention in found.filter(|mention| !mention.contains("COMMAND")) {
            checked += 1;
            problems.extend(wrong(mention).map(|why| format!("{}: `{mention}`: {why}", path.display())));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(checked > 100, "only {checked} mentions were found");
}

/// Lines of all commands' examples.
fn examples(command: &clap::Command, found: &mut Vec<String>) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    found.extend(typed(&help).map(str::to_owned));
    for inner in command.get_subcommands() {
        examples(inner, found);
    }
}

#[test]
fn every_example_can_be_typed() {
    let mut found = Vec::new();
    examples(&Cli::command(), &mut found);
    assert!(found.len() > 80, "only {} examples", found.len());
    let problems: Vec<String> =
        found.iter().filter_map(|line| Some(format!("`{line}`: {}", wrong(line)?))).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_money_warning_names_a_command_that_works() {
    let warning = MoneyWarning::for_lease(LeaseId(7), 60).unwrap();
    let named: Vec<&str> = quoted(&warning.message).collect();
    assert_eq!(named.len(), 1, "{}", warning.message);
    assert_eq!(wrong(named[0]), None);
    assert!(Cli::try_parse_from(named[0].split_whitespace()).is_ok());
}

#[test]
fn what_cannot_be_typed_is_noticed() {
    assert_eq!(wrong("iono ps"), None);
    assert_eq!(wrong("iono bids {order}"), None);
    assert_eq!(wrong("iono --home owner provider list"), None);
    assert!(wrong("iono --hone owner provider list").is_some());
    assert!(wrong("iono extend 7").unwrap().contains("DURATION"));
    assert!(wrong("iono frobnicate").is_some());
    assert!(wrong("iono ps --al").unwrap().contains("--al"));
}

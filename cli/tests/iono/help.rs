//! Help, examples and completions of every command, as the binary writes them.

use crate::person::Person;

/// Names under `Commands:` in a help text.
fn commands(help: &str) -> Vec<String> {
    let list =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Continued descriptions are indented further.
    list.filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

fn walk(person: &Person, path: &[&str], leaves: &mut Vec<String>) {
    let mut args = path.to_vec();
    args.push("--help");
    let run = person.run(&args);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let inner = commands(&run.stdout);
    if inner.is_empty() {
        let example = format!("  iono {}", path.join(" "));
        assert!(run.stdout.contains(&example), "`iono {} --help` has no example", path.join(" "));
        leaves.push(path.join(" "));
    }
    for name in inner {
        let mut deeper = path.to_vec();
        deeper.push(&name);
        walk(person, &deeper, leaves);
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let mut leaves = Vec::new();
    walk(&Person::stranger(), &[], &mut leaves);
    for name in ["deploy", "stake redelegate", "admin token enable", "manifest check"] {
        assert!(leaves.iter().any(|leaf| leaf == name), "{name} is missing in {leaves:?}");
    }
}

/// The commands of the table in `docs/cli.md`: `` `stake add/show`, `ps` `` are three.
fn listed(page: &str) -> Vec<String> {
    let table = page.lines().skip_while(|line| !line.starts_with("| family |")).skip(2);
    let cells = table.take_while(|line| line.starts_with('|')).filter_map(|line| line.split('|').nth(2));
    let mut found = Vec::new();
    for mention in cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
        let (group, last) = mention.rsplit_once(' ').unwrap_or(("", mention));
        found.extend(last.split('/').map(|name| format!("{group} {name}").trim().to_owned()));
    }
    found
}

#[test]
fn the_reference_lists_every_command() {
    let mut leaves = Vec::new();
    walk(&Person::stranger(), &[], &mut leaves);
    let page = std::fs::read_to_string(crate::person::repository("docs/cli.md")).unwrap();
    let mut listed = listed(&page);
    leaves.sort();
    listed.sort();
    assert_eq!(listed, leaves);
}

#[test]
fn the_overview_stays_as_people_know_it() {
    let run = Person::stranger().run(&["--help"]);
    insta::assert_snapshot!("help", run.stdout);
}

#[test]
fn completions_know_every_command() {
    let person = Person::stranger();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = person.run(&["completions", shell]);
        assert!(run.code == 0 && run.stdout.contains("send-manifest"), "{shell}: {}", run.stderr);
    }
    assert_eq!(person.json(&["completions", "bash"])["shell"], "bash");
}

#[test]
fn codes_are_explained() {
    let person = Person::stranger();
    let codes = person.json(&["explain", "exit-codes"]);
    assert_eq!(codes.as_array().unwrap().len(), 11);
    assert!(person.run(&["explain", "close-reasons"]).stdout.contains("closed by the tenant"));
    person.fails(2, &["explain", "nothing"]);
}

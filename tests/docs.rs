//! The documentation is as the program is: the reference is written from it, the tutorial's commands run, all others
//! are given to the parser, tests that pages name exist, and links lead somewhere.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory as _;

mod reference;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Sections of a command and of those below it, in the words of `--help`.
fn sections(
    command: &mut clap::Command,
    path: &str,
    out: &mut String,
    variables: &mut Vec<(String, String)>,
) {
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    out.push_str(&format!("\n## {path}\n\n```text\n{}\n```\n", help.join("\n").trim_end()));
    for argument in command.get_arguments() {
        if let (Some(name), Some(help)) = (argument.get_env(), argument.get_help()) {
            let name = name.to_string_lossy().into_owned();
            if variables.iter().all(|(known, _)| *known != name) {
                variables.push((name, help.to_string()));
            }
        }
    }
    for below in command.get_subcommands_mut() {
        if !below.is_hide_set() && below.get_name() != "help" {
            let path = format!("{path} {}", below.get_name());
            sections(below, &path, out, variables);
        }
    }
}

/// What nobody's terminal and environment show up in.
fn plain(command: clap::Command) -> clap::Command {
    let command = command.term_width(100).mut_args(|argument| argument.hide_env_values(true));
    command.mut_subcommands(plain)
}

/// Those that belong to no flag.
const OTHERS: &str = "\
| `SYNPROV_BECOME_PASSWORD` | The password that sudo or doas want on hosts, for programs: see `--ask-become-password` |
| `NO_COLOR` | If it is set, nothing is coloured unless `--color always` says so |
| `XDG_STATE_HOME` | Where the logs of applies go, below `synprov/logs` [default: ~/.local/state] |
";

fn cli_page() -> String {
    let mut command = plain(synprov::cli::Cli::command());
    command.build();
    let (mut commands, mut variables) = (String::new(), Vec::new());
    let codes = command.get_after_help().unwrap().to_string();
    sections(&mut command, "synprov", &mut commands, &mut variables);
    let variables: String = variables.iter().map(|(name, help)| format!("| `{name}` | {help} |\n")).collect();
    format!(
        "# Commands\n\nWritten from the program by `SYNPROV_WRITE=1 cargo test --test docs`; changes here are lost.\n\n\
         ## Exit codes\n\n```text\n{codes}\n```\n\nSeveral at once: the first of 64, 130, 7, 6, 1, 5, 4, 3, 2, 0.\n\n\
         ## Environment\n\n| variable | what it sets |\n| --- | --- |\n{variables}{OTHERS}{commands}"
    )
}

#[test]
fn the_reference_is_what_the_program_says() {
    for (page, written) in [("cli.md", cli_page()), ("inventory.md", reference::page())] {
        let path = root().join("docs/reference").join(page);
        if std::env::var_os("SYNPROV_WRITE").is_some() {
            std::fs::write(&path, &written).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        let differs = written.lines().zip(there.lines()).find(|(new, old)| new != old);
        assert!(
            there == written,
            "docs/reference/{page} is not what the program says (first difference: {differs:?}); \
             `SYNPROV_WRITE=1 cargo test --test docs` writes it anew"
        );
    }
}

/// All commands with their paths, the hidden ones left out.
fn every_command(command: &clap::Command, path: &[&str], found: &mut Vec<(Vec<String>, clap::Command)>) {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        let path = [path, &[below.get_name()]].concat();
        found.push((path.iter().map(|&name| name.to_owned()).collect(), below.clone()));
        every_command(below, &path, found);
    }
}

#[test]
fn every_command_has_an_example_and_its_exit_codes() {
    let program = synprov::cli::Cli::command();
    let mut commands = Vec::new();
    every_command(&program, &[], &mut commands);
    assert!(commands.len() > 25, "{} commands", commands.len());
    for (path, command) in &commands {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("\n  synprov "), "{path:?} has no example");
        assert!(help.contains("\n\nExit codes: 0 "), "{path:?} does not say its exit codes");
    }
    commands.push((Vec::new(), program));
    for (path, command) in &commands {
        let help = command.get_after_help().unwrap().to_string();
        let lines: Vec<&str> = help.lines().collect();
        let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
        for pair in lines.windows(2) {
            assert!(!pair.iter().all(|line| is_prose(line)), "{path:?}: clap breaks lines, not we: {pair:?}");
        }
        for line in lines.iter().filter(|line| !is_prose(line)) {
            assert!(line.chars().count() <= 80, "{path:?}: wider than a terminal: {line}");
        }
    }
}

/// Commands of one line of a shell, in words; what follows `>` and `#` is left out.
fn shell(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut word, mut quote) = (vec![Vec::new()], None::<String>, None);
    let end = |word: &mut Option<String>, commands: &mut Vec<Vec<String>>| {
        commands.last_mut().unwrap().extend(word.take());
    };
    for c in line.chars() {
        match (c, quote) {
            (_, Some(open)) if c == open => quote = None,
            (_, None) if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (_, None) if c.is_whitespace() => end(&mut word, &mut commands),
            ('#' | '>', None) if word.is_none() => break,
            ('|' | ';' | '&' | '(' | ')', None) => {
                end(&mut word, &mut commands);
                commands.push(Vec::new());
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    end(&mut word, &mut commands);
    commands
}

/// Lines of shell on a page: in code, and in a line of text (`true`).
fn shown(page: &str) -> Vec<(String, bool)> {
    let (mut lines, mut text, mut block) = (Vec::new(), String::new(), None::<String>);
    let page = page.replace("\\\n", " ");
    for line in page.lines() {
        let bare = line.trim_start();
        if let Some(info) = bare.strip_prefix("```") {
            block = if block.is_some() { None } else { Some(info.to_owned()) };
        } else if let Some(info) = &block {
            let typed = match bare.strip_prefix("$ ") {
                None if info.starts_with("console") => None,
                // Help: what a line says behind an example is no part of it.
                None if info == "text" => line
                    .strip_prefix("  ")
                    .filter(|line| line.starts_with("synprov "))
                    .and_then(|line| line.split("  ").next()),
                None => Some(bare),
                typed => typed,
            };
            lines.extend(typed.map(|typed| (typed.to_owned(), false)));
        } else if line.is_empty() || line.starts_with('|') {
            text.push_str(&format!("\n{line}\n"));
        } else {
            text.push_str(&format!("{bare} "));
        }
    }
    for paragraph in text.lines() {
        lines.extend(paragraph.split('`').skip(1).step_by(2).map(|code| (code.to_owned(), true)));
    }
    lines
}

/// What pages show of other programs' flags.
const FOREIGN: &[&str] = &["--python-version"];

/// Every command that a page shows is one that the program understands, and every flag is a flag of some command.
#[test]
fn commands_on_pages_are_understood() {
    use clap::error::ErrorKind::*;
    const UNSAID: &[clap::error::ErrorKind] =
        &[MissingRequiredArgument, MissingSubcommand, DisplayHelpOnMissingArgumentOrSubcommand];
    let has_no_value = |error: &clap::Error| error.to_string().contains("a value is required");
    let program = synprov::cli::Cli::command();
    let mut commands = Vec::new();
    every_command(&program, &[], &mut commands);
    let mut all: Vec<PathBuf> = ["README.md", "CHANGELOG.md"].map(|page| root().join(page)).into();
    for folder in ["docs", "examples"] {
        pages(&root().join(folder), &mut all);
    }
    let proof = root().join("docs/proof");
    let (mut wrong, mut understood) = (Vec::new(), 0);
    for page in all.iter().filter(|page| !page.starts_with(&proof)) {
        for (line, in_text) in shown(&std::fs::read_to_string(page).unwrap()) {
            for words in shell(&line) {
                let words = words.into_iter().filter(|word| word != "…").map(|word| match word.as_str() {
                    "N" => "1".to_owned(),
                    "--backup=DIR" => "--backup=/srv".to_owned(),
                    _ => word,
                });
                let mut words: Vec<String> = words.skip_while(|word| word.starts_with("SYNPROV_")).collect();
                let is_synprov = words.first().is_some_and(|word| word == "synprov");
                if is_synprov {
                    words.remove(0);
                }
                let Some(first) = words.first() else { continue };
                let has_flag = words.iter().any(|word| word.starts_with('-'));
                // In a text a command may stand for itself, without what it needs.
                let parse = |before: &[String]| {
                    let program = program.clone().no_binary_name(true);
                    match program.try_get_matches_from(before.iter().chain(&words)) {
                        Err(error) if matches!(error.kind(), DisplayHelp | DisplayVersion) => Ok(()),
                        Err(error) if in_text && (UNSAID.contains(&error.kind()) || has_no_value(&error)) => {
                            Ok(())
                        }
                        Err(error) => Err(error.to_string()),
                        Ok(_) => Ok(()),
                    }
                };
                let is_command = in_text && has_flag && program.find_subcommand(first).is_some();
                let outcome = if is_synprov || is_command {
                    parse(&[])
                } else if in_text && first.starts_with('-') && !FOREIGN.contains(&first.as_str()) {
                    let tried: Vec<_> = commands.iter().map(|(path, _)| parse(path)).collect();
                    // A command that has the flag and refuses its value says more than one without it.
                    let says_more = |outcome: &Result<(), String>| match outcome {
                        Ok(()) => 0,
                        Err(why) => 1 + usize::from(why.contains("unexpected argument")),
                    };
                    tried.into_iter().min_by_key(says_more).unwrap()
                } else {
                    continue;
                };
                understood += 1;
                if let Err(why) = outcome {
                    let why = why.lines().next().unwrap_or_default().to_owned();
                    wrong.push(format!("{}: `{line}`: {why}", page.strip_prefix(root()).unwrap().display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(understood > 150, "only {understood} commands");
}

/// A command of the tutorial, and what it is said to print.
struct Shown {
    command: String,
    prints: Vec<String>,
}

/// Commands of the `console` blocks that need nothing, and how many blocks need something.
fn commands(page: &str) -> (Vec<Shown>, usize) {
    let (mut found, mut needing, mut inside) = (Vec::<Shown>::new(), 0, None);
    for line in page.lines() {
        match (line.strip_prefix("```"), inside) {
            (Some(info), None) => {
                let runs = info == "console";
                assert!(runs || info.starts_with("console needs="), "a block of unknown kind: {info:?}");
                needing += usize::from(!runs);
                inside = Some(runs);
            }
            (Some(_), Some(_)) => inside = None,
            (None, Some(true)) => match line.strip_prefix("$ ") {
                Some(command) => found.push(Shown { command: command.to_owned(), prints: Vec::new() }),
                None => found.last_mut().unwrap().prints.push(line.to_owned()),
            },
            _ => {}
        }
    }
    (found, needing)
}

/// Whether these lines come in this order, where `…` stands for whatever is there.
fn prints(said: &str, expected: &[String]) -> bool {
    let mut rest = said;
    expected.iter().flat_map(|line| line.split('…')).all(|piece| match rest.split_once(piece) {
        Some((_, behind)) => {
            rest = behind;
            true
        }
        None => false,
    })
}

/// Typed one after the other into one shell, as a reader does.
#[test]
fn the_tutorial_runs() {
    let (shown, needing) = commands(&read("docs/tutorial.md"));
    assert!(shown.len() >= 10 && needing >= 5, "{} commands, {needing} blocks need a host", shown.len());
    let home = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_synprov")).parent().unwrap();
    let mark = "-- the next one --";
    let script: String = shown.iter().map(|shown| format!("{}\necho '{mark}'\n", shown.command)).collect();
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .current_dir(home.path())
        .env_remove("SYNPROV_INVENTORY")
        .env("HOME", home.path())
        .env("NO_COLOR", "1")
        .env("PATH", format!("{}:{}", program.display(), std::env::var("PATH").unwrap()))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<&str> = said.split(&format!("{mark}\n")).collect();
    assert_eq!(answers.len(), shown.len() + 1, "{said}");
    for (shown, answer) in shown.iter().zip(answers) {
        assert!(
            prints(answer, &shown.prints),
            "`{}` prints\n{answer}instead of {:?}",
            shown.command,
            shown.prints
        );
    }
}

/// Every test that a page names is there, in the file that it names.
#[test]
fn the_tests_that_pages_name_exist() {
    for (page, least) in [("docs/hardening.md", 12), ("docs/guarantees.md", 25)] {
        let mut found = 0;
        for cell in read(page).lines().flat_map(|line| line.split([';', '|'])) {
            let words: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
            let (files, names): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.ends_with(".rs"));
            let [file] = files[..] else { continue };
            let code = read(file);
            for name in names
                .iter()
                .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()))
            {
                assert!(code.contains(&format!("fn {name}(")), "{page}: {file} has no {name}");
                found += 1;
            }
        }
        assert!(found >= least, "{page}: only {found} tests are named");
    }
}

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let mut all: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "fuzz/README.md"]
        .map(|page| root().join(page))
        .into();
    for folder in ["docs", "examples"] {
        pages(&root().join(folder), &mut all);
    }
    let mut followed = 0;
    for page in &all {
        let text = std::fs::read_to_string(page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap();
            if path.is_empty() || path.contains("://") || path.contains(' ') {
                continue;
            }
            assert!(page.parent().unwrap().join(path).exists(), "{}: {target} leads nowhere", page.display());
            followed += 1;
        }
    }
    assert!(followed > 40, "only {followed} links");
}

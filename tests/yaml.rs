//! YAML in and out, as the rest of synprov and PyYAML on a host see it.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};
use synprov::resource::{Content, Piece, Quote};
use synprov::yaml;

/// `line:column: summary` of everything wrong with `text`, or the value.
fn check(text: &str) -> String {
    match yaml::parse(text) {
        Ok(node) => node.to_json().to_string(),
        Err(found) => found
            .iter()
            .map(|d| {
                let related: String =
                    d.related.iter().map(|(s, t)| format!(" [{t} {}:{}]", s.line, s.column)).collect();
                format!("{}:{}: {}{related}", d.span.line, d.span.column, d.summary)
            })
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

/// What PyYAML reads in `text`, as JSON.
fn pyyaml(text: &str) -> Value {
    let program =
        "import json,sys,yaml; json.dump(yaml.safe_load(sys.stdin.buffer.read().decode()), sys.stdout)";
    let mut child = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("python3 reads");
    let output = child.wait_with_output().expect("python3 ends");
    assert!(output.status.success(), "PyYAML refuses:\n{text}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn hostile() -> Vec<String> {
    serde_json::from_str(include_str!("data/hostile_strings.json")).expect("a list of strings")
}

#[test]
fn hostile_strings_survive_pyyaml_and_us() {
    let strings = hostile();
    assert!(strings.len() >= 90, "{}", strings.len());
    let keys: serde_json::Map<String, Value> =
        strings.iter().map(|text| (text.clone(), Value::String(text.clone()))).collect();
    let document = json!({
        "list": strings,
        "nested": strings.iter().map(|text| json!([text, [text], {"in": text}])).collect::<Vec<_>>(),
        "map": keys,
        "deep": {"er": strings.iter().map(|text| json!({ text: {text: 1} })).collect::<Vec<_>>()},
    });
    let text = yaml::emit_text(&document);
    assert_eq!(pyyaml(&text), document);
    assert_eq!(yaml::parse(&text).expect("our own output").to_json(), document);
    assert_eq!(text, yaml::emit_text(&document), "deterministic");
}

#[test]
fn long_strings_stay_on_one_line() {
    let long = "word ".repeat(400);
    let text = yaml::emit_text(&json!({"a": long, "b": "line\n".repeat(50)}));
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn secrets_are_pieces_of_their_own() {
    let value = json!({
        "email": {"smtp_pass": {"secret": "smtp"}, "smtp_host": "mail.example.org"},
        "list": [{"secret": "one"}, {"secret": "smtp"}],
        "no_secret": {"secret": 5},
        "decoy": "SynprovSecret",
        "more_keys": {"secret": "x", "y": 1},
    });
    let content = yaml::emit(&value);
    let secret = |name: &str| Piece::Secret { name: name.into(), quote: Quote::Yaml };
    assert_eq!(
        content,
        Content(vec![
            Piece::Text("email:\n  smtp_pass: ".into()),
            secret("smtp"),
            Piece::Text("\n  smtp_host: mail.example.org\nlist:\n  - ".into()),
            secret("one"),
            Piece::Text("\n  - ".into()),
            secret("smtp"),
            Piece::Text(
                "\nno_secret:\n  secret: 5\ndecoy: SynprovSecret\nmore_keys:\n  secret: x\n  \"y\": 1\n"
                    .into()
            ),
        ])
    );
    assert_eq!(content.secrets(), ["smtp", "one"]);
    // With a value in place, PyYAML reads the value.
    let filled: String = content
        .0
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Secret { .. } => "\"p: #\\\"x\"".into(),
        })
        .collect();
    assert_eq!(pyyaml(&filled)["email"]["smtp_pass"], "p: #\"x");
}

#[test]
fn values() {
    assert_eq!(check(""), "null");
    assert_eq!(check("# only a comment\n"), "null");
    assert_eq!(check("\u{feff}a: 1\r\nb: [x, ~]\r\n"), r#"{"a":1,"b":["x",null]}"#);
    assert_eq!(
        check("a: 1.163.2\nb: 'no'\nc: !!str 12\nd: 1.50\n"),
        r#"{"a":"1.163.2","b":"no","c":"12","d":1.5}"#
    );
    assert_eq!(check("a: |\n  x\n  y\nb: >-\n  x\n  y\n"), r#"{"a":"x\ny\n","b":"x y"}"#);
}

#[test]
fn merge_keys_merge_and_own_keys_win() {
    assert_eq!(
        check("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  <<: [*x, *y]\n  a: 9\n"),
        r#"{"x":{"a":1,"b":2},"y":{"b":3,"c":4},"z":{"a":9,"b":2,"c":4}}"#
    );
    assert_eq!(check("a: {\"<<\": 1}"), r#"{"a":{"<<":1}}"#);
    assert_eq!(check("a: {<<: 5}"), "1:9: `<<` merges mappings, this is the integer 5");
}

#[test]
fn everything_wrong_at_once() {
    assert_eq!(
        check("a: 1\nb: yes\na: 2\n1: x\nc: {d: 1, d: 2, d: 3}\ne: *nix\nf: !secret x\ng: 0660\n[k]: v\n"),
        "2:4: `yes` is a boolean to some YAML readers and text to others\n\
         3:1: duplicate key \"a\" [first written here 1:1]\n\
         4:1: key `1` is not text\n\
         5:11: duplicate key \"d\" [first written here 5:5]\n\
         5:17: duplicate key \"d\" [first written here 5:5]\n\
         6:4: unknown anchor \"nix\"\n\
         7:12: YAML tag !secret is not supported\n\
         8:4: `0660` is an octal integer to some YAML readers and an integer to others\n\
         9:1: a list or mapping as a key"
    );
}

#[test]
fn grammar() {
    assert_eq!(check("a:\n  b: 1\n\tc: 2\n"), "3:1: a tab where YAML wants spaces");
    assert_eq!(check("a: 1\nb: \"two\nc: 3\nd: 4\n"), "2:4: the quote opened here is not closed");
    assert_eq!(check("a: 1\nb: 'two\n"), "2:4: the quote opened here is not closed");
    assert_eq!(check("a: [1, 2\nb: 3\n"), "2:2: not valid YAML: illegal placement of ':' indicator");
    assert_eq!(check("a: {b: 1\n"), "1:4: the bracket { is not closed");
    assert_eq!(check("a: 1\n b: 2\n"), "2:3: not valid YAML: mapping values are not allowed in this context");
    assert_eq!(check("a: b: c\n"), "1:5: not valid YAML: mapping values are not allowed in this context");
    assert_eq!(check("a: @x\n"), "1:4: text cannot begin with @");
    assert_eq!(check("a: 'it's'\n"), "1:8: text after the closing quote");
    assert_eq!(check("a: 1\n---\nb: 2\n"), "2:1: a second YAML document starts here");
    assert_eq!(check("a: x\0y\n"), "1:5: control character U+0000 (NUL) in the file");
    assert_eq!(check("a: \u{1b}[31m\n"), "1:4: control character U+001B in the file");
    assert_eq!(check("a\nb: 1\n"), "2:2: not valid YAML: mapping values are not allowed in this context");
    assert_eq!(check("a: {{ x }}\n"), "1:5: a list or mapping as a key");
    assert_eq!(check("a: %x\n"), "1:4: text cannot begin with %");
    assert_eq!(
        check("a: 1\n- b\n"),
        "2:3: not valid YAML: while parsing a block mapping, did not find expected key"
    );
    assert_eq!(check("a: *.org\n"), "1:4: unknown anchor \".org\"");
    assert_eq!(check("a:1\nb: 2\n"), "2:2: not valid YAML: mapping values are not allowed in this context");
    assert_eq!(check("a: &a [*a]\n"), "1:8: an alias inside its own anchor");
}

#[test]
fn not_utf8() {
    let wrong = |bytes: &[u8]| {
        let found = yaml::decode(bytes).expect_err("not UTF-8");
        format!("{}:{}: {}", found[0].span.line, found[0].span.column, found[0].summary)
    };
    assert_eq!(wrong(b"a: 1\nb: \xff\n"), "2:4: byte 0xff is not UTF-8");
    assert_eq!(wrong(b"\xff\xfea\0:\0"), "1:1: the file is UTF-16, not UTF-8");
}

/// Hostile sizes end in an error, soon.
#[test]
fn bombs() {
    let started = Instant::now();
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let items = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs += &format!("a{level}: &a{level} [{items}]\n");
    }
    assert!(check(&laughs).contains("more than 500000 values"), "{}", check(&laughs));
    assert!(check(&"[".repeat(5000)).contains("levels deep"));
    assert!(check(&format!("{}x{}", "{a: ".repeat(5000), "}".repeat(5000))).contains("levels deep"));
    assert!(check(&"- ".repeat(5000)).contains("levels deep"));
    // Depth by aliases: each anchor wraps the one before.
    let mut deep = "- &a0 [x]\n".to_owned();
    for level in 1..2000 {
        deep += &format!("- &a{level} [[[[*a{}]]]]\n", level - 1);
    }
    assert!(check(&deep).contains("levels deep"));
    assert!(check(&"x".repeat(10 << 20)).contains("larger than"));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

fn json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![".*", "[-+0-9._:eExob ]{0,8}", "[a-z]{0,3}", proptest::sample::select(hostile())];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((text.clone(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    /// What we write, we read.
    #[test]
    fn round_trip(value in json()) {
        let text = yaml::emit_text(&value);
        let read = yaml::parse(&text);
        prop_assert!(read.is_ok(), "{text}\n{read:?}");
        prop_assert_eq!(read.expect("just seen").to_json(), value, "{}", text);
    }

    /// No text panics.
    #[test]
    fn any_text(text in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = yaml::parse(&text);
        if let Ok(text) = yaml::decode(&bytes) {
            let _ = yaml::parse(text);
        }
    }

    /// No sequence of YAML's own signs panics.
    #[test]
    fn yaml_like_text(parts in proptest::collection::vec(proptest::sample::select(vec![
        "a", ": ", "- ", "\n", "  ", "[", "]", "{", "}", ", ", "&a ", "*a", "<<", "!", "!!str ", "|", ">", "'", "\"",
        "#", "? ", "---", "...", "%", "\t", "\r", "1", "yes", "\u{85}", "é", "@", "`", "~",
    ]), 0..40)) {
        let _ = yaml::parse(&parts.concat());
    }
}

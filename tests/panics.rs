//! A bug of ours shows where it is, and nothing of what was at hand.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use synprov::cli::{Exit, guarded};

const CANARY: &str = "canary-panic-5ZqX0vTn";

/// Run by the other test, in a process of its own.
#[test]
#[ignore = "a program that panics"]
fn child() {
    let exit = guarded(|| {
        // In another thread first, as an apply has many.
        let thread = std::thread::spawn(move || panic!("host said {CANARY}"));
        assert!(thread.join().is_err());
        CANARY.parse::<u8>().expect(CANARY);
        Exit::Done
    });
    assert_eq!(exit, Exit::Error);
}

#[test]
fn a_panic_tells_its_place_and_no_value() {
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program)
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads", "1"])
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(!said.contains(CANARY), "{said}");
    assert_eq!(said.matches("this is a bug in synprov").count(), 2, "{said}");
    assert!(said.contains("tests/panics.rs:"), "{said}");
}

//! `synprov lab …` as its arguments are typed.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used)]

mod throwaway;

use clap::Parser;
use synprov::cli::lab::{LabArgs, run};
use synprov::lab::{Distro, Lab, LabError, Outward, Sudo};
use throwaway::{host, spec};

#[derive(Parser)]
struct Typed {
    #[command(flatten)]
    args: LabArgs,
}

/// Exit code and result of `synprov lab TYPED`.
fn check(typed: &str) -> (Result<u8, LabError>, String) {
    let args = Typed::try_parse_from(["lab"].into_iter().chain(typed.split(' '))).unwrap().args;
    let mut out = Vec::new();
    let code = run(&args, &mut out);
    (code, String::from_utf8(out).unwrap())
}

#[test]
#[ignore = "lab: needs root and podman"]
fn a_lab_is_listed_logged_in_on_and_removed() {
    let one = vec![host("only-here", 1, "deploy", Sudo::NoPassword, Distro::Debian12)];
    let (spec, removed) = spec("cli", Outward::All, one);
    let name = removed.0.clone();
    let lab = Lab::up(&spec).unwrap();

    let (code, out) = check("list --json");
    assert_eq!(code.unwrap(), 0);
    let list: serde_json::Value = serde_json::from_str(&out).unwrap();
    let ours = list.as_array().unwrap().iter().find(|host| host["lab"] == name.as_str()).unwrap();
    let host = &lab.hosts()[0];
    assert_eq!(ours["name"], "only-here");
    assert_eq!(ours["address"], host.address.as_str());
    assert_eq!(ours["user"], "deploy");
    for file in ["key", "known_hosts"] {
        assert!(std::path::Path::new(ours[file].as_str().unwrap()).is_file(), "{file}");
    }
    assert!(check("list").1.contains(&host.address));

    assert_eq!(check("ssh only-here exit 7").0.unwrap(), 7);
    assert_eq!(check(&format!("ssh {name}/only-here sudo -n test -d /root")).0.unwrap(), 0);
    let error = check("ssh nowhere").0.unwrap_err();
    assert_eq!(error.to_string(), "no lab has a host \"nowhere\"");
    assert!(error.help().unwrap().contains(&name));

    assert_eq!(check(&format!("down {name}")).1, format!("removed lab {name}\n"));
    assert!(matches!(check(&format!("down {name}")).0, Err(LabError::NotFound { .. })));
    assert!(!check("list").1.contains(&name));
}

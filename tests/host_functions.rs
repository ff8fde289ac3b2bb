//! The functions that run on hosts (`facts.sh`, `apply/host/*.sh`), called one at a time in a scratch
//! directory that only root may write to. Needs root, as an apply does.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ports;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use synprov::apply::script::SCRIPT as APPLY;
use synprov::facts::gather::SCRIPT as FACTS;
use synprov::secret::sha256_hex;

/// A directory of root's own below a path that nobody else can redirect; gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/var/lib/synprov-test-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).expect("these tests need root");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Runs `code` with the functions loaded; stdout and stderr together, and whether it succeeded.
    fn run(&self, code: &str) -> (bool, String) {
        let run = self.0.join("run");
        let script = format!(
            "{FACTS}\n{APPLY}\nrun={0}/run stage={0}/run/stage state={0}/state; mkdir -p $run $state/redacted; exec {{out}}>&1 2>&1\n{code}",
            self.0.display()
        );
        let file = self.0.join("script");
        std::fs::write(&file, script).unwrap();
        let output = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .arg(&file)
            .current_dir(&self.0)
            .output()
            .unwrap();
        drop(run);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn put_file_writes_whole_files_with_their_mode_and_leaves_nothing_else() {
    let scratch = Scratch::new("put");
    std::fs::create_dir(scratch.path("d")).unwrap();
    let (ok, said) = scratch.run("printf hello | put_file $PWD/d/f root root 0640");
    assert!(ok, "{said}");
    assert_eq!(std::fs::read_to_string(scratch.path("d/f")).unwrap(), "hello");
    assert_eq!(mode(&scratch.path("d/f")), 0o640);
    assert_eq!(names(&scratch.path("d")), ["f"]);
}

#[test]
fn put_file_replaces_a_link_instead_of_following_it() {
    let scratch = Scratch::new("link");
    std::fs::create_dir(scratch.path("d")).unwrap();
    std::fs::write(scratch.path("victim"), "mine").unwrap();
    symlink(scratch.path("victim"), scratch.path("d/f")).unwrap();
    let (ok, said) = scratch.run("printf new | put_file $PWD/d/f root root 0600");
    assert!(ok, "{said}");
    assert_eq!(std::fs::read_to_string(scratch.path("victim")).unwrap(), "mine");
    assert!(std::fs::symlink_metadata(scratch.path("d/f")).unwrap().is_file());
}

#[test]
fn root_writes_nothing_where_others_could_redirect_it() {
    let scratch = Scratch::new("unsafe");
    for (name, prepare) in [
        ("writable", "mkdir d; chmod 0777 d"),
        ("foreign", "mkdir d; chown nobody d"),
        ("below", "mkdir -p d2/d; chown nobody d2; ln -s d2/d d"),
    ] {
        let (ok, said) = scratch.run(&format!("{prepare}; printf x | put_file $PWD/d/f root root 0600"));
        assert!(!ok, "{name}: {said}");
        assert!(said.contains("nothing is written below it"), "{name}: {said}");
        assert!(!scratch.path("d/f").exists(), "{name}");
        scratch.run("rm -rf d d2");
    }
}

#[test]
fn a_directory_in_the_place_of_a_file_is_somebody_s() {
    let scratch = Scratch::new("directory");
    std::fs::create_dir_all(scratch.path("d/f/inner")).unwrap();
    let (ok, said) = scratch.run("printf x | put_file $PWD/d/f root root 0600");
    assert!(!ok && said.contains("is a directory"), "{said}");
    assert!(scratch.path("d/f/inner").is_dir());
}

#[test]
fn a_package_s_own_user_writes_in_its_own_directory() {
    let scratch = Scratch::new("owner");
    let (ok, said) = scratch.run(
        "mkdir d; chown nobody:nogroup d; printf 'secret' > $run/payload; stage_file redis $PWD/d/f nobody nogroup 0640 0 6 && swap redis $PWD/d/f --",
    );
    assert!(ok, "{said}");
    let found = std::fs::metadata(scratch.path("d/f")).unwrap();
    assert_eq!(
        (std::fs::read_to_string(scratch.path("d/f")).unwrap().as_str(), mode(&scratch.path("d/f"))),
        ("secret", 0o640)
    );
    assert_ne!(found.uid(), 0);
    assert_eq!(names(&scratch.path("d")), ["f"]);
}

#[test]
fn swap_puts_all_files_in_place_and_clears_what_a_killed_one_left() {
    let scratch = Scratch::new("swap");
    std::fs::create_dir(scratch.path("d")).unwrap();
    std::fs::write(scratch.path("d/.a.synprov-0123456789"), "torn").unwrap();
    let (ok, said) = scratch.run(
        "printf 'AAbbb' > $run/payload; stage_file nginx $PWD/d/a root root 0644 0 2 && stage_file nginx $PWD/d/b root root 0600 2 3 && swap nginx $PWD/d/a $PWD/d/b --",
    );
    assert!(ok, "{said}");
    assert_eq!(names(&scratch.path("d")), ["a", "b"]);
    assert_eq!(std::fs::read_to_string(scratch.path("d/a")).unwrap(), "AA");
    assert_eq!(std::fs::read_to_string(scratch.path("d/b")).unwrap(), "bbb");
    assert_eq!((mode(&scratch.path("d/a")), mode(&scratch.path("d/b"))), (0o644, 0o600));
}

#[test]
fn swap_changes_nothing_if_one_of_its_files_cannot_be_written() {
    let scratch = Scratch::new("none");
    std::fs::create_dir_all(scratch.path("d/b")).unwrap();
    std::fs::write(scratch.path("d/a"), "old").unwrap();
    let (ok, said) = scratch.run(
        "printf 'AAbbb' > $run/payload; stage_file nginx $PWD/d/a root root 0644 0 2 && stage_file nginx $PWD/d/b root root 0600 2 3 && swap nginx $PWD/d/a $PWD/d/b --",
    );
    assert!(!ok, "{said}");
    assert_eq!(std::fs::read_to_string(scratch.path("d/a")).unwrap(), "old");
    assert_eq!(names(&scratch.path("d")), ["a", "b"]);
}

#[test]
fn a_secret_is_made_once_and_never_again() {
    let scratch = Scratch::new("secret");
    std::fs::create_dir(scratch.path("d")).unwrap();
    let make = "printf salt > $state/salt; generate_secret s $PWD/d/s root root 0640 token";
    let (ok, said) = scratch.run(make);
    let value = std::fs::read_to_string(scratch.path("d/s")).unwrap();
    assert!(ok && value.len() == 43 && !said.contains(&value), "{said}");
    assert_eq!(mode(&scratch.path("d/s")), 0o640);
    let (ok, said) = scratch.run(make);
    assert!(!ok && said.contains("never overwritten"), "{said}");
    assert_eq!(std::fs::read_to_string(scratch.path("d/s")).unwrap(), value);
    let (ok, said) =
        scratch.run("printf salt > $state/salt; generate_secret k $PWD/d/k root root 0640 signing_key");
    let key = std::fs::read_to_string(scratch.path("d/k")).unwrap();
    let words: Vec<&str> = key.split_whitespace().collect();
    assert!(
        ok && words.len() == 3 && words[0] == "ed25519" && words[1].starts_with("a_") && words[2].len() == 43,
        "{said}"
    );
}

#[test]
fn a_replaced_secret_comes_back_and_a_new_one_stays() {
    let scratch = Scratch::new("secret-back");
    std::fs::create_dir(scratch.path("d")).unwrap();
    std::fs::write(scratch.path("d/s"), "old").unwrap();
    let put = "mkdir -p $state; echo salt > $state/salt; replaced=$run/replaced; \
        put() { printf $2 > $run/payload; put_secret $1 $PWD/d/$1 root root 0600 0 ${#2}; }; \
        back() { printf line > $run/payload; restore_secret $1 $PWD/d/$1 root root 0600 0 4; }; ";
    let (ok, said) = scratch.run(&format!(
        "{put} put s newer; put s newest; put fresh new; stat -c '%a' $replaced $replaced/*; back s; back fresh; back s"
    ));
    assert!(ok, "{said}");
    assert!(said.contains("700\n600\n"), "{said}");
    assert_eq!(std::fs::read_to_string(scratch.path("d/s")).unwrap(), "old");
    assert_eq!(std::fs::read_to_string(scratch.path("d/fresh")).unwrap(), "new");
    assert_eq!(std::fs::read_to_string(scratch.path("state/record")).unwrap(), "line", "only what came back");
    assert_eq!(names(&scratch.path("run/replaced")), [""; 0]);
}

#[test]
fn an_edited_file_that_leaves_is_kept_as_a_copy() {
    let scratch = Scratch::new("leave");
    std::fs::create_dir(scratch.path("d")).unwrap();
    std::fs::write(scratch.path("d/f"), "edited").unwrap();
    let (ok, said) = scratch.run("remove_file $PWD/d/f copy");
    assert!(ok && !scratch.path("d/f").exists(), "{said}");
    let kept: Vec<String> = names(&scratch.path("state/removed"));
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::read_to_string(scratch.path("state/removed").join(&kept[0])).unwrap(), "edited");
}

#[test]
fn a_directive_is_raised_in_place_and_missing_ones_are_said() {
    let scratch = Scratch::new("directive");
    std::fs::create_dir(scratch.path("d")).unwrap();
    std::fs::write(
        scratch.path("d/c"),
        "events {\n\tworker_connections 768;\n\t# worker_connections 1;\n}\n",
    )
    .unwrap();
    let (ok, said) = scratch.run("raise_directive $PWD/d/c worker_connections 4096");
    assert!(ok, "{said}");
    let text = std::fs::read_to_string(scratch.path("d/c")).unwrap();
    assert_eq!(text, "events {\n\tworker_connections 4096;\n\t# worker_connections 1;\n}\n");
    // Of several the last one counts, and what has no number says nothing.
    std::fs::write(scratch.path("d/e"), "a 5;\nworker_connections 7;\n worker_connections\t9;\nb auto;\n")
        .unwrap();
    let (_, said) = scratch.run(
        "for name in worker_connections b missing; do directives+=(\"$name\"$'\\t'\"$PWD/d/e\"); done; \
         directives+=(\"a\"$'\\t'\"$PWD/d/none\"); probe_directives",
    );
    assert_eq!(said, format!("directive\tworker_connections\t{}\t9\n", scratch.path("d/e").display()));
    let (ok, said) = scratch.run("raise_directive $PWD/d/c worker_processes 4");
    assert!(!ok && said.contains("worker_processes"), "{said}");
}

#[test]
fn a_directive_is_raised_where_a_link_leads_to() {
    let scratch = Scratch::new("link");
    let (ok, said) = scratch.run(
        "mkdir there; printf 'worker_connections 5;\\n' > there/nginx.conf; chmod 0644 there/nginx.conf
         ln -s there/nginx.conf nginx.conf; raise_directive $PWD/nginx.conf worker_connections 9",
    );
    assert!(ok, "{said}");
    assert_eq!(std::fs::read_link(scratch.path("nginx.conf")).unwrap(), Path::new("there/nginx.conf"));
    let there = scratch.path("there/nginx.conf");
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "worker_connections 9;\n");
    assert_eq!(mode(&there), 0o644);
}

/// `pg_hba.conf` of a stand-in for PostgreSQL that finds `fault` in it.
fn peers(scratch: &Scratch, before: &str, fault: &str) -> (bool, String, String) {
    std::fs::write(scratch.path("hba"), before).unwrap();
    let (ok, said) = scratch.run(&format!(
        "setpriv() {{ while [[ $1 == --* ]]; do shift; done; \"$@\"; }}
         as_postgres() {{ local query; query=$(command cat); case $query in show*) echo $PWD/hba ;; *error*) printf '{fault}' ;; esac; }}
         postgresql_peers matrix synapse 10.0.0.4/32"
    ));
    (ok, said, std::fs::read_to_string(scratch.path("hba")).unwrap())
}

#[test]
fn rules_of_others_for_postgresql_stay_whatever_became_of_ours() {
    let block = "# BEGIN synprov synapse\nhost \"synapse\" \"matrix\" 10.0.0.4/32 scram-sha-256\n# END synprov synapse\n";
    let theirs = "local all postgres peer\n";
    let scratch = Scratch::new("peers");
    let (ok, said, file) =
        peers(&scratch, &format!("# BEGIN synprov synapse\nold\n# END synprov synapse\n{theirs}"), "");
    assert!(ok, "{said}");
    assert_eq!(file, format!("{block}{theirs}"));
    // Where one of our two lines is missing, or they stand the other way round, it is not known what is ours.
    for broken in [
        "# BEGIN synprov synapse\n",
        "# END synprov synapse\n",
        "# END synprov synapse\nx\n# BEGIN synprov synapse\n",
    ] {
        let before = format!("{broken}{theirs}");
        let (ok, said, file) = peers(&scratch, &before, "");
        assert!(!ok && said.contains("are no pair") && said.contains("/hba"), "{said}");
        assert_eq!(file, before);
    }
    // PostgreSQL goes on with the rules that it had, and does not say so.
    let (ok, said, _) = peers(&scratch, theirs, "7: invalid connection type");
    assert!(
        !ok && said.contains("does not take") && said.contains("line 7: invalid connection type"),
        "{said}"
    );
}

#[test]
fn no_statistics_keep_the_password_of_a_role() {
    let scratch = Scratch::new("role");
    let (_, said) =
        scratch.run("printf 'it is' > p; as_postgres() { command cat; }; postgresql_role matrix p");
    let at = |words: &str| said.find(words).unwrap_or_else(|| panic!("{words} is missing: {said}"));
    assert!(at("pg_stat_statements.track_utility = 'off'") < at("password E'it is'"), "{said}");
    assert!(at("pgaudit.log = 'none'") < at("password E'it is'"), "{said}");
}

#[test]
fn secrets_are_told_as_digests_that_only_who_knows_them_can_compare() {
    let scratch = Scratch::new("digests");
    let secrets = [("one", "a value\n"), ("two", "another"), ("three", "")];
    let mut code = String::from("nonce=cafe; printf %s 5a17 > $state/salt; ");
    for (name, value) in secrets {
        std::fs::write(scratch.path(name), value).unwrap();
        code += &format!("secrets+=('{name}'$'\\t'\"$PWD/{name}\"); ");
    }
    symlink("one", scratch.path("link")).unwrap();
    code += "secrets+=('link'$'\\t'\"$PWD/link\" 'gone'$'\\t'\"$PWD/gone\"); probe_secrets";
    let expected = |salted: bool| -> String {
        let line = |(name, value): &(&str, &str)| {
            let sum = sha256_hex(value.as_bytes());
            let revision = if salted {
                sha256_hex(format!("5a17{sum}").as_bytes())[..16].to_owned()
            } else {
                "-".to_owned()
            };
            format!("secret\t{name}\t{}\t{revision}\n", sha256_hex(format!("cafe{sum}\n").as_bytes()))
        };
        secrets.iter().map(line).collect()
    };
    assert_eq!(scratch.run(&code), (true, expected(true)));
    // A host that has none yet.
    assert_eq!(
        scratch.run(&code.replace("> $state/salt", "> $state/salt; rm $state/salt")),
        (true, expected(false))
    );
}

#[test]
fn what_is_asked_and_told_arrives_field_by_field() {
    let scratch = Scratch::new("asked");
    let (_, said) = scratch.run(
        "read_request $'mode\\tfacts\\nunit\\ta.service\\nready\\ta.service\\t\\nready\\ta.service\\tlistens=1:2\\nsetting\\t*\\nsecret\\tn\\t/p\\npath\\t-\\t/q\\tr\\nend\\nunit\\tlate\\n'; \
         echo \"$? $mode|${units[*]}|${ready[a.service]}|${settings[*]}|${secrets[*]}|${paths[*]}\"; \
         read_request $'mode\\tfacts\\n'; echo $?; read_request $'what\\n'; echo $?; \
         f() { local -a notes=(); note a 'b c' '*'; note; note d; tell; }; f; (f; tell) | wc -l",
    );
    let expected = "0 facts|a.service|listens=1:2\t|*|n\t/p|/p /q\tr\n\
        error\trequest: cut short\n1\nerror\trequest: unknown line what\n1\na\tb c\t*\n\nd\n3\n";
    assert_eq!(said, expected);
}

#[test]
fn units_are_judged_by_their_words_where_systemd_analyze_has_no_exit_status_for_them() {
    // systemd 249 (Ubuntu 22.04) has no --recursive-errors: it exits 0 on unknown keys.
    let scratch = Scratch::new("analyze");
    std::fs::create_dir(scratch.path("bin")).unwrap();
    let fake = |said: &str| {
        let script = format!(
            "#!/bin/bash\n[[ $1 == --help ]] && {{ echo 'verify FILE...'; exit 0; }}\nprintf '{said}' >&2\nexit 0\n"
        );
        std::fs::write(scratch.path("bin/systemd-analyze"), script).unwrap();
        std::fs::set_permissions(scratch.path("bin/systemd-analyze"), std::fs::Permissions::from_mode(0o755))
            .unwrap();
        scratch.run("PATH=$PWD/bin:$PATH; in_place() { while [[ $1 != -- ]]; do shift; done; shift; \"$@\"; }; validate_systemd /etc -- a.service")
    };
    let (ok, said) = fake("Unknown key name Desription in section Unit, ignoring.");
    assert!(!ok && said.contains("Desription"), "{said}");
    let (ok, said) = fake("");
    assert!(ok, "{said}");
}

#[test]
fn an_old_pip_is_renewed_before_it_is_asked_for_a_report() {
    // Ubuntu 22.04 brings pip 22.0; --report came with 22.2.
    let scratch = Scratch::new("pip");
    for (version, renewed) in [("2200", true), ("2202", false), ("2301", false)] {
        let code = format!(
            "python3() {{ mkdir -p \"${{@: -1}}/bin\"; printf '#!/bin/bash\\necho {version}\\n' > \"${{@: -1}}/bin/python\"; chmod 755 \"${{@: -1}}/bin/python\"; }}; \
             pip() {{ echo \"pip $*\"; }}; mkdir -p $PWD/v; new_venv $PWD/v/{version}"
        );
        let (ok, said) = scratch.run(&code);
        assert!(ok, "{said}");
        assert_eq!(said.contains("install --quiet --upgrade"), renewed, "{version}: {said}");
    }
}

#[test]
fn wheels_come_in_parts_and_only_whole_ones_stay() {
    let scratch = Scratch::new("wheels");
    let digest = |text: &str| synprov::secret::sha256_hex(text.as_bytes());
    let [whole, short] = [digest("first part, last part"), digest("other")];
    let list = format!("{whole} a-1-py3-none-any.whl\n{short} b-1-py3-none-any.whl\n");
    let begin =
        format!("wheels=$PWD/w; mkdir -p w/gone-1-py3-none-any.whl; printf '{list}' > $run/payload; ");
    let want = format!("want_wheels 0 {}; ", list.len());
    let (ok, said) = scratch.run(&format!("{begin}{want}"));
    assert!(ok, "{said}");
    let mut told: Vec<&str> = said.lines().collect();
    told.sort_unstable();
    assert_eq!(told, ["lacks\ta-1-py3-none-any.whl", "lacks\tb-1-py3-none-any.whl"]);
    assert_eq!(names(&scratch.path("w")), [""; 0], "what the wheelhouse has no more goes");
    // `.part` may be what a killed run left.
    let take = |name: &str, digest: &str, word: &str, last: &str, text: &str| {
        format!(
            "printf '{text}' > $run/payload; take_wheel {name}-1-py3-none-any.whl {digest} {word} {last} 0 {} || echo refused; ",
            text.len()
        )
    };
    let parts = [
        "wheels=$PWD/w; echo rest > w/.part; ".to_owned(),
        take("a", &whole, "first", "more", "first part, "),
        take("a", &whole, "next", "last", "last part"),
        take("b", &short, "first", "last", "othex"),
    ];
    let (ok, said) = scratch.run(&parts.concat());
    assert!(ok && said.contains("b-1-py3-none-any.whl did not arrive as it is in the wheelhouse"), "{said}");
    assert_eq!(said.matches("refused").count(), 1, "{said}");
    assert_eq!(names(&scratch.path("w")), ["a-1-py3-none-any.whl"]);
    // One that was changed there is asked for again, and so is a link.
    symlink("/etc/passwd", scratch.path("w/b-1-py3-none-any.whl")).unwrap();
    let (_, said) = scratch.run(&format!("{begin}{want}"));
    assert_eq!(said, "lacks\tb-1-py3-none-any.whl\n");
    let (_, said) = scratch.run(&format!("{begin}echo more >> w/a-1-py3-none-any.whl; {want}"));
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn uv_installs_what_the_lock_says_where_it_is_and_pip_where_not() {
    let scratch = Scratch::new("uv");
    std::fs::create_dir(scratch.path("bin")).unwrap();
    let tried_from = |first: &str, installer: &str, uv: &str, fails: bool| {
        let path = scratch.path("bin/uv");
        let status = if fails { 1 } else { 0 };
        match uv {
            "there" => {
                let text = format!(
                    "#!/bin/bash\necho \"uv index=${{UV_DEFAULT_INDEX-}} cert=${{SSL_CERT_FILE-}} $*\"; exit {status}\n"
                );
                std::fs::write(&path, text).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
            _ => drop(std::fs::remove_file(&path)),
        }
        let code = format!(
            "PATH=$PWD/bin:/usr/bin:/bin; uv_of_ours=$PWD/none; python3() {{ return 1; }}; \
             pip() {{ case \"$*\" in *index-url) echo http://index/;; *cert) echo /ca;; *) echo \"pip $*\";; esac; }}; \
             {first} install_locked $PWD/v {installer}"
        );
        scratch.run(&code)
    };
    let tried = |installer: &str, uv: &str, fails: bool| tried_from("", installer, uv, fails);
    let (ok, said) = tried("auto", "there", false);
    assert!(ok && said.starts_with("uv index=http://index/ cert=/ca pip install"), "{said}");
    assert!(
        said.contains("--require-hashes") && said.contains("--no-deps") && !said.contains("\npip "),
        "{said}"
    );
    let (_, said) = tried_from("from_wheelhouse; ", "auto", "there", false);
    assert!(said.contains("--no-index --find-links /var/cache/synprov/wheels"), "{said}");
    let (ok, said) = tried("auto", "there", true);
    assert!(ok && said.contains("pip tries") && said.contains("\npip "), "{said}");
    let (ok, said) = tried("auto", "absent", false);
    assert!(ok && said.starts_with("pip ") && said.contains("--require-hashes"), "{said}");
    let (ok, said) = tried("pip", "there", false);
    assert!(ok && said.starts_with("pip "), "{said}");
    let (ok, said) = tried("uv", "there", true);
    assert!(!ok && !said.contains("\npip "), "{said}");
    let (ok, said) = tried("uv", "absent", false);
    assert!(!ok && said.contains("there is no uv"), "{said}");
}

/// What stands in a directory: name to text; a link by its target.
fn contents(directory: &Path) -> Vec<(String, String)> {
    let text = |path: PathBuf| match std::fs::read_link(&path) {
        Ok(target) => format!("-> {}", target.display()),
        Err(_) => std::fs::read_to_string(path).unwrap(),
    };
    names(directory).into_iter().map(|name| (name.clone(), text(directory.join(name)))).collect()
}

const THREE: &str = "printf 'AABBCC' > $run/payload; for at in 0 2 4; do stage_file nginx $PWD/d/$at root root 0644 $at 2; done; ";

#[test]
fn a_set_is_put_in_place_and_taken_away_in_one_act_or_not_at_all() {
    let scratch = Scratch::new("set");
    let prepare = "rm -rf d; mkdir d; printf old > d/0; touch -d @1000 d/0; ln -s elsewhere d/2; printf leaves > d/gone; ";
    let swap = "swap nginx $PWD/d/0 $PWD/d/2 $PWD/d/4 -- $PWD/d/gone $PWD/d/never";
    let (ok, said) = scratch.run(&format!("{prepare}{THREE}{swap}"));
    assert!(ok, "{said}");
    let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let new = [pair("0", "AA"), pair("2", "BB"), pair("4", "CC")];
    assert_eq!(contents(&scratch.path("d")), new);
    // A rename or a removal fails, whichever: all is as before, to the time of its last change.
    let old = [pair("0", "old"), pair("2", "-> elsewhere"), pair("gone", "leaves")];
    for fails in [1, 2, 3, 4] {
        let fault = format!(
            "n=0; fails() {{ ((++n == {fails})) && echo 'no luck'; }}; \
             mv() {{ [[ $* == *'/payload'* ]] || ! fails || return 1; command mv \"$@\"; }}; \
             rm() {{ [[ $* != '-f -- '*/d/gone ]] || ! fails || return 1; command rm \"$@\"; }}; "
        );
        let (ok, said) = scratch.run(&format!("{prepare}{THREE}{fault}{swap}; [[ $? == 1 ]]"));
        assert!(ok && said.contains("no luck") && said.contains("was put back"), "{fails}: {said}");
        assert_eq!(contents(&scratch.path("d")), old, "{fails}");
        assert_eq!(std::fs::metadata(scratch.path("d/0")).unwrap().mtime(), 1000);
        assert!(!scratch.path("state/swapping").exists());
    }
    // What cannot be put back is said, and told apart.
    let fault = "n=0; mv() { ((++n == 1)) && { command mv \"$@\"; return; }; return 1; }; ";
    let (ok, said) = scratch.run(&format!("{prepare}{THREE}{fault}{swap}; [[ $? == 2 ]]"));
    assert!(ok && said.contains("d/0 could not be put back"), "{said}");
}

#[test]
fn what_a_swap_left_that_was_ended_in_the_middle_is_cleared_away_by_the_next_apply() {
    let scratch = Scratch::new("middle");
    let fault = "n=0; mv() { ((++n == 2)) && kill -9 $BASHPID; command mv \"$@\"; }; ";
    let (ok, said) = scratch
        .run(&format!("mkdir d; printf old > d/0; {THREE}{fault}swap nginx $PWD/d/0 $PWD/d/2 $PWD/d/4 --"));
    assert!(!ok, "{said}");
    assert_eq!(std::fs::read_to_string(scratch.path("d/0")).unwrap(), "AA");
    assert!(names(&scratch.path("d")).len() > 1);
    let (ok, said) = scratch.run("printf other > d/.mine; clear_swap");
    assert!(ok, "{said}");
    assert_eq!(names(&scratch.path("d")), [".mine", "0"]);
    assert!(!scratch.path("state/swapping").exists());
}

#[test]
fn a_file_with_secrets_that_was_put_back_is_still_known() {
    let scratch = Scratch::new("known");
    let code = "mkdir d; printf 'one' > d/0; printf '%s\t%s\tr\n' $PWD/d/0 $(sha256sum < d/0 | head -c 64) > state/digests; read_digests; \
        want[$PWD/d/0]=-; paths=($PWD/d/0); printf 'AABBCC' > $run/payload; \
        mv() { [[ $* == *d/0 ]] && return 1; command mv \"$@\"; }; \
        for try in 1 2 3; do stage_file nginx $PWD/d/0 root root 0644 $try 2; remember_digest nginx $PWD/d/0 r; swap nginx $PWD/d/0 -- && exit 1; done; \
        applied_digest=() written=(); read_digests; probe_paths; \
        for try in 1 2 3; do stage_file nginx $PWD/d/0 root root 0644 $try 1; remember_digest nginx $PWD/d/0 r; done; \
        written=(); read_digests; echo staged only; probe_paths; printf two > d/0; echo edited; probe_paths";
    let (_, said) = scratch.run(code);
    let (put_back, rest) = said.split_once("staged only").unwrap();
    let (staged, edited) = rest.split_once("edited\n").unwrap();
    assert!(put_back.contains("d/0\tsame") && staged.contains("d/0\tsame"), "{said}");
    assert!(edited.contains("d/0\tedited"), "{said}");
}

#[test]
fn a_validation_does_not_see_what_goes_with_the_set() {
    let scratch = Scratch::new("whiteout");
    let (ok, said) = scratch.run(
        "mkdir d; touch d/old d/kept; printf new > $run/payload; stage_file nginx $PWD/d/new root root 0644 0 3; \
         stage_absence nginx $PWD/d/old && in_place nginx $PWD/d -- ls $PWD/d",
    );
    assert!(ok, "{said}");
    assert_eq!(said, "kept\nnew\n");
    assert!(scratch.path("d/old").exists());
}

#[test]
fn a_step_that_has_succeeded_writes_its_last_lines_with_what_only_it_could_tell() {
    let scratch = Scratch::new("last");
    let (ok, said) = scratch.run(
        "answer started a@b.service abc 17; answer revision key 0123 > /dev/null; answer venv /v d1; \
         printf 'x (invocation of a@b.service) (workers of a@b.service) (known after apply: key) (packages of /v) (invocation of c)\n' > $run/payload; \
         record_done 0 $(stat -c %s $run/payload)",
    );
    assert!(ok, "{said}");
    let record = std::fs::read_to_string(scratch.path("state/record")).unwrap();
    assert_eq!(record, "x abc 17 0123 d1 (invocation of c)\n");
    // Nobody listens any more: it does so all the same.
    let (ok, said) = scratch.run("exec {out}>&-; answer revision key 0123 && printf 'k (known after apply: key)\n' > $run/payload && record_done 0 27");
    assert!(ok, "{said}");
    assert!(std::fs::read_to_string(scratch.path("state/record")).unwrap().ends_with("k 0123\n"));
}

#[test]
fn a_torn_line_of_the_record_is_cut_off_before_more_is_written() {
    let scratch = Scratch::new("torn");
    let after = |before: &[u8]| {
        std::fs::create_dir_all(scratch.path("state")).unwrap();
        std::fs::write(scratch.path("state/record"), before).unwrap();
        let (ok, said) =
            scratch.run("cut_torn_line && printf 'c\\t3\\n' > $run/payload && record_append 0 4");
        assert!(ok, "{said}");
        std::fs::read(scratch.path("state/record")).unwrap()
    };
    assert_eq!(after(b"a\t1\nb\t2\n"), b"a\t1\nb\t2\nc\t3\n");
    assert_eq!(after(b"a\t1\nb\t2"), b"a\t1\nc\t3\n");
    assert_eq!(after(b"a\t1\n\0\0\0"), b"a\t1\nc\t3\n");
    assert_eq!(after(b""), b"c\t3\n");
    assert_eq!(after(b"\0\0"), b"\0\0c\t3\n", "left for people to look at");
}

#[test]
fn keys_of_the_admins_files_are_listed_and_odd_names_break_nothing() {
    let scratch = Scratch::new("keys");
    let (ok, said) = scratch.run(
        r#"mkdir d
        printf 'email:\n  smtp_host: x\n"instance_map": {}\n# redis: no\nreport_stats : true\n- list:\n' > d/10-mine.yaml
        printf 'redis: {}\n' > "d/a	b
c.yaml"
        printf 'database: {}\n' > d/unread.yml
        folders=("$PWD/d"); probe_keys"#,
    );
    assert!(ok, "{said}");
    let folder = scratch.path("d").display().to_string();
    let expected =
        ["email", "instance_map", "report_stats"].map(|key| format!("key\t{folder}/10-mine.yaml\t{key}"));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..3], expected);
    assert_eq!(lines[3..], [format!("key\t{folder}/a?b?c.yaml\tredis")]);
}

#[test]
fn hosts_that_share_a_store_see_each_others_marks_and_others_are_named() {
    let scratch = Scratch::new("marks");
    for store in ["shared", "apart"] {
        std::fs::create_dir(scratch.path(store)).unwrap();
    }
    let (done, said) = scratch.run(
        "clear_marks $PWD/shared root && write_mark $PWD/shared root hs1 && write_mark $PWD/shared root hs2 \
         && find_marks $PWD/shared root hs1 hs2 && find_marks $PWD/shared root hs2 hs1 && ls -A shared && clear_marks $PWD/shared root",
    );
    assert!(done, "{said}");
    assert_eq!(said, ".synprov-mark-hs1\n.synprov-mark-hs2\n");
    assert!(names(&scratch.path("shared")).is_empty());
    // Time flies: a wait of half a second counts as a minute.
    let (done, said) = scratch.run(
        "write_mark $PWD/shared root hs1 && write_mark $PWD/apart root hs2 && SECONDS=0 && sleep() { SECONDS=$((SECONDS + 60)); } \
         && find_marks $PWD/apart root hs2 hs1",
    );
    assert!(
        !done && said.contains("host hs2 does not see in") && said.contains("what host hs1 wrote there"),
        "{said}"
    );
}

#[test]
fn what_synapse_serves_is_said_in_parts_that_a_pipe_takes_whole() {
    let scratch = Scratch::new("registered");
    let code = "slice() { :; }
in_place() { printf '%09000d\\n%03d\\n' 1 2; }
check_routes user python '[]' '' 0 0 /etc";
    let (ok, text) = scratch.run(code);
    assert!(ok, "{text}");
    assert!(text.lines().all(|line| line.len() < 4096), "a heartbeat could fall into a longer write");
    let (mut lines, mut said) = (Vec::new(), String::new());
    for line in text.lines() {
        let (word, part) = line.split_once('\t').unwrap();
        said.push_str(part);
        if word == "registered" {
            lines.push(std::mem::take(&mut said));
        }
    }
    assert_eq!(lines, [format!("{}1", "0".repeat(8999)), "002".to_owned()]);
}

#[test]
fn ports_are_tried_all_at_once_and_what_became_of_each_is_said() {
    let scratch = Scratch::new("reaches");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().port();
    let refused = ports::free(1);
    let (good, said) = scratch.run(&format!(
        "reaches=($'127.0.0.1\\t{open}' $'127.0.0.1\\t{refused}' $'no-such-name.invalid\\t1'); probe_reaches | sort"
    ));
    assert!(good, "{said}");
    assert!(said.contains(&format!("reached\t127.0.0.1\t{open}\topen\n")), "{said}");
    assert!(said.contains(&format!("reached\t127.0.0.1\t{refused}\trefused\n")), "{said}");
    assert!(said.contains("reached\tno-such-name.invalid\t1\t"), "{said}");
    assert_eq!(said.matches("reached\t").count(), 3, "{said}");
}

#[test]
fn a_secret_that_stands_in_another_file_is_shown_by_its_name() {
    let scratch = Scratch::new("hidden");
    let (ok, said) = scratch.run(
        r#"mkdir d; printf 'hunter2hunter2' > d/s; printf 'ed25519 a_x AAAABBBBCCCCDDDDEEEEFFFF\n' > d/k; printf abc > d/short
        secrets=("s	$PWD/d/s" "key	$PWD/d/k" "short	$PWD/d/short" "gone	$PWD/d/gone")
        printf 'a: hunter2hunter2\nb: AAAABBBBCCCCDDDDEEEEFFFF\nc: abc & $(id)\n' > d/f; masked $PWD/d/f; printf 'plain\n' > d/g; masked $PWD/d/g"#,
    );
    assert!(ok, "{said}");
    assert_eq!(said, "a: <secret s>\nb: <secret key>\nc: abc & $(id)\nplain\n");
}

#[test]
fn what_a_step_says_is_bounded_and_names_secrets() {
    let scratch = Scratch::new("says");
    let step = r#"printf "it said hunter2hunter2\n"; head -c 5000 /dev/zero | tr "\0" x; printf "\n\033[31mred\377\n""#;
    let (ok, said) = scratch.run(&format!(
        "mkdir d; printf 'hunter2hunter2' > d/s; secrets=(\"s\t$PWD/d/s\"); code='{step}'; printf 'step 1 %s 0\n%s' ${{#code}} \"$code\" | serve_steps"
    ));
    assert!(ok, "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "log\t1\tit said <secret s>");
    assert_eq!(lines[1], format!("log\t1\t{}", "x".repeat(600)));
    assert_eq!(*lines.last().unwrap(), "done\t1\t0");
}

#[test]
fn what_runs_beside_other_steps_has_its_own_payload_and_is_waited_for() {
    let scratch = Scratch::new("beside");
    // The first ends only when the second has ended; what it was given is still its own then.
    let first =
        "until [[ -e over ]]; do sleep 0.02; done; slice 0 5; echo; record_done 5 8 || exit 1; exit 7";
    let second = "slice 0 6; echo; record_append 6 5; : > over";
    let frames = format!(
        "printf 'beside 1 {} 13\n%sfirstA.line.\nstep 2 {} 11\n%ssecondB...\n' '{first}' '{second}'",
        first.len(),
        second.len()
    );
    let rest = r#"while [[ -n $beside ]] && kill -0 "$beside" 2> /dev/null; do wait "$beside"; done"#;
    let (ok, said) = scratch.run(&format!("{frames} | {{ serve_steps; {rest}; }}"));
    assert!(ok, "{said}");
    let lines: Vec<&str> = said.lines().collect();
    let of = |id: &str| -> Vec<&str> {
        lines.iter().copied().filter(|line| line.split('\t').nth(1) == Some(id)).collect()
    };
    assert_eq!(of("2"), ["log\t2\tsecond", "done\t2\t0"]);
    assert_eq!(of("1"), ["log\t1\tfirst", "done\t1\t7"]);
    assert_eq!(lines[0], "log\t2\tsecond", "the first waits for the second");
    let record = std::fs::read_to_string(scratch.path("state/record")).unwrap();
    assert_eq!(record, "B...\nA.line.\n");
    assert_eq!(std::fs::read_dir(scratch.path("run")).unwrap().count(), 0, "nothing stays in memory");
}

#[test]
fn no_beat_falls_into_what_a_probe_says() {
    let scratch = Scratch::new("beats");
    let (ok, said) = scratch.run(
        r#"take_lock() { exec {lock}< run {records}< run; }; prepare_state() { :; }; read_digests() { :; }; read_record() { :; }
        is_fit() { :; }; read_request() { :; }; sleep() { command sleep 0.02; }; probe() { printf half; command sleep 0.3; printf 'whole\n'; }
        { command sleep 0.6; printf 'probe 1\nx'; command sleep 0.6; } | serve"#,
    );
    let beats = said.lines().filter(|line| *line == "beat").count();
    let probes = said.lines().filter(|line| *line == "halfwhole").count();
    assert!(ok && probes == 2 && beats > 4 && said.lines().count() == beats + probes, "{said}");
    // They go on after the second one.
    assert!(said.ends_with("beat\n"), "{said}");
}

#[test]
fn a_host_that_was_locked_for_nothing_keeps_nothing() {
    for (orders, kept) in [("", false), ("beat\nquit\n", false), ("step 1 1 0\n:quit\n", true)] {
        let scratch = Scratch::new("unused");
        std::fs::write(scratch.path("before"), "").unwrap();
        let (ok, said) = scratch.run(&format!(
            r#"take_lock() {{ exec {{lock}}< run {{records}}< run; }}; is_fit() {{ :; }}; read_digests() {{ :; }}
            read_record() {{ :; }}; probe() {{ :; }}; rm -rf "$state"; state=$PWD/all/one
            prepare_state() {{ mkdir -p "$state" && echo salt > "$state/salt"; }}
            printf '{orders}' | serve"#
        ));
        assert!(ok, "{said}");
        assert_eq!(scratch.path("all/one/salt").exists(), kept, "{orders:?}: {said}");
        assert_eq!(scratch.path("all").exists(), kept, "{orders:?}: {said}");
    }
}

#[test]
fn what_was_there_before_stays_though_nothing_was_ordered() {
    let scratch = Scratch::new("used");
    let (ok, said) = scratch.run(
        r#"take_lock() { exec {lock}< run {records}< run; }; is_fit() { :; }; read_digests() { :; }; read_record() { :; }
        probe() { :; }; prepare_state() { :; }; echo salt > "$state/salt"; serve < /dev/null"#,
    );
    assert!(ok && scratch.path("state/salt").exists(), "{said}");
}

#[test]
fn a_host_that_is_none_of_ours_answers_and_is_not_locked() {
    let scratch = Scratch::new("unfit");
    let (ok, said) = scratch.run(
        r#"is_fit() { false; }; read_digests() { :; }; read_record() { :; }; probe() { echo facts; }
        take_lock() { echo locked; }; prepare_state() { echo prepared; }; serve < /dev/null"#,
    );
    assert!(ok, "{said}");
    assert_eq!(said, "facts\n");
}

/// What fails with half of it written: a disk that is full.
const FULL: &str = "cat() { command cat \"$@\" | head -c 3; return 1; }";

#[test]
fn a_full_disk_leaves_no_half_line_that_the_next_one_goes_on_in() {
    let scratch = Scratch::new("full");
    let (ok, said) = scratch.run(&format!(
        "printf 'first\n' | append_to $state/record; {FULL}; ! printf 'second\n' | append_to $state/record || exit 1
         unset -f cat; printf 'third\n' | append_to $state/record"
    ));
    assert!(ok, "{said}");
    assert_eq!(std::fs::read_to_string(scratch.path("state/record")).unwrap(), "first\nthird\n");
}

#[test]
fn half_of_a_secret_is_not_put_back() {
    let scratch = Scratch::new("half");
    let (_, said) = scratch.run(&format!(
        "replaced=$PWD/replaced; answer() {{ :; }}; printf salt > $state/salt; printf 'old value' > s; printf 'new value' > $run/payload
         {FULL}; put_secret key $PWD/s root root 0600 0 9 && echo replaced; unset -f cat; command cat s; echo
         restore_secret key $PWD/s root root 0600 0 0; command cat s"
    ));
    assert_eq!(said, "old value\nold value");
}

#[test]
fn a_controller_that_stops_within_a_frame_is_not_waited_for_without_end() {
    let scratch = Scratch::new("frame");
    for frame in ["step 1 20 0\\nhalf", "step 1 4 20\\ntruehalf", "probe 20\\nhalf"] {
        let (_, said) = scratch.run(&format!(
            "timeout() {{ shift 2; command timeout --foreground 0.3 \"$@\"; }}; probe() {{ echo probed; }}
             {{ printf '{frame}'; command sleep 3; }} | {{ serve_steps; echo \"over $SECONDS\"; }}"
        ));
        assert!(said == "over 0\n" || said == "over 1\n", "{frame}: {said}");
    }
}

/// Whole lines, whatever else writes there at the same moment.
#[test]
fn lines_of_two_steps_do_not_mix_in_the_record() {
    let scratch = Scratch::new("mix");
    let (ok, said) = scratch.run(
        "lines() { for i in {1..2000}; do printf '%0100d\n' $1; done | append_to $state/record; }
         for i in {1..5}; do lines 1 & lines 2 & done; wait",
    );
    assert!(ok, "{said}");
    let record = std::fs::read_to_string(scratch.path("state/record")).unwrap();
    let mut turns: Vec<&str> = record.lines().collect();
    assert_eq!(turns.len(), 20_000);
    assert!(turns.iter().all(|line| line.len() == 100), "a line was cut");
    turns.dedup();
    assert!(turns.len() <= 10, "{} turns", turns.len());
}

/// CVE-2020-1736: nobody sees a file with secrets in it, or one that will hold them, with a wider mode than its own.
#[test]
fn no_file_is_ever_wider_than_it_shall_be() {
    let scratch = Scratch::new("wider");
    std::fs::create_dir(scratch.path("d")).unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    let wider = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let (mut wider, mut looks) = (Vec::new(), 0_u64);
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                looks += 1;
                for directory in ["d", "run/stage/nginx", "run", "state"].map(|name| scratch.path(name)) {
                    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                        // What has gone meanwhile was seen before, or never was.
                        let Ok(found) = std::fs::symlink_metadata(entry.path()) else { continue };
                        if found.is_file() && found.permissions().mode() & 0o777 & !0o640 != 0 {
                            wider.push((entry.path(), found.permissions().mode() & 0o777));
                        }
                    }
                }
            }
            (wider, looks)
        });
        let (ok, said) = scratch.run(
            "for i in {1..40}; do printf 'AAbbb' > $run/payload
             printf hello | put_file $PWD/d/put root daemon 0640 || exit 1
             stage_file nginx $PWD/d/a root daemon 0640 0 2 && stage_file nginx $PWD/d/b root root 0600 2 3 || exit 1
             swap nginx $PWD/d/a $PWD/d/b -- || exit 1; done",
        );
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(ok, "{said}");
        watcher.join().unwrap()
    });
    let (wider, looks) = wider;
    assert!(wider.is_empty() && looks > 100, "{looks} looks, {wider:?}");
}

/// CVE-2024-9902: root changes no owner and no mode where somebody else could put a link.
#[test]
fn a_directory_has_its_mode_and_no_bit_more() {
    let scratch = Scratch::new("bits");
    for wider in ["2750", "4755", "1777", "0700"] {
        let (ok, said) =
            scratch.run(&format!("mkdir d; chmod {wider} d; make_directory $PWD/d root root 0750"));
        assert!(ok, "{said}");
        assert_eq!(mode(&scratch.path("d")), 0o750, "{wider}");
        std::fs::remove_dir(scratch.path("d")).unwrap();
    }
}

#[test]
fn a_directory_below_somebody_elses_is_left_alone() {
    let scratch = Scratch::new("below");
    let (ok, said) =
        scratch.run("mkdir -p p/d; chmod 0711 p/d; chown nobody p; make_directory $PWD/p/d root root 0750");
    assert!(!ok && said.contains("nothing is written below it"), "{said}");
    assert_eq!(mode(&scratch.path("p/d")), 0o711);
}

/// Below a directory of its owner's, which that owner may change at any moment.
#[test]
fn a_directory_that_was_given_away_is_given_back_and_nothing_in_its_place() {
    let scratch = Scratch::new("given");
    let make = "make_directory $PWD/p/d nobody nogroup 0750";
    for given in ["daemon:daemon", "nobody:daemon", "root:root", "nobody:nogroup"] {
        let (ok, said) = scratch.run(&format!(
            "chmod 0755 . && mkdir -p p/d && chown nobody p && chown {given} p/d && {make} && stat --printf '%U:%G %a' p/d"
        ));
        assert!(ok && said == "nobody:nogroup 750", "{given}: {said}");
    }
    let (ok, said) = scratch.run(&format!(
        "rmdir p/d; mkdir -m 0700 e; ln -s $PWD/e p/d; ! {make} && stat --printf '%U:%G %a' e"
    ));
    assert!(ok && said.ends_with("root:root 700"), "{said}");
}

/// A lock that is held stays held when somebody deletes its file.
#[test]
fn a_lock_outlives_its_file() {
    let scratch = Scratch::new("lock");
    let (ok, said) = scratch.run("who=first; take_lock && rm $run/lock && who=second && ! (take_lock)");
    assert!(ok, "{said}");
    assert_eq!(said, "locked\tit does not say who it is, its lock file was deleted\n");
    let (ok, said) = scratch.run("who=first; chmod 0777 $run; take_lock && who=second && ! (take_lock)");
    assert!(ok && said == "locked\tfirst\n", "{said}");
    assert_eq!(mode(&scratch.path("run")), 0o700);
}

/// What a process started with is judged by its age: wall clock and uptime have to be of one moment.
#[test]
fn the_clocks_of_a_busy_host_are_read_at_one_moment() {
    let scratch = Scratch::new("clocks");
    // Three times the host is busy before it reads, and longer after it.
    let busy = r#"calls=0; read() {
        if ((calls++ < 3)); then sleep 0.1; builtin read "$@"; sleep 0.2; else builtin read "$@"; fi
    }"#;
    let (ok, said) = scratch.run(&format!("{busy}; probe_system"));
    assert!(ok, "{said}");
    let seconds = |word: &str| -> f64 {
        let line = said.lines().find_map(|line| line.strip_prefix(word)).unwrap();
        line.trim().parse().unwrap()
    };
    let booted = seconds("now") - seconds("uptime");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    assert!((booted - (now - uptime)).abs() < 0.05, "{booted} is not {}", now - uptime);
}

#[test]
fn a_link_says_one_line_whatever_it_leads_to() {
    let scratch = Scratch::new("target");
    let (ok, said) = scratch.run(
        r#"mkdir d; ln -s $'\e]0;owned\a\n\tpath\tx' d/f; paths=("$PWD/d/f"); want["$PWD/d/f"]=-; probe_paths"#,
    );
    assert!(ok, "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said:?}");
    assert!(lines[0].starts_with("path\tsymbolic link\t"), "{said:?}");
    assert!(lines[1].ends_with("/d/f\t?]0;owned???path?x"), "{said:?}");
}

#[test]
fn requests_in_flight_are_waited_for_until_they_end_or_the_deadline_is_there() {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};
    let scratch = Scratch::new("drain");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let path = scratch.path("socket");
    let local = UnixListener::bind(&path).unwrap();
    let unix = format!("unix:{}", path.display());
    let asks = (TcpStream::connect(&at).unwrap(), UnixStream::connect(&path).unwrap());
    let served = (listener.accept().unwrap(), local.accept().unwrap());
    for listener in [&at, &unix] {
        let (ok, said) = scratch.run(&format!("connections {listener}; drain {listener} 1 a@b.service"));
        assert!(ok && said.starts_with("1\n"), "{said}");
        assert!(said.contains(&format!("1 requests at {listener} have not ended after 1 s")), "{said}");
    }
    drop((asks, served));
    for listener in [&at, &unix] {
        let (ok, said) = scratch.run(&format!("connections {listener}; drain {listener} 60"));
        assert_eq!((ok, said.as_str()), (true, "0\n"));
    }
}

/// A systemctl that knows an umbrella with two clusters of PostgreSQL, of which some run.
fn umbrella(first: &str, second: &str) -> String {
    format!(
        "systemctl() {{ case \"$*\" in \
           start*) echo \"systemctl $*\";; \
           *MainPID*) printf 'Wants=network.target postgresql@15-main.service postgresql@16-b.service\\nActiveState=active\\nSubState=exited\\nMainPID=0\\n';; \
           *Wants*) echo 'network.target postgresql@15-main.service postgresql@16-b.service';; \
           *15-main.service) printf 'Result=success\\nActiveState={first}\\nSubState=x15\\n';; \
           *16-b.service) printf 'Result=success\\nActiveState={second}\\nSubState=x16\\n';; \
         esac; }}; unmask_units() {{ :; }}; units=(postgresql.service); "
    )
}

#[test]
fn postgresql_runs_when_its_clusters_do() {
    let scratch = Scratch::new("umbrella");
    let seen = |first: &str, second: &str| {
        let (ok, said) = scratch.run(&format!("{}probe_units", umbrella(first, second)));
        assert!(ok, "{said}");
        assert!(!said.contains("Wants"), "{said}");
        said.lines()
            .filter_map(|line| line.split_once("State="))
            .map(|(_, state)| state.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(seen("active", "active"), ["active", "exited"]);
    assert_eq!(seen("active", "inactive"), ["active", "exited", "inactive", "x16"]);
    assert_eq!(seen("failed", "inactive"), ["active", "exited", "failed", "x15"]);
    // What the first systemctl tells of clusters that run is not asked again; what it hides, as those that do not, is.
    let (ok, said) = scratch.run(
        "systemctl() { case \"$*\" in \
           *MainPID*'-- postgresql.service other.service postgresql@*.service') \
             printf 'Id=postgresql.service\\nWants=postgresql@15-main.service postgresql@16-b.service\\nActiveState=active\\n\\n'; \
             printf 'Id=other.service\\nWants=postgresql@16-b.service\\nActiveState=inactive\\n\\n'; \
             printf 'Id=postgresql@15-main.service\\nActiveState=active\\nSubState=running\\n';; \
           *) echo \"ActiveState=asked ${*: -1}\";; \
         esac; }; add_unit postgresql.service; add_unit other.service; probe_units",
    );
    assert!(ok, "{said}");
    let states: Vec<&str> = said.lines().filter(|line| line.contains("State")).collect();
    let expected =
        ["ActiveState=active", "ActiveState=asked postgresql@16-b.service", "ActiveState=inactive"];
    assert_eq!(states, expected.map(|line| format!("property\t{line}")), "{said}");
    let (_, said) = scratch.run(&format!("{}start_units postgresql.service", umbrella("inactive", "active")));
    assert!(
        said.contains("start --no-block -- postgresql@15-main.service postgresql@16-b.service"),
        "{said}"
    );
    // Whoever else wants a cluster has a state of its own, and starts alone.
    let (_, said) = scratch.run(&format!(
        "{}units=(mine.service); probe_units; start_units mine.service",
        umbrella("inactive", "inactive")
    ));
    assert!(!said.contains("inactive") && !said.contains("postgresql@"), "{said}");
}

/// A restart of `it.service` by a stand-in for systemctl: `restart` is what that does, `state` what it says then.
fn restarted(scratch: &Scratch, restart: &str, state: &str) -> (bool, String) {
    scratch.run(&format!(
        "systemctl() {{ case $1 in restart) {restart};; show) echo look >> looks; state={state}; \
           [[ -e done ]] || state=activating; printf 'ActiveState=%s\\nInvocationID=new\\nMainPID=1\\n' $state;; esac; }}
         unmet() {{ :; }}; newest() {{ echo 5; }}; explain() {{ echo \"explained $1\"; }}
         exec {{lock}}< run {{records}}< run; began=${{EPOCHREALTIME/./}}
         restart_unit it.service; await it.service old 20; status=$?
         echo \"status $status looks $(wc -l < looks) soon $(((${{EPOCHREALTIME/./}} - began) / 100000))\"",
    ))
}

#[test]
fn a_restart_is_waited_for_without_looking_all_the_time() {
    let scratch = Scratch::new("restart");
    let (_, said) = restarted(&scratch, "sleep 2.4; touch done", "active");
    let numbers: Vec<u32> =
        said.lines().last().unwrap().split(' ').filter_map(|word| word.parse().ok()).collect();
    let [status, looks, tenths] = numbers[..] else { panic!("{said}") };
    assert!(said.contains("started\tit.service\tnew\t5\t") && status == 0, "{said}");
    // One before, one a second, one when it is over; and that at once.
    assert!((2..=4).contains(&looks) && (24..29).contains(&tenths), "{said}");
    // What systemd refuses is said in its words, and not waited for.
    let scratch = Scratch::new("masked");
    let masked = "touch done; echo 'Failed to restart it.service: Unit it.service is masked.' >&2; return 1";
    let (_, said) = restarted(&scratch, masked, "inactive");
    assert!(said.contains("Unit it.service is masked") && said.contains("explained it.service"), "{said}");
    assert!(said.lines().last().unwrap().starts_with("status 1 "), "{said}");
    // One that fails at first and is started again by systemd counts, as does one nobody told the end of.
    let later = "{ sleep 1; touch done; } > /dev/null 2>&1 &";
    for end in ["echo 'Job for it.service failed.' >&2; return 1", "kill -9 $BASHPID"] {
        let scratch = Scratch::new("again");
        let (_, said) = restarted(&scratch, &format!("{later} {end}"), "active");
        let last = said.lines().last().unwrap();
        let looks: u32 = last.split(' ').nth(3).unwrap().parse().unwrap();
        assert!(last.starts_with("status 0 ") && (3..30).contains(&looks), "{end}: {said}");
    }
}

#[test]
fn a_restart_without_end_does_not_hold_its_step() {
    let scratch = Scratch::new("endless");
    let step = "restart_unit it.service; await it.service old 1 || exit 1";
    let (ok, said) = scratch.run(&format!(
        "systemctl() {{ case $1 in restart) sleep 20 ;; show) echo ActiveState=activating ;; esac; }}
         explain() {{ return 1; }}; exec {{lock}}< run {{records}}< run; code='{step}'
         printf 'step 7 %s 0\n%s' ${{#code}} \"$code\" | serve_steps; echo \"over $SECONDS\""
    ));
    let seconds = said.trim_end().rsplit_once("over ").and_then(|(_, text)| text.parse::<u32>().ok());
    assert!(ok && said.contains("done\t7\t1") && seconds.is_some_and(|seconds| seconds < 9), "{said}");
    assert!(said.contains("it.service is not ready after 1 s"), "{said}");
}

#[test]
fn a_unit_without_a_process_has_no_children_and_nobody_complains() {
    let scratch = Scratch::new("childless");
    let (ok, said) =
        scratch.run("property() { :; }; children matrix.target; probe_children 0; newest 0; newest ''");
    assert!(ok && said.trim().is_empty(), "{said:?}");
}

#[test]
fn the_newest_of_the_worker_processes_is_found_whatever_its_number() {
    let scratch = Scratch::new("newest");
    let (ok, said) = scratch.run(
        r#"property() { echo $BASHPID; }; sleep 9 & first=$!; sleep 0.1; sleep 9 & second=$!
        began() { local stat; read -r stat < /proc/$1/stat; set -- ${stat##*) }; echo ${20}; }
        newest $$ > newest; echo "$(began $first) $(began $second) $(< newest)"; children_of $$; kill $first $second; echo "$first $second ${found[*]}""#,
    );
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split(' ').collect()).collect();
    let [times, processes] = &lines[..] else { panic!("{said}") };
    assert!(ok && times[0] != times[1] && times[1] == times[2], "{said}");
    let of = |at: usize| format!("{}@{}", processes[at], times[at]);
    assert!(processes[2..].contains(&of(0).as_str()) && processes[2..].contains(&of(1).as_str()), "{said}");
}

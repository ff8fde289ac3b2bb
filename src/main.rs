//! The program: parse, run, exit code.

fn main() -> std::process::ExitCode {
    synprov::cli::guarded(|| synprov::cli::run(std::env::args_os())).into()
}

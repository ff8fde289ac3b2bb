//! The command line: one file a subcommand. The only room that reads flags, the environment, the
//! inventory's files and the clock, and that decides exit codes.

mod against_host;
mod apply;
mod become_password;
mod beside;
mod build_data;
mod check;
mod clock;
mod control;
mod controller_secrets;
mod drift;
mod execute;
mod exit;
mod firewall;
mod generate;
mod graph;
mod history;
mod hosts;
mod import;
mod init;
pub mod lab;
mod load;
mod lock_file;
mod logs;
mod output;
mod panic;
mod perform;
mod plan;
mod progress;
mod reach;
mod rehearse;
mod rollback;
mod rotation;
mod route;
mod run;
mod run_log;
mod saved_plan;
mod sealed;
mod secrets;
mod services;
mod several;
mod show;
mod signals;
mod status;
mod terminal;
mod ways;
mod whole_file;
mod why;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::plan::backup::{DIRECTORY, Destination};
use crate::plan::{Batch, Rolling};
pub use exit::Exit;
use output::{ColorChoice, Output};
pub use panic::guarded;

use crate::plan::control::act::Verb;

/// Matrix Synapse with workers on your hosts, planned and applied over plain SSH
///
/// One inventory describes hosts and workers. `check` reads it offline, `plan` shows what differs on
/// the hosts and why, `apply` does exactly that, `drift` tells cron who else changed them, `rehearse` does it on throwaway hosts first.
#[derive(Debug, Parser)]
#[command(name = "synprov", version, long_version = build_data::long_version(), after_help = exit::table(), propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: ColorChoice,

    /// Say more (-v steps' output, -vv what travels)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a commented inventory to begin with, from flags or a few questions
    Init(init::InitArgs),
    /// Write an inventory from what is there already: a running Synapse, or the hosts of an Ansible inventory
    Import(import::ImportArgs),
    /// Read the inventory and report everything that is wrong with it, offline or against its hosts
    Check(check::CheckArgs),
    /// Show what would change on every host, in which order, and why; changes nothing
    Plan(plan::PlanArgs),
    /// Say which key of which file makes a process restart, or that it does not
    Why(why::WhyArgs),
    /// Show a plan that `plan --out` saved, without asking a host
    Show(show::ShowArgs),
    /// Say whether anybody but synprov changed the hosts: silent and exit 0 if not, made for cron
    Drift(drift::DriftArgs),
    /// Show the plan, ask, and do it; or do exactly what a saved plan says
    Apply(apply::ApplyArgs),
    /// Show how each process is: state, readiness, version, memory, and whether it runs with today's configuration
    Status(status::StatusArgs),
    /// List the generations that hosts keep: who applied what, and when
    History(history::HistoryArgs),
    /// Plan a generation that hosts were in before, ask, and apply it
    Rollback(rollback::RollbackArgs),
    /// Show what processes log, of several hosts together
    Logs(logs::LogsArgs),
    /// Start what does not run, in the order of the deployment
    #[command(after_help = control::help(Verb::Start))]
    Start(control::ControlArgs),
    /// Stop processes, in reverse order
    #[command(after_help = control::help(Verb::Stop))]
    Stop(control::ControlArgs),
    /// Restart processes, in the order of the deployment
    #[command(after_help = control::help(Verb::Restart))]
    Restart(control::ControlArgs),
    /// Have processes read again what they can without a restart
    #[command(after_help = control::help(Verb::Reload))]
    Reload(control::ControlArgs),
    /// Have processes start at boot
    #[command(after_help = control::help(Verb::Enable))]
    Enable(control::ControlArgs),
    /// Have processes not start at boot
    #[command(after_help = control::help(Verb::Disable))]
    Disable(control::ControlArgs),
    /// Take the deployment's secrets into an encrypted file, or bring them back
    Secrets(secrets::SecretsArgs),
    /// Apply the inventory to throwaway hosts on this machine, prove it with a client, tear down
    Rehearse(rehearse::RehearseArgs),
    /// Look at throwaway hosts, log in on them, remove them
    Lab(lab::LabArgs),
    /// Draw hosts, processes and what each is for
    Graph(graph::GraphArgs),
    /// Show which ports must be reachable from where, or write nftables rules for it; offline
    Firewall(firewall::FirewallArgs),
    /// Print the JSON Schema of inventory.yaml, from which editors complete, or of what --json puts out
    Schema(generate::SchemaArgs),
    /// Say where a request goes, and why, offline
    Route(route::RouteArgs),
    /// Print a completion script for a shell
    Completion(generate::CompletionArgs),
    /// Write the man pages into a directory
    #[command(hide = true)]
    Man(generate::ManArgs),
}

/// Which inventory, and how it is read.
#[derive(Debug, Clone, Args)]
pub struct InventoryArgs {
    /// The inventory
    #[arg(env = "SYNPROV_INVENTORY", default_value = "inventory.yaml", value_name = "INVENTORY")]
    pub inventory: PathBuf,

    /// Refuse to extend inventory.lock, and to install what it lacks (in CI and cron)
    #[arg(long)]
    pub locked: bool,

    /// Directory with modules that add to the built-in ones or shadow them [default: modules/ beside the inventory]
    #[arg(long, env = "SYNPROV_MODULES", value_name = "DIR")]
    pub modules: Option<PathBuf>,

    /// Speak to the throwaway hosts that `synprov rehearse --keep` left instead of the real ones
    #[arg(long)]
    pub lab: bool,
}

/// Which hosts, and how they are spoken with.
#[derive(Debug, Clone, Args)]
pub struct HostArgs {
    /// Which hosts, and how they are spoken with.
    #[command(flatten)]
    pub reach: ReachArgs,

    /// Let synprov overwrite and own things on hosts that it has no record of
    #[arg(long)]
    pub adopt: bool,

    /// With --adopt: processes that run and that synprov has no record of go on as they are, and take
    /// their configuration over when they next start
    #[arg(long, requires = "adopt")]
    pub keep_running: bool,

    /// Allow PostgreSQL or Redis of a running deployment to be restarted
    #[arg(long)]
    pub allow_datastore_restart: bool,

    /// Allow more than three processes, or more than a quarter of them, to be deleted without being asked
    #[arg(long)]
    pub allow_deletes: bool,

    /// How many processes of a pool restart at a time: a number, or a part of it (never all)
    #[arg(long, value_name = "N|P%", default_value_t = Batch::default())]
    pub batch: Batch,

    /// Seconds that requests in flight may take to end before their process restarts; 0 cuts them off
    #[arg(long, value_name = "SECONDS", default_value_t = Rolling::DRAIN_SECONDS, value_parser = clap::value_parser!(u32).range(0..=86400))]
    pub drain_timeout: u32,

    /// Back up the database, and main's configuration and secrets, before anything is changed: to a directory on their hosts, or to a command's standard input
    #[arg(long, value_name = "DIR|command:COMMAND", num_args = 0..=1, require_equals = true, default_missing_value = DIRECTORY)]
    pub backup: Option<Destination>,
}

impl HostArgs {
    /// These hosts, and everything else as without a flag.
    pub fn of(reach: ReachArgs) -> Self {
        Self {
            reach,
            adopt: false,
            keep_running: false,
            allow_datastore_restart: false,
            allow_deletes: false,
            batch: Batch::default(),
            drain_timeout: Rolling::DRAIN_SECONDS,
            backup: None,
        }
    }
}

/// Which hosts, and how they are spoken with.
#[derive(Debug, Clone, Args)]
pub struct ReachArgs {
    /// Only these hosts (names, separated by commas)
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    pub limit: Vec<String>,

    /// How many hosts are spoken with at a time
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub forks: u16,

    /// Seconds until a host that does not answer is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,

    /// Read this configuration of ssh's instead of ~/.ssh/config and /etc/ssh/ssh_config; none: no file
    #[arg(long, env = SSH_CONFIG, value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,

    /// Ask once, on the terminal, for the password that sudo or doas want on hosts (programs: SYNPROV_BECOME_PASSWORD)
    #[arg(short = 'K', long)]
    pub ask_become_password: bool,
}

/// Environment variable with the file that `--ssh-config` names.
const SSH_CONFIG: &str = "SYNPROV_SSH_CONFIG";

impl Default for ReachArgs {
    /// As without a flag.
    fn default() -> Self {
        Self {
            limit: Vec::new(),
            forks: 32,
            timeout: 15,
            ssh_config: std::env::var_os(SSH_CONFIG).map(PathBuf::from),
            ask_become_password: false,
        }
    }
}

/// Which part of what differs.
#[derive(Debug, Clone, Default, Args)]
pub struct TargetArgs {
    /// Only these and what they need: processes, pools, units, paths, with * and ? (separated by commas); refused where others would have to follow
    #[arg(long, value_name = "NAME|GLOB", value_delimiter = ',')]
    pub target: Vec<String>,
}

/// Runs the program with these arguments (the first is its name).
pub fn run(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help and version to standard output, errors to standard error.
            let printed = error.print();
            return match printed {
                _ if error.use_stderr() => Exit::Usage,
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    Output::new(ColorChoice::Auto, 0).error(&output::unwritable(&error), None);
                    Exit::Error
                }
                _ => Exit::Done,
            };
        }
    };
    let output = Output::new(cli.color, cli.verbose);
    let level = match cli.verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    // A second initialisation (tests in one process) changes nothing.
    drop(
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(std::io::stderr)
            .with_ansi(output.color_talk)
            .without_time()
            // It would panic where nobody reads standard error any more.
            .log_internal_errors(false)
            .try_init(),
    );
    output.settled(dispatch(cli.command, &output))
}

fn dispatch(command: Command, output: &Output) -> Exit {
    match command {
        Command::Init(arguments) => init::run(arguments, output),
        Command::Import(arguments) => import::run(&arguments, output),
        Command::Check(arguments) => check::run(&arguments, output),
        Command::Plan(arguments) => plan::run(&arguments, output),
        Command::Drift(arguments) => drift::run(&arguments, output),
        Command::Why(arguments) => why::run(&arguments, output),
        Command::Show(arguments) => show::run(&arguments, output),
        Command::Apply(arguments) => apply::run(&arguments, output),
        Command::Status(arguments) => status::run(&arguments, output),
        Command::History(arguments) => history::run(&arguments, output),
        Command::Rollback(arguments) => rollback::run(&arguments, output),
        Command::Logs(arguments) => logs::run(&arguments, output),
        Command::Start(arguments) => control::run(Verb::Start, &arguments, output),
        Command::Stop(arguments) => control::run(Verb::Stop, &arguments, output),
        Command::Restart(arguments) => control::run(Verb::Restart, &arguments, output),
        Command::Reload(arguments) => control::run(Verb::Reload, &arguments, output),
        Command::Enable(arguments) => control::run(Verb::Enable, &arguments, output),
        Command::Disable(arguments) => control::run(Verb::Disable, &arguments, output),
        Command::Secrets(arguments) => secrets::run(&arguments, output),
        Command::Rehearse(arguments) => rehearse::run(&arguments, output),
        Command::Lab(arguments) => rehearse::lab(&arguments, output),
        Command::Graph(arguments) => graph::run(&arguments, output),
        Command::Firewall(arguments) => firewall::run(&arguments, output),
        Command::Schema(arguments) => generate::schema(&arguments, output),
        Command::Route(arguments) => route::run(&arguments, output),
        Command::Completion(arguments) => generate::completion(&arguments, output),
        Command::Man(arguments) => generate::man(&arguments, output),
    }
}

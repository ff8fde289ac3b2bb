//! `synprov start`, `stop`, `restart`, `reload`, `enable`, `disable`: services by name, in the order of the
//! deployment, over all hosts.

use clap::Args;
use indexmap::IndexMap;

use super::apply::confirmed;
use super::execute::execute;
use super::hosts::{Extent, Surveyed, survey};
use super::services::ServiceArgs;
use super::{Exit, Output, exit};
use crate::facts::HostFacts;
use crate::plan::control::act::{Verb, act};
use crate::plan::control::select::{ALL, Service, services};
use crate::render;
use crate::resource::Stage;

/// `synprov start` and the others.
#[derive(Debug, Args)]
pub struct ControlArgs {
    #[command(flatten)]
    services: ServiceArgs,

    /// Allow PostgreSQL or Redis of a running deployment to stop or restart
    #[arg(long)]
    allow_datastore_restart: bool,

    /// Do not ask before the whole deployment stops or restarts
    #[arg(short, long)]
    yes: bool,

    /// Seconds a service may take to be ready; the main process takes what its schema needs
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=86400))]
    ready_timeout: u32,
}

/// What `--help` says below the options.
pub fn help(verb: Verb) -> String {
    let (what, examples) = match verb {
        Verb::Start => (
            "Starts what does not run, in order: PostgreSQL and Redis, the main process, stream writers, other \
             workers, the proxy; each stage waits until the one before is ready. What is started starts at boot, \
             too. Without names: everything.",
            "synprov start\n  synprov start sync2\n  synprov start main 'fed*' prod.yaml",
        ),
        Verb::Stop => (
            "Stops what runs, in reverse order: the proxy, workers, stream writers, the main process, datastores. \
             Without names: all Synapse processes; the proxy, which may serve other sites, and datastores have to be \
             named (`all` names everything). Where the proxy stops first, requests in flight may end. The record \
             says that it was you: `plan` and `drift` call it stopped by `synprov stop` and no drift, and an apply \
             starts it again, as does a reboot (unless disabled).",
            "synprov stop sync2\n  synprov stop --yes\n  synprov stop all --allow-datastore-restart",
        ),
        Verb::Restart => (
            "Restarts in the order of `start`, each stage ready before the next one. Without names: all Synapse \
             processes. A proxy reloads. The record learns of it: the next plan is empty.",
            "synprov restart sync2\n  synprov restart sync federation_sender\n  synprov restart redis --allow-datastore-restart",
        ),
        Verb::Reload => (
            "Synapse processes read their log configuration, certificates and cache factors again and go on; a proxy \
             takes its whole configuration over. Without names: all of them.",
            "synprov reload proxy\n  synprov reload main sync",
        ),
        Verb::Enable => (
            "They start at boot from now on; nothing is started now. Without names: all Synapse processes.",
            "synprov enable sync2",
        ),
        Verb::Disable => (
            "They do not start at boot any more; nothing is stopped now. Without names: all Synapse processes. \
             `plan` says that it was `synprov disable`, and an apply enables them again.",
            "synprov disable sync2\n  synprov stop sync2",
        ),
    };
    let text = format!("{what}\n\n{}\n\nExamples:\n  {examples}", super::services::NAMES);
    exit::below(&text, exit::ACTS, &[])
}

/// What no names stand for.
fn otherwise(verb: Verb, service: &Service<'_>) -> bool {
    match verb {
        Verb::Start => true,
        Verb::Reload => service.instance.is_some() || service.stage == Stage::Proxy,
        Verb::Stop | Verb::Restart | Verb::Enable | Verb::Disable => service.instance.is_some(),
    }
}

/// Runs it.
pub fn run(verb: Verb, arguments: &ControlArgs, output: &Output) -> Exit {
    let loaded = match arguments.services.loaded(output) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let chosen = match arguments.services.chosen(&loaded, |service| otherwise(verb, service), output) {
        Ok(chosen) => chosen,
        Err(exit) => return exit,
    };
    let mut hosts = arguments.services.hosts();
    hosts.allow_datastore_restart = arguments.allow_datastore_restart;
    let names = arguments.services.names();
    let everything = names.is_empty() || names.iter().any(|name| name == ALL || name == "*");
    let asks = everything && matches!(verb, Verb::Stop | Verb::Restart) && !arguments.yes;
    let extent = if asks { Extent::Plan } else { Extent::Held(verb.word()) };
    let mut surveyed = match survey(&loaded, &hosts, extent, output) {
        Ok(surveyed) => surveyed,
        Err(exit) => return exit,
    };
    let all = services(&loaded.topology, &loaded.resources);
    if !surveyed.errors.is_empty() {
        let mend =
            if surveyed.is_locked() { "" } else { " Mend these hosts, or leave them out with --limit." };
        output.talk(&format!("Nothing was done.{mend}\n"));
        return surveyed.exit();
    }
    let plan = surveyed.with_plan(&loaded, |input, plan| act(verb, &chosen, &all, input, plan));
    output.result(&render::control::text(verb, &plan, output.color));
    if !plan.refusals.is_empty() {
        return Exit::Error;
    }
    if plan.is_empty() {
        return Exit::Done;
    }
    let question = format!("This would {} the whole deployment. Do it?", verb.word());
    if asks && !confirmed(&question, &format!("`--yes` {}s without asking", verb.word()), output) {
        return Exit::Error;
    }
    let again = |surveyed: &Surveyed, facts: &IndexMap<String, HostFacts>| {
        surveyed.with_plan_from(&loaded, facts, |input, plan| act(verb, &chosen, &all, input, plan))
    };
    execute(verb.word(), &loaded, &mut surveyed, &plan, &again, arguments.ready_timeout, output)
}

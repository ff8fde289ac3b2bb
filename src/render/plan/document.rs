//! A plan as programs read it: `schema/plan.schema.json`.

use serde_json::{Value, json as value};

use crate::facts::HostError;
use crate::facts::conversation::clean;
use crate::plan::Plan;
use crate::plan::change::Operation;
use crate::plan::saved::Saved;

/// A saved plan as JSON: the plan's document, with what it was made from.
pub fn saved_json(saved: &Saved) -> Value {
    let mut document = json(&saved.plan, &[]);
    document["made"] = serde_json::to_value(&saved.made).unwrap_or_default();
    document
}

/// What stands in the place of a plan that could not be made.
pub fn no_plan() -> Value {
    let mut document = json(&Plan::default(), &[]);
    document["errored"] = true.into();
    document["complete"] = false.into();
    document["applyable"] = false.into();
    document
}

/// The plan as a JSON document, with the hosts that are missing from it: `schema/plan.schema.json`.
pub fn json(plan: &Plan, errors: &[(String, HostError)]) -> Value {
    let mut document = serde_json::to_value(plan).unwrap_or_default();
    let (add, change, delete) = plan.counts();
    let forget = plan.changes.iter().filter(|change| change.operation == Operation::Forget).count();
    document["summary"] = value!({
        "add": add, "change": change, "delete": delete, "forget": forget, "unchanged": plan.unchanged
    });
    document["errored"] = false.into();
    document["complete"] = errors.is_empty().into();
    document["applyable"] = (errors.is_empty() && plan.refusals.is_empty()).into();
    document["unreachable"] = errors
        .iter()
        .map(|(host, error)| value!({"host": host, "summary": clean(&error.summary), "help": error.help}))
        .collect();
    if let Some(steps) = document["steps"].as_array_mut() {
        for (value, step) in steps.iter_mut().zip(&plan.steps) {
            value["title"] = step.action.title().into();
        }
    }
    document
}

//! A host gets what it lacks of the wheelhouse before the step that needs it.

use super::run::{Run, State};
use super::wheels::{AT_ONCE, Stock};
use super::{Observer, Outcome};
use crate::facts::HostFacts;
use crate::plan::Step;
use crate::plan::step::Action;

/// What frames are called that bring wheels, before the number of the step that waits for them.
pub(super) const WHEELS: &str = "wheels:";

impl Run<'_> {
    /// What the host lacks of the wheelhouse goes there before the step itself.
    pub(super) fn ship(&mut self, step: &Step, observer: &mut dyn Observer) {
        if self.shipments.len() >= AT_ONCE {
            return;
        }
        observer.begins(step);
        let house = self.job.wheelhouse.ok_or_else(|| "there is no wheelhouse here any more".to_owned());
        let stock = self.stock.get_or_insert_with(|| house.and_then(Stock::take));
        let outcome = match stock {
            Ok(stock) => {
                let tag = self.ledger.facts().get(&step.host).and_then(HostFacts::python_tag);
                let Action::BuildVenv { locked, .. } = &step.action else { return };
                let resolved = &self.ledger.resolved;
                let set = tag.and_then(|tag| locked.get(&tag).or_else(|| resolved.get(&tag)));
                let shipment = stock.shipment(set);
                let frame = shipment.ask();
                self.shipments.insert(step.host.clone(), shipment);
                if self.send(&step.host, format!("{WHEELS}{}", step.id), &frame) {
                    self.states[step.id] = State::Running;
                    return;
                }
                self.shipments.remove(&step.host);
                Outcome::Lost("the session with the host has ended".to_owned())
            }
            Err(error) => Outcome::Failed(vec![error.clone()]),
        };
        observer.ends(step, &outcome);
        self.states[step.id] = State::Over(outcome);
    }

    /// The host has done a part: the next one, or the step that waited for all of them.
    pub(super) fn shipped(&mut self, step: &Step, observer: &mut dyn Observer) {
        let (Some(shipment), Some(Ok(stock))) = (self.shipments.get_mut(&step.host), &self.stock) else {
            return;
        };
        let outcome = match shipment.next(stock) {
            Ok(Some(frame)) => {
                observer.says(step, &shipment.progress());
                if self.send(&step.host, format!("{WHEELS}{}", step.id), &frame) {
                    return;
                }
                Outcome::Lost("the session with the host has ended".to_owned())
            }
            Ok(None) => {
                self.shipments.remove(&step.host);
                return self.begin(step, observer);
            }
            Err(error) => Outcome::Failed(vec![error]),
        };
        self.shipments.remove(&step.host);
        observer.ends(step, &outcome);
        self.states[step.id] = State::Over(outcome);
    }
}

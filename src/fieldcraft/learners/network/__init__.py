"""The neural network: TabM, an ensemble of MLPs that share weights, or one plain MLP."""

from __future__ import annotations

from fieldcraft.contracts import FittedModel, ModelSpec, State, TrainingJob
from fieldcraft.learners.network.options import NetworkOptions


class NetworkLearner:
    """A neural network over all columns of the table."""

    name = "network"
    title = "neural network"
    complexity = 4
    options = NetworkOptions

    def fit(self, job: TrainingJob) -> FittedModel:
        """Train until the validation loss stops improving."""
        from fieldcraft.learners.network.fit import fit_network

        return fit_network(job)

    def restore(self, state: State, spec: ModelSpec) -> FittedModel:
        """Load a saved model."""
        from fieldcraft.learners.network.fit import restore_network

        return restore_network(state, spec)


LEARNER = NetworkLearner()

"""The neural network: TabM, an ensemble of MLPs that share weights, or one plain MLP."""

from __future__ import annotations

from fieldcraft.core.catalog import DeferredFunction
from fieldcraft.learners.network.options import NetworkOptions


class NetworkLearner:
    """A neural network over all columns of the table."""

    name = "network"
    title = "neural network"
    complexity = 4
    options = NetworkOptions

    fit = DeferredFunction("fieldcraft.learners.network.fit:fit_network")

    restore = DeferredFunction("fieldcraft.learners.network.fit:restore_network")


LEARNER = NetworkLearner()

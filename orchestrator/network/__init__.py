"""Where a worker may stand: the network resolver. Pure: no clock, no cloud, no ledger.

`resolve(network, requirement)` takes what was described of an account and Region (`orchestrator.model.network`) and
what a worker asks (`Requirement`), and answers with every subnet it looked at, each that does not fit with why.
"""

from __future__ import annotations

from orchestrator.network.answer import Candidate, NoNetwork, Problem, Resolution, Why
from orchestrator.network.requirement import Peer, Requirement, Service, services_of_a_worker
from orchestrator.network.resolve import resolve

__all__ = [
    "Candidate",
    "NoNetwork",
    "Peer",
    "Problem",
    "Requirement",
    "Resolution",
    "Service",
    "Why",
    "resolve",
    "services_of_a_worker",
]

"""Whole sessions on a fake cloud that fails, processes that die, and agents that lie."""

from support.stages import *  # noqa: F403 - fixtures are found by their names

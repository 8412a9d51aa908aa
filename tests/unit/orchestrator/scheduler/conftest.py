"""Whole sessions on a fake cloud with a fake clock."""

from support.stages import *  # noqa: F403 - fixtures are found by their names

"""Plans on a fake cloud."""

from support.stages import *  # noqa: F403 - fixtures are found by their names

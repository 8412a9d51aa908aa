"""The app that `celery -A tasks` finds: made from the environment, logging as everything else of this program does."""

from celery.signals import setup_logging

from config import logging
from config.settings import load_settings
from tasks.app import make_app

_settings = load_settings()
app = make_app(_settings)


@setup_logging.connect(weak=False)
def _on_setup_logging(**_: object) -> None:
    """Set logging up in Celery's place: secrets hidden, and no local variables in a traceback."""
    logging.set_up(_settings.log_format)

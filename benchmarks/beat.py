"""Beat as the product has it, without what needs a cloud: an app that knows tasks by name alone."""

from __future__ import annotations

from celery import Celery

from config.celeryconfig import settings_of
from config.settings import load_settings


def main() -> None:
    """Be beat."""
    app = Celery("daywork")
    app.conf.update(settings_of(load_settings()))
    # There is no cloud to sweep, no ledger to copy to a bucket and no policy to follow.
    app.conf.beat_schedule = {name: app.conf.beat_schedule[name] for name in ("watch", "reconcile")}
    app.Beat(scheduler="celery.beat:Scheduler", loglevel="WARNING", quiet=True).run()


if __name__ == "__main__":
    main()

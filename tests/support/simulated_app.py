"""The app that `celery -A support.simulated_app:app` finds: simulated workers, settings from the environment."""

from config.settings import load_settings
from support.simulated import STEPS, simulated_services
from tasks.app import make_app

app = make_app(load_settings(), steps=STEPS, services=simulated_services)

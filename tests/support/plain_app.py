"""The app that `celery -A support.plain_app:app` finds: plain steps, settings from the environment."""

from config.settings import load_settings
from support.plain import STEPS, plain_services
from tasks.app import make_app

app = make_app(load_settings(), steps=STEPS, services=plain_services)

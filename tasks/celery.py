"""The app that `celery -A tasks` finds: made from the environment."""

from config.settings import load_settings
from tasks.app import make_app

app = make_app(load_settings())

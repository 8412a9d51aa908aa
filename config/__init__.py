"""Values only: settings, Celery's and Flower's configuration, logging. Imports nothing of the rest."""

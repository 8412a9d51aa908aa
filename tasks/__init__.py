"""The Celery side, thin: decode, call `orchestrator`, publish what comes next.

Reading order: `ids` (names that can be computed again), `celery` (the app that `celery -A tasks` finds), `base` (what
every task needs), `canvas` (a session as a chord of chains), `steps`, `requests`, `fleet`, `periodic`.
"""

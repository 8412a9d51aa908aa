"""Flower's configuration, read by `daywork run flower` and by `celery -A tasks flower --conf=config/flowerconfig.py`.

Flower executes this file and takes the names that are options of its own. Read only: with its control API one revoked
step leaves a chord that never calls back. Without a password its API stays off and it listens on this machine alone;
`/metrics` and `/healthcheck` never ask for one.
"""

from __future__ import annotations

from config.flowertask import format_task
from config.settings import load_settings

_settings = load_settings()

address = _settings.flower_address
port = _settings.flower_port
url_prefix = _settings.flower_url_prefix
basic_auth = [] if _settings.flower_basic_auth is None else [_settings.flower_basic_auth.get_secret_value()]
read_only = True
persistent = False
#: A session of 1000 resources shows about 4000 tasks; the default keeps 100,000 of them, some 500 MB.
max_tasks = 20_000
purge_offline_workers = 600
tasks_columns = "name,state,args,result,received,runtime,worker,uuid"

__all__ = ["address", "basic_auth", "format_task", "max_tasks", "persistent", "port", "purge_offline_workers"]
__all__ += ["read_only", "tasks_columns", "url_prefix"]

"""Start a session from a program that uses Celery: a task by its name, the answer as its result.

python celery_client.py BROKER_URL ACCOUNT/REGION/RESOURCE [--operation ec2-backup] [--id 2026-11-25]
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime

from celery import Celery

parser = argparse.ArgumentParser()
parser.add_argument("broker")
parser.add_argument("resource")
parser.add_argument("--operation", default="ec2-backup")
parser.add_argument("--id", default=datetime.now(UTC).isoformat())
given = parser.parse_args()

account, region, resource = given.resource.split("/", 2)
request = {
    "schemaVersion": 1,
    "source": "erp-celery",
    "id": given.id,
    "operation": given.operation,
    "resources": [{"account": account, "region": region, "id": resource}],
}

with Celery("erp", broker=given.broker, backend=given.broker) as app:
    sent = app.send_task("daywork.submit", kwargs={"request": request}, queue="daywork.control")
    answer = sent.get(timeout=60)

print(json.dumps(answer))
sys.exit(0 if "sessionId" in answer else 1)

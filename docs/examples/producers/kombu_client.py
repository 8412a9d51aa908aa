"""Start a session from a program that uses kombu: the request in kombu's envelope, the answer likewise.

python kombu_client.py BROKER_URL ACCOUNT/REGION/RESOURCE [--operation ec2-backup] [--id 2026-11-25]
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from datetime import UTC, datetime
from queue import Empty

from kombu import Connection

parser = argparse.ArgumentParser()
parser.add_argument("broker")
parser.add_argument("resource")
parser.add_argument("--operation", default="ec2-backup")
parser.add_argument("--id", default=datetime.now(UTC).isoformat())
given = parser.parse_args()

account, region, resource = given.resource.split("/", 2)
request = {
    "schemaVersion": 1,
    "source": "erp-kombu",
    "id": given.id,
    "operation": given.operation,
    "resources": [{"account": account, "region": region, "id": resource}],
}
mine = str(uuid.uuid4())

with Connection(given.broker) as connection:
    requests, answers = connection.SimpleQueue("daywork.requests"), connection.SimpleQueue(f"erp.replies.{mine}")
    requests.put(request, serializer="json", reply_to=f"erp.replies.{mine}", correlation_id=mine)
    try:
        message = answers.get(timeout=60)
    except Empty:
        sys.exit("no answer: the request waits in its queue until an intake runs")
    message.ack()
    answer = message.payload
    if message.properties["correlation_id"] != mine:
        sys.exit("somebody else's answer")

print(json.dumps(answer))
sys.exit(0 if answer["accepted"] else 1)

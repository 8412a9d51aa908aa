"""Start a session from any program that reaches the broker: a Redis client and JSON, nothing of Daywork.

python plain_python.py BROKER_URL ACCOUNT/REGION/RESOURCE [--operation ec2-backup] [--id 2026-11-25]
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime

import redis

parser = argparse.ArgumentParser()
parser.add_argument("broker")
parser.add_argument("resource")
parser.add_argument("--operation", default="ec2-backup")
parser.add_argument("--id", default=datetime.now(UTC).isoformat())
given = parser.parse_args()

account, region, resource = given.resource.split("/", 2)
# Of the request, not of the sending: sent again after a doubt it must be the same request.
answers = f"erp.replies.{given.id}"
request = {
    "schemaVersion": 1,
    "source": "erp",
    "id": given.id,
    "operation": given.operation,
    "resources": [{"account": account, "region": region, "id": resource}],
    "replyTo": answers,
}

with redis.Redis.from_url(given.broker, decode_responses=True) as broker:
    broker.lpush("daywork.requests", json.dumps(request))
    answer = broker.brpop([answers], timeout=60)

if answer is None:
    sys.exit("no answer: the request waits in its queue until an intake runs")
print(answer[1])
sys.exit(0 if json.loads(answer[1])["accepted"] else 1)

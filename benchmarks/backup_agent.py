"""One job of the agent in a process of its own, so that its processor time and memory can be told apart.

python -m benchmarks.backup_agent < JOB      where JOB is {"name", "job", "rate"}; prints the result's detail
"""

from __future__ import annotations

import json
import sys
from functools import partial
from threading import Event

from botocore.session import Session

from agent.jobs import ec2_backup, ec2_restore_volume
from agent.jobs.context import JobContext
from agent.jobs.opening import Means, blocks_of
from agent.protocol import BackupJob, RestoreVolumeJob


def main() -> None:
    """Do the job that standard input names."""
    order = json.load(sys.stdin)
    means = Means(blocks=partial(blocks_of, rate=order["rate"]))
    context = JobContext(session=Session(), worker_id="i-bench", stop=Event(), progress=lambda _done, _total: None)
    if order["name"] == "ec2-backup":
        result = ec2_backup.run(context, BackupJob.from_dict(order["job"]), means)
    else:
        result = ec2_restore_volume.run(context, RestoreVolumeJob.from_dict(order["job"]), means)
    print(json.dumps(result.detail))


if __name__ == "__main__":
    main()

"""The data plane side by side with restic and borg: backup, incremental, check, restore, on the same image.

    apt-get install restic borgbackup           # peers; one that is missing is reported
    python -m benchmarks.data                   # all rows, 3 rounds (the S3 server is installed into build/peers)
    python -m benchmarks.data --rows full incremental --rounds 5 --only-agent

Contenders take turns, each with a repository of its own in each round, and do the rows one after the other: the agent
at both compressions, restic to the same S3 server (nanio), borg to a folder beside it (it has no S3). All are
encrypted; restic compresses at its default, which is about zstd's 3, borg at `zstd,3` in fixed blocks of 512 KiB:
compare these with `agent size`. The agent reads blocks over HTTP and verifies them, its peers read a file. Figures are
processor seconds (children included, servers not), wall seconds and the highest memory. The best of the rounds is
shown: what disturbs a run only ever adds to it.

To add a row, write a module with one `Row` and name it in `rows.py`:

    def _agent(turn: Turn) -> Run:
        job = {"repository": turn.lab.repository(turn.repository), "restorePoint": "rp-1", ...}
        return turn.lab.agent("ec2-health-check", job)          # any job of `agent.jobs`, in a process of its own

    def _restic(turn: Turn) -> Run:
        return restic(turn, "check", "--read-data")             # `peers.restic`, `peers.borg`: measured runs

    ROW = Row(
        name="check", what="health check, everything read", after=("full",),
        agent=_agent, restic=_restic, borg=_borg,               # None: this peer cannot do it
        reach=(Reach("restic", "cpu", 0.45), Reach("restic", "wall", 0.5)),
    )

`after` names rows that must have been done before in the same repository: they are run too when only some are asked
for. When a row begins, `full` has written restore point `rp-0` of `snap-0`, `incremental` `rp-1` of `snap-1`; the two
images are `turn.lab.images / "snap-0.img"` and so on, `turn.scratch` is a folder for whatever the row needs, emptied
after the turn. A deed returns what was measured (`measured` runs a command) and raises when its result is wrong:
compare what was restored, outside of what is measured. Rows that have no peer take `reach=(Reach(None, "wall", 0.5),)`:
seconds, not a ratio. Whatever has no process of its own to be measured can use `Run(cpu=..., wall=..., memory=...)`.

Reading order: `measuring`, `lab`, `row`, `peers`, the rows, `__main__`.
"""

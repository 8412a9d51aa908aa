"""The control plane. Never imports Celery: everything here can run in any process.

Reading order: `model/` (the words), `operations` (the catalogue), `ports` (what is asked of the cloud), `network/`
(where a worker may stand), `planner/` and `placement` (pure), `ledger/` (the truth), `planning` (reads and decides),
`steps/` (assume_role, launch_worker, run_job, teardown, release), `preflight/` (a plan without a session), `fleet/`,
`aws/` (the adapters), `bootstrap` (the only place that wires).
"""

"""The control plane. Never imports Celery: everything here can run in any process.

Reading order: `model/` (the words), `operations` (the catalogue), `ports` (what is asked of the cloud), `planner` and
`placement` (pure), `ledger/` (the truth), `steps/` (assume_role, launch_worker, run_job, teardown, release), `fleet/`,
`aws/` (the adapters), `bootstrap` (the only place that wires).
"""

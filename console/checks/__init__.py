"""Whether registered accounts are as sessions need them: roles, their rights, networks, bucket, queue and key.

Nothing is made or changed. Rights are proved by asking IAM (`iam:SimulatePrincipalPolicy`) the questions that the role
documents themselves give (`orchestrator.rights.probes`).
"""

"""The agent: the program on a worker. It moves the data, says how far it is, and ends itself.

Shipped alone: nothing here imports the control plane. Reading order: `protocol` (what is said),
`channel` (how it travels), `runner` (a worker's life), `jobs/` (what is done), `repository/` (how it is kept).
"""

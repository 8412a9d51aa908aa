"""`make demo`: the main job on this machine, watched and checked from outside.

Reading order: `eye` (looks at the embedded cloud as an auditor with every account's keys would), `play` (the scenes).
"""

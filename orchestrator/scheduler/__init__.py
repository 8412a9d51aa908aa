"""Policies: sessions that start by themselves.

Reading order: `policy` (the document), `ticks` (pure: when it is due, and what its rules say), `tick` (due policies
become sessions), `following` (what follows them), `asking` (what people ask of policies), `records` (policies as people
and programs see them).
"""

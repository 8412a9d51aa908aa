"""Watching a session: on a screen that is redrawn, or as lines in a pipe.

Reading order: `reading` (asks the ledger, survives its absence), `screen` (a reading as lines of text), `changes` (what
is different since the last reading) and `events` (that as lines), `summary` (how it ended), `watch` (the loop).
"""

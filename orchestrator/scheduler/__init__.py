"""Policies: sessions that start by themselves.

Reading order: `policy` (the document), `ticks` (pure: when it is due), `tick` (due policies become sessions).
"""

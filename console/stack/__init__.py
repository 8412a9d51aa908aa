"""The whole stack on one machine: what it is made of, how it starts, how it stays up, how it ends.

Reading order: `layout` (what lies where in a state directory), `context` (how every command finds its settings).
"""

"""Peers that are no dependency of ours: each in a virtual environment of its own, made when it is first needed."""

"""A small AWS in memory that remembers everything and fails on request. It sits the same exam as the real adapters.

Reading order: `script` (what shall go wrong, and what was called), `world` (the state), `compute`, `roles`, `orders`
(the ports on that state), `cloud` (how the steps get at them), `agent` (what runs on the workers).
"""

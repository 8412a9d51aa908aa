"""The embedded cloud: one AWS-like endpoint on this machine, for development, tests and the demo.

moto supplies state and the wire protocol. The overlay in front of it supplies what moto lacks and this system is about:
identity, trust and external ids, idempotency tokens, time that passes, instance metadata, faults on request. Beside it
stand a block service that really holds the bytes of volumes and snapshots, and a fleet that starts the real agent for
each running instance. The product never imports this package; it talks to it as to AWS.
"""

"""The intake: session requests from other programs' queues (CONTRACT section 4).

Reading order: `messages` (what may arrive, and what it means; pure), `queue` (a Redis list that loses nothing),
`service` (take, submit, answer, again).

On Redis the intake has a reader of its own. kombu's pops a message before it notes it (a kill in between loses it),
and a body without kombu's envelope stops its consumer.
"""

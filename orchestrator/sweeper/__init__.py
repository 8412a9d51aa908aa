"""The sweeper: finds what nobody owns any more, and removes it.

It is the backstop behind `teardown` and `release`, for what no session will ever come back to. Its rules:

1. **The cloud first, the ledger second.** What is made between the two looks is in the ledger by the second one,
   because intent is committed before anything is made; the other way round a new worker would look like an orphan.
2. **Ours by tag or by IAM path, and of a session.** Anything else is never touched, however alike it looks.
3. **Mark, then remove.** Only what is still there, and still nobody's, a minute after it was first seen.
4. **What should stay stays**: whatever a receipt says is kept. Snapshots and volumes of a session that this ledger does
   not know hold data, and are reported, never removed.
5. **A ledger that is new, or restored from a backup, only reports** (`orchestrator.ledger.marks.Epoch`): it cannot know
   what it has forgotten.

Reading order: `look` (what is there), `judge` (whose it is; pure), `sweep` (one pass).
"""

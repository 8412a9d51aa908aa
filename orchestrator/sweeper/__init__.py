"""The sweeper: finds what nobody owns any more, and removes it.

It is the backstop behind `teardown` and `release`, for what no session will ever come back to. Its rules:

1. **The cloud first, the ledger second.** What is made between the two looks is in the ledger by the second one,
   because intent is committed before anything is made; the other way round a new worker would look like an orphan.
2. **Ours by tag or by IAM path, and of a session.** Anything else is never touched, however alike it looks.
3. **Mark, then remove.** Only what is still there, and still nobody's, a minute after it was first seen.
4. **What should stay stays**: whatever a receipt says is kept. What holds data of a session that this ledger does not
   know is reported, never removed.
5. **A ledger that is new, or restored from a backup, only reports** (`orchestrator.ledger.marks.Epoch`): it cannot know
   what it has forgotten.
6. **A pass is bounded.** It looks at some of the accounts, wholly, and the next one goes on behind them; what it may
   remove is bounded too.

Reading order: `kinds` (what there is, how it is seen and removed), `turn` (which accounts a pass is about), `look`
(what is there), `judge` (whose it is; pure), `sweep` (one pass), `removal`, `trust` (may this ledger remove anything).

A new kind of thing is one entry of `kinds.KINDS`, and needs nothing else here.
"""

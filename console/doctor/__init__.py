"""Whether an installation is well: what it stands on, looked at without changing anything.

Reading order: `findings` (what a look may say); `ledger`, `broker`, `aws` (the looks); `examine` (all of them).
"""

"""The ledger: the database of record. What is not in here has not happened; what is intended in here may have.

Reading order: `store` (engine, transactions), `schema`, `work` (claims, signals), `settling` (answers, parking),
`sessions`, `things` (the write-ahead record of the cloud), `launches`, `workers`, `leases`, `registry`, `points`,
`journal`. Every function takes the transaction it runs in, so that several of them can be one atomic change.
"""

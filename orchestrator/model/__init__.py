"""The words of the domain as values: requests, accounts, plans, sessions. No I/O, no clock."""

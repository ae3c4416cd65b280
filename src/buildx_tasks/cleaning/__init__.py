"""The ledger in; nothing left of what it says was made."""

"""What happened in; the ledger, and what it tells people, out."""

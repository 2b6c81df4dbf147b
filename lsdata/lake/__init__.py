"""Declared Delta tables and files, and the ledger of what was done to them."""

"""The auditor's site: what is in the lake, what it means, where it comes from, and the ledger with its proofs."""

from lsdata.site.build import build
from lsdata.site.serve import serve

__all__ = ["build", "serve"]

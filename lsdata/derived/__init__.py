"""One file per reader of a declaration. Nothing of a declaration is written twice."""

"""De-identification: structured data, free text, and the vault that links them."""

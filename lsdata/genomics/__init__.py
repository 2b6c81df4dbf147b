"""Genomics: from a sequencing run folder to cohort tables."""

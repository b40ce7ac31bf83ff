"""Errors, progress, parameters and files."""

"""Helpers with no model in them: process groups, optional packages, safe files, results."""

"""Learners of others, measured on the same events by the same protocol; they take no part in any list."""

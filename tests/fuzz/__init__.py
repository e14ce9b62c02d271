"""Bytes that nobody meant, through everything that reads bytes."""

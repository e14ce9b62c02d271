"""The experts: each scores every item for a user and learns from every event."""

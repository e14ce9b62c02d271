"""How it changes: sessions, learners, ranking, metrics and the plain-Python loop. No engine, no clock, no network."""

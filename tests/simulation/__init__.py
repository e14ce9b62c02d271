"""The job in one thread, by a seeded schedule: the real operators under a Flink of two hundred lines that can crash."""

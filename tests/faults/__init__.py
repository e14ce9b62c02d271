"""What faults are judged by: the checker and its oracle."""

"""Golden bytes: one file per kind and schema version, as a released build wrote them."""

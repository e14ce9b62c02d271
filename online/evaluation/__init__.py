"""How good a run was: measures that read what it recorded of each event and the lists that it delivered."""

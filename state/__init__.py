"""What is kept: schemas, versions and bytes of everything the engine stores or sends to itself."""

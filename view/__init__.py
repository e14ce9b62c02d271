"""What people see: the newest lists, meters and a page, kept from the outputs of a job or a replay."""

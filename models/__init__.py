"""What text means: the frozen encoder, its side process and the vectors it makes."""

# A relative data_dir is blamed where it is written, not in a store block that
# nobody wrote.
data_dir = "data"
